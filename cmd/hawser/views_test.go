// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

// Claim: the keys and forms of JSON results are those of testdata, which
// scripts depend on: lower_snake keys, times in RFC 3339, hashes in hex, lists
// and maps never null. Tables beside them.
func TestViews_Golden(t *testing.T) {
	at := time.Date(2026, 11, 23, 16, 40, 1, 500_000_000, time.UTC)
	v := hawser.Version{
		Agent: hawser.AgentID{Namespace: "default", Name: "crew/researcher-7"}, Number: 12, Size: 1024, SHA256: hawser.Hash{0xab, 0xcd},
		Parent: 11, Instance: "host-1-abcd", Labels: map[string]string{"step": "12", "a": "b"}, ContentType: "application/json",
		Schema: "v2", CreatedAt: at, Revision: 99, State: hawser.VersionLive, StoredSize: 300,
	}
	a := hawser.Agent{ID: v.Agent, Head: 12, Version: &v, Versions: 12, StoredSize: 3600, CreatedAt: at}
	leader := client.Member{
		ID: "n1-0a1b2c3d", Name: "n1", Role: client.RoleVoter, Leader: true, Liveness: client.LivenessAlive,
		PeerAddress: "127.0.0.1:7421", ClientAddress: "127.0.0.1:7420", GossipAddress: "127.0.0.1:7422", HTTPAddress: "127.0.0.1:7480",
		AppliedIndex: 500, FeatureLevel: 1, FreeBytes: 1 << 30, Version: "devel",
	}
	standby := client.Member{ID: "n2-ffffffff", Name: "n2", Role: client.RoleStandby, Liveness: client.LivenessSuspect, AppliedIndex: 480}
	s := client.Status{
		Self: leader, Members: []client.Member{leader, standby}, Ready: true, ClusterID: "00ff", Generation: 1, Revision: 99,
		MachineTime: at, Leader: leader.ID, LeaderAddress: leader.ClientAddress, Term: 3, CommitIndex: 500, AppliedIndex: 500,
		FeatureLevel: 1, StartedAt: at, Agents: 1, Notes: []string{"n2 is promoted when it has caught up"},
	}
	var out bytes.Buffer
	p := &program{stdout: &out}
	for name, show := range orderedPrints(p, v, a, s) {
		out.WriteString("# " + name + "\n")
		if err := show(); err != nil {
			t.Fatal(err)
		}
		out.WriteString("\n")
	}
	golden(t, "views.txt", out.String())
}

func orderedPrints(p *program, v hawser.Version, a hawser.Agent, s client.Status) func(func(string, func() error) bool) {
	return func(yield func(string, func() error) bool) {
		_ = yield("version, json", func() error { return p.printVersion(true, v) }) &&
			yield("version", func() error { return p.printVersion(false, v) }) &&
			yield("version without labels, json", func() error { return p.writeJSON(viewVersion(hawser.Version{})) }) &&
			yield("versions", func() error { return p.printVersions([]hawser.Version{v}) }) &&
			yield("agent, json", func() error { return p.writeJSON(viewAgent(a)) }) &&
			yield("agent", func() error { return p.printAgent(a) }) &&
			yield("status, json", func() error { return p.writeJSON(viewStatus(s)) }) &&
			yield("status", func() error { return p.printStatus(s) }) &&
			yield("status before there is a cluster", func() error { return p.printStatus(client.Status{Reason: "no leader"}) }) &&
			yield("members, json", func() error { return p.writeJSON(viewMembers(s.Members)) })
	}
}
