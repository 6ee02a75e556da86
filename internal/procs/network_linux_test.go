// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package procs

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

// Claim: hosts of a network reach this process and are cut off and mended one
// by one; a signal to a child within it reaches the child; nothing is left of
// the network. Method: a child of each host answers over HTTP; needs root.
func TestNetwork_CutAndMend(t *testing.T) {
	if _, err := exec.LookPath("ip"); err != nil || os.Getuid() != 0 {
		t.Skip("network namespaces need root and the program ip")
	}
	network, err := NewNetwork(2)
	if err != nil {
		t.Skip("no network namespaces here: ", err)
	}
	t.Cleanup(func() {
		if err := errors.Join(network.Close(), network.Close()); err != nil {
			t.Error(err)
		}
		if _, err := net.InterfaceByName(network.name); err == nil {
			t.Errorf("the bridge %s is left", network.name)
		}
	})
	c := NewCluster(Config{
		Path: os.Args[0], Nodes: PlanHosts(t.TempDir(), network.Hosts()), SecretFile: "secret", Within: network.Within,
		Env: append(os.Environ(), childMode+"=graceful"),
	})
	t.Cleanup(func() { _ = c.KillAll() })
	if err := c.StartAll(); err != nil {
		t.Fatal(err)
	}
	if err := c.ReadyAll(within(t)); err != nil {
		t.Fatal(err)
	}
	if got, err := os.Readlink("/proc/self/ns/net"); err != nil || slices.Contains(spaces(t, c), got) {
		t.Errorf("a child shares this process's network: %q, %v", got, err)
	}
	answers := func(i int) bool {
		conn, err := net.DialTimeout("tcp", c.Nodes()[i].HTTP, 200*time.Millisecond)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}
	if err := network.Cut(0); err != nil {
		t.Fatal(err)
	}
	if answers(0) || !answers(1) {
		t.Errorf("host 0 is cut off; answers: host 0 %v, host 1 %v", answers(0), answers(1))
	}
	if err := network.Mend(0); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); !answers(0); {
		if time.Now().After(deadline) {
			t.Fatal("host 0 does not answer after its cable was mended")
		}
	}
}

func spaces(t *testing.T, c *Cluster) []string {
	t.Helper()
	var found []string
	for i := range c.Nodes() {
		space, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", c.Process(i).PID()))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, space)
	}
	return found
}
