// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

var soakDuration = flag.Duration("soak.duration", 0, "how long TestSoak moves money and kills; 0 skips it")

// soak is what TestSoak harasses.
type soak struct {
	*rig
	wallets            []string
	owners, initiators []*process
	faults             map[string]int
}

// Claim: money is neither made nor lost while owners are killed and frozen,
// initiators and nodes killed and connections to PostgreSQL cut at random; whenever
// nothing is under way nothing is prepared. Method: four wallets, which two
// processes serve and two move money between them and four accounts; every ten
// seconds all is let come to rest and counted.
func TestSoak(t *testing.T) {
	if *soakDuration == 0 {
		t.Skip("SKIPPED: takes its time; try -soak.duration=60s")
	}
	s := &soak{rig: get(t), faults: map[string]int{}}
	for i := range 4 {
		s.wallets = append(s.wallets, fmt.Sprint("soak-", i))
	}
	s.create(t, s.wallets...)
	for range 2 {
		s.owners = append(s.owners, s.start(t, s.owner()))
	}
	for end := time.Now().Add(*soakDuration); time.Now().Before(end); {
		for len(s.initiators) < 2 {
			s.initiators = append(s.initiators, s.start(t, s.initiator()))
		}
		for round := time.Now().Add(10 * time.Second); time.Now().Before(round); {
			time.Sleep(300*time.Millisecond + rand.N(time.Second))
			s.harass(t)
		}
		for _, p := range s.initiators {
			p.kill()
		}
		s.initiators = nil
		s.rest(t)
	}
	transfers := 0
	for _, name := range s.wallets {
		for v, err := range s.client.Agent(name).Versions(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if v.Txn != "" {
				transfers++
			}
		}
	}
	t.Logf("%d versions made by transfers; faults: %v", transfers, s.faults)
	if transfers < 10 {
		t.Error("hardly anything was moved")
	}
}

func (s *soak) owner() role     { return role{Wallets: s.wallets} }
func (s *soak) initiator() role { return role{Wallets: s.wallets, Accounts: s.wallets} }

// harass does something bad.
func (s *soak) harass(t *testing.T) {
	t.Helper()
	i := rand.IntN(2)
	switch what := []string{"owner killed", "owner frozen", "initiator killed", "node killed", "connection cut"}[rand.IntN(5)]; what {
	case "owner killed":
		s.faults[what]++
		s.owners[i].kill()
		s.owners[i] = s.start(t, s.owner())
	case "owner frozen":
		s.faults[what]++
		s.owners[i].signal(syscall.SIGSTOP)
		time.Sleep(rand.N(3 * time.Second))
		s.owners[i].signal(syscall.SIGCONT)
	case "initiator killed":
		s.faults[what]++
		s.initiators[i].kill()
		s.initiators[i] = s.start(t, s.initiator())
	case "node killed":
		s.faults[what]++
		n := s.cluster.nodes[rand.IntN(len(s.cluster.nodes))]
		if err := n.kill(); err != nil {
			t.Fatal(err)
		}
		if err := n.start(s.cluster.program); err != nil {
			t.Fatal(err)
		}
		if err := n.ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	case "connection cut":
		s.faults[what]++
		if _, err := s.pool.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity
			WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1) AS victim`); err != nil {
			t.Logf("cut a connection: %v", err)
		}
	}
}

// rest waits until nothing is under way, and counts.
func (s *soak) rest(t *testing.T) {
	t.Helper()
	eventually(t, "all transfers are over", func() bool {
		for txn, err := range s.client.Txns(t.Context()) {
			if err != nil || !txn.Done {
				return false
			}
		}
		return true
	})
	eventually(t, "nothing is prepared", func() bool { return len(s.prepared(t)) == 0 })
	var total int64
	for _, name := range s.wallets {
		inWallet, inAccount := s.balances(t, name)
		total += inWallet + inAccount
	}
	if want := int64(len(s.wallets) * 2 * found); total != want {
		t.Fatalf("there are %d in all, want %d", total, want)
	}
}
