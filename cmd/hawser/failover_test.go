// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"flag"
	"math/rand/v2"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"
)

var failoverTrials = flag.Int("failover.trials", 1, "kills of the leader in TestFailover_Trials, and as many freezes")

// Claim: when the leader is killed or frozen, writes go on soon. Method: bench
// failover beside the fault, with a client that knows all nodes; then the node
// comes back. One trial each shows that detection works at all, since raft's
// own timeout alone is above the limit; `make failover` prints and judges the
// distribution of many.
func TestFailover_Trials(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be frozen here")
	}
	f := startFleet(t, 3)
	for _, fault := range []struct {
		name             string
		once             time.Duration // limit of a single trial on a busy machine
		middle, longest  time.Duration // of many on a quiet one
		strike, recovery func(leader int) error
	}{
		{
			"killed", 2500 * time.Millisecond, 300 * time.Millisecond, 800 * time.Millisecond,
			func(i int) error { return f.Process(i).Kill() },
			f.Start,
		},
		{
			"frozen", 4500 * time.Millisecond, 1300 * time.Millisecond, 2500 * time.Millisecond,
			func(i int) error { return f.Process(i).Signal(syscall.SIGSTOP) },
			func(i int) error { return f.Process(i).Signal(syscall.SIGCONT) },
		},
	} {
		t.Run(fault.name, func(t *testing.T) {
			var gaps []time.Duration
			for range *failoverTrials {
				gaps = append(gaps, f.failover(t, fault.strike, fault.recovery))
			}
			slices.Sort(gaps)
			middle, longest := gaps[len(gaps)/2], gaps[len(gaps)-1]
			t.Logf("leader %s, %d trials: longest gap p50 %v, max %v; all: %v", fault.name, len(gaps), middle, longest, gaps)
			if longest > fault.once {
				t.Errorf("%v without a write, the limit is %v", longest, fault.once)
			}
			if len(gaps) >= 30 && (middle > fault.middle || longest > fault.longest) {
				t.Errorf("p50 %v and max %v, wanted are %v and %v", middle, longest, fault.middle, fault.longest)
			}
		})
	}
}

// failover measures the longest time without an acknowledged write around one
// fault of the leader.
func (f *fleet) failover(t *testing.T, strike, recovery func(int) error) time.Duration {
	t.Helper()
	leader := f.leader(t)
	struck := make(chan error, 1)
	timer := time.AfterFunc(1500*time.Millisecond+rand.N(500*time.Millisecond), func() { struck <- strike(leader) })
	defer timer.Stop()
	got := f.want(t, codeOK, "", "bench", "failover", "--duration", "4s", "-o", "json")
	if err := errors.Join(<-struck, recovery(leader)); err != nil {
		t.Fatal(err)
	}
	var r failoverResult
	if err := json.Unmarshal([]byte(got.stdout), &r); err != nil {
		t.Fatal(err)
	}
	if r.Writes == 0 || r.LongestGap <= 0 {
		t.Fatalf("nothing was measured: %+v", r)
	}
	f.waitReady(t)
	return time.Duration(r.LongestGap * float64(time.Millisecond))
}
