// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawsertest_test

import (
	"bytes"
	"testing"

	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/hawsertest"
)

// A cluster of one takes a save and gives it back.
func TestStart_SavesAndRestores(t *testing.T) {
	c := hawsertest.Start(t)
	a := c.Agent("researcher")
	want := bytes.Repeat([]byte("state "), 500)
	v, err := a.Save(t.Context(), want)
	if err != nil || v.Number != 1 {
		t.Fatalf("got %+v, %v", v, err)
	}
	cp, err := c.Agent("researcher").Restore(t.Context())
	if err != nil || !bytes.Equal(cp.State, want) {
		t.Fatalf("restored %d bytes, %v", len(cp.State), err)
	}
}

// What was saved before and after the leader died is there at every node,
// and the killed node catches up when it comes back.
func TestCluster_SurvivesItsLeader(t *testing.T) {
	cluster := hawsertest.StartCluster(t, 3)
	a := cluster.Client().Agent("crew/one")
	save := func(state string) {
		t.Helper()
		if _, err := a.Save(t.Context(), []byte(state)); err != nil {
			t.Fatalf("save %q: %v", state, err)
		}
	}
	save("one")
	killed := cluster.KillLeader()
	save("two")
	cluster.Restart(killed)
	for i := range cluster.Size() {
		c, err := client.Dial(client.Config{Endpoints: []string{cluster.Endpoint(i)}})
		if err != nil {
			t.Fatal(err)
		}
		for number, want := range map[uint64]string{1: "one", 2: "two"} {
			cp, err := c.Agent("crew/one").Restore(t.Context(), client.AtVersion(number))
			if err != nil || string(cp.State) != want {
				t.Errorf("node %d, version %d: %q, %v", i+1, number, cp.State, err)
			}
		}
		_ = c.Close()
	}
}
