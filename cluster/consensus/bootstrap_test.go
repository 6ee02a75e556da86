// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import "testing"

// A crash between the two writes of a bootstrap leaves term 1 and no log. The
// replica that finds that at its start has no state, and is bootstrapped and
// leads as if nothing had been. Without the cure it has state for ever, no
// configuration, and can neither be bootstrapped nor elected.
func TestReplica_HalfABootstrapIsTakenBack(t *testing.T) {
	g := newGroup(t, 0, nil)
	m := g.start("n1")
	if err := m.replica.stable.SetUint64([]byte(keyTerm), 1); err != nil { // what raft writes first
		t.Fatal(err)
	}
	g.stop("n1")
	m = g.start("n1")
	if m.replica.HasState() {
		t.Fatal("half a bootstrap counts as state")
	}
	if err := m.replica.Bootstrap([]string{"n1"}); err != nil {
		t.Fatal(err)
	}
	g.leader()
}

// Only exactly that is taken back: a vote, or a later term, stays.
func TestReplica_RealStateIsNotTakenBack(t *testing.T) {
	for name, write := range map[string]func(*stableStore) error{
		"later term": func(s *stableStore) error { return s.SetUint64([]byte(keyTerm), 2) },
		"vote": func(s *stableStore) error {
			if err := s.SetUint64([]byte(keyVoteTerm), 1); err != nil {
				return err
			}
			return s.Set([]byte(keyVoteCand), []byte("n2"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGroup(t, 0, nil)
			m := g.start("n1")
			if err := write(m.replica.stable); err != nil {
				t.Fatal(err)
			}
			g.stop("n1")
			if m = g.start("n1"); !m.replica.HasState() {
				t.Fatal("state was taken back")
			}
		})
	}
}
