// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package procs

import (
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Claim: the first node has the ports of a single server, no address of a plan
// is given twice, and numbers out of range are refused by name.
func TestPlan_Addresses(t *testing.T) {
	nodes, err := Plan("d", MaxPlanned, DefaultBasePort)
	if err != nil {
		t.Fatal(err)
	}
	first := Node{
		Name: "n1", Dir: filepath.Join("d", "n1"), Log: filepath.Join("d", "n1.log"),
		Client: "127.0.0.1:7420", Peer: "127.0.0.1:7421", Gossip: "127.0.0.1:7422", HTTP: "127.0.0.1:7480",
	}
	if nodes[0] != first {
		t.Errorf("first node %+v, want %+v", nodes[0], first)
	}
	seen := map[string]string{}
	for _, n := range nodes {
		for _, address := range []string{n.Client, n.Peer, n.Gossip, n.HTTP} {
			if other := seen[address]; other != "" {
				t.Errorf("%s and %s share %s", other, n.Name, address)
			}
			seen[address] = n.Name
		}
	}
	for _, bad := range []struct{ nodes, base int }{{0, 7420}, {-1, 7420}, {MaxPlanned + 1, 7420}, {1, 0}, {1, 1023}, {3, 65500}} {
		if _, err := Plan("d", bad.nodes, bad.base); err == nil {
			t.Errorf("Plan(%d nodes, port %d) succeeded", bad.nodes, bad.base)
		}
	}
}

// Claim: every taken address is named with its node and use, TCP or UDP.
func TestCheckFree_NamesWhatIsTaken(t *testing.T) {
	nodes, err := PlanFree(t.TempDir(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckFree(nodes); err != nil {
		t.Fatalf("free ports: %v", err)
	}
	l, err := net.Listen("tcp", nodes[0].HTTP)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u, err := net.ListenPacket("udp", nodes[1].Gossip)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	err = CheckFree(nodes)
	if err == nil {
		t.Fatal("taken ports were found free")
	}
	for _, want := range []string{"http address of n1", nodes[0].HTTP, "gossip address of n2", nodes[1].Gossip} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not name %q: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "client address") {
		t.Errorf("error names a free address: %v", err)
	}
}

// Claim: nodes on hosts of their own have the ports of a single server there.
func TestPlanHosts(t *testing.T) {
	nodes := PlanHosts("d", []string{"198.18.0.1", "198.18.0.2"})
	want := Node{
		Name: "n2", Dir: filepath.Join("d", "n2"), Log: filepath.Join("d", "n2.log"),
		Client: "198.18.0.2:7420", Peer: "198.18.0.2:7421", Gossip: "198.18.0.2:7422", HTTP: "198.18.0.2:7480",
	}
	if len(nodes) != 2 || nodes[1] != want {
		t.Errorf("%+v, want %+v", nodes, want)
	}
}

// Claim: a node behind a host listens on loopback, at the same ports, and says
// where it is reached.
func TestPlanBehind(t *testing.T) {
	nodes, err := PlanBehind("d", []string{"127.9.0.1", "127.9.0.2"})
	if err != nil {
		t.Fatal(err)
	}
	args := NewCluster(Config{Path: "hawser", Nodes: nodes}).Args(1)
	for flag, reached := range map[string]string{
		"--client-addr": nodes[1].Client, "--peer-addr": nodes[1].Peer, "--gossip-addr": nodes[1].Gossip, "--http-addr": nodes[1].HTTP,
	} {
		port, ok := strings.CutPrefix(reached, "127.9.0.2:")
		if got := args[slices.Index(args, flag)+1]; !ok || got != "127.0.0.1:"+port {
			t.Errorf("%s %s, reached at %s", flag, got, reached)
		}
	}
	if got := args[slices.Index(args, "--advertise-host")+1]; got != "127.9.0.2" {
		t.Errorf("advertises %s", got)
	}
}

// The nodes after the founders join: they found nothing, and nobody waits for them.
func TestCluster_Founders(t *testing.T) {
	c := NewCluster(Config{Path: "hawser", Nodes: PlanHosts("dir", []string{"a", "b", "c", "d"}), Founders: 3})
	if got := len(c.Endpoints()); got != 3 {
		t.Errorf("%d endpoints, want those of the 3 founders", got)
	}
	for i, founds := range []bool{true, true, true, false} {
		args := c.Args(i)
		if got := slices.Contains(args, "--bootstrap-expect"); got != founds {
			t.Errorf("node %d founds: %v, want %v", i, got, founds)
		}
		if !slices.Contains(args, "a:7421,b:7421,c:7421") {
			t.Errorf("node %d does not join the founders: %q", i, args)
		}
	}
}
