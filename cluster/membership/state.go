// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"errors"
	"fmt"
	"slices"
)

const (
	// format is the newest node.json that this binary reads and the one that it writes.
	format     = 1
	maxRefused = 64
	maxBook    = 4 * MaxMembers
)

// State is what node.json holds. Values are copied in and out of a [Store], so
// a caller may keep and change what it got.
type State struct {
	Format int `json:"format"`
	// Node is the ServerID, minted with the directory and never changed.
	Node string `json:"node"`
	// ClusterID is the cluster that the node belongs to: it was taken in, or
	// has raft state as a founder. Zero: none yet. Once set it never changes.
	ClusterID ClusterID `json:"cluster_id"`
	// Generation of ClusterID; zero exactly when that is.
	Generation uint64 `json:"generation"`
	// Started says that raft state exists, or existed, under ClusterID.
	Started bool `json:"started"`
	// Promise is the newest promise to found a cluster, nil for none. With
	// ClusterID set it is history.
	Promise *Promise `json:"promise,omitempty"`
	// Refused are clusters that the node promised itself to and then replaced
	// the promise, ascending. It never speaks under them again.
	Refused []ClusterID `json:"refused,omitempty"`
	// Book are the known peer addresses, ordered by id.
	Book []Address `json:"book,omitempty"`
}

// Promise is a node's durable word to found a cluster together with others.
type Promise struct {
	ClusterID  ClusterID `json:"cluster_id"`
	Generation uint64    `json:"generation"`
	// StartLine are the peer addresses that the node was started with, ascending.
	StartLine []string `json:"start_line"`
	// Members are the founders, one for each address of StartLine, in its order.
	Members []Address `json:"members"`
	// Coordinator is the founder at the lowest address.
	Coordinator Address `json:"coordinator"`
}

func (p *Promise) clone() *Promise {
	if p == nil {
		return nil
	}
	c := *p
	c.StartLine, c.Members = slices.Clone(p.StartLine), slices.Clone(p.Members)
	return &c
}

func (p *Promise) equal(q *Promise) bool {
	return p.ClusterID == q.ClusterID && p.Generation == q.Generation && slices.Equal(p.StartLine, q.StartLine) &&
		slices.Equal(p.Members, q.Members) && p.Coordinator == q.Coordinator
}

func (p *Promise) voters() []string {
	ids := make([]string, len(p.Members))
	for i, m := range p.Members {
		ids[i] = m.ID
	}
	return ids
}

// Identity returns the cluster under which the node speaks raft, with its
// generation: the one it belongs to, else the one it promised, else zero.
func (s State) Identity() (ClusterID, uint64) {
	switch {
	case !s.ClusterID.IsZero():
		return s.ClusterID, s.Generation
	case s.Promise != nil:
		return s.Promise.ClusterID, s.Promise.Generation
	}
	return ClusterID{}, 0
}

// Founder reports whether id is a founder by the promise that the node is
// still waiting on. Before the first configuration, raft is spoken only with
// founders.
func (s State) Founder(id string) bool {
	return s.Promise != nil && (s.ClusterID.IsZero() || s.ClusterID == s.Promise.ClusterID) &&
		slices.Contains(s.Promise.voters(), id)
}

// floor returns the highest cluster id that the node ever promised itself to.
func (s State) floor() ClusterID {
	var floor ClusterID
	if len(s.Refused) > 0 {
		floor = s.Refused[len(s.Refused)-1]
	}
	if s.Promise != nil && s.Promise.ClusterID.Compare(floor) > 0 {
		floor = s.Promise.ClusterID
	}
	return floor
}

// refuse records that the node never speaks under id again. The lowest ids are
// forgotten first; they stay below floor and so cannot be promised either.
func (s *State) refuse(id ClusterID) {
	at, found := slices.BinarySearchFunc(s.Refused, id, ClusterID.Compare)
	if found {
		return
	}
	s.Refused = slices.Insert(s.Refused, at, id)
	if extra := len(s.Refused) - maxRefused; extra > 0 {
		s.Refused = slices.Delete(s.Refused, 0, extra)
	}
}

func (s State) refuses(id ClusterID) bool { return slices.Contains(s.Refused, id) }

func (s State) clone() State {
	s.Promise = s.Promise.clone()
	s.Refused, s.Book = slices.Clone(s.Refused), slices.Clone(s.Book)
	return s
}

// check verifies what every writer keeps and every reader relies on.
func (s State) check() error {
	if s.Format != format {
		return fmt.Errorf("format is %d, not %d", s.Format, format)
	}
	if err := CheckNodeID(s.Node); err != nil {
		return err
	}
	if s.ClusterID.IsZero() != (s.Generation == 0) || s.Started && s.ClusterID.IsZero() {
		return errors.New("cluster id, generation and started do not fit together")
	}
	if s.Promise != nil {
		if err := s.Promise.check(); err != nil {
			return fmt.Errorf("promise: %w", err)
		}
	}
	if len(s.Refused) > maxRefused || !slices.IsSortedFunc(s.Refused, ClusterID.Compare) {
		return errors.New("refused clusters are too many or not in order")
	}
	if len(s.Book) > maxBook {
		return fmt.Errorf("book has %d entries, more than %d", len(s.Book), maxBook)
	}
	for i, a := range s.Book {
		if err := checkAddress(a); err != nil {
			return fmt.Errorf("book: %w", err)
		}
		if i > 0 && s.Book[i-1].ID >= a.ID {
			return errors.New("book is not in order")
		}
	}
	return nil
}

func (p *Promise) check() error {
	if p.ClusterID.IsZero() || p.Generation == 0 {
		return errors.New("has no cluster id or generation")
	}
	if len(p.Members) == 0 || len(p.Members) > MaxFounders || len(p.Members) != len(p.StartLine) {
		return fmt.Errorf("has %d members and %d addresses", len(p.Members), len(p.StartLine))
	}
	seen := map[string]bool{}
	for i, m := range p.Members {
		if err := checkAddress(m); err != nil {
			return err
		}
		if m.Peer != p.StartLine[i] || i > 0 && p.StartLine[i-1] >= m.Peer {
			return errors.New("members and start line differ or are not in order")
		}
		if seen[m.ID] {
			return fmt.Errorf("names %s twice", m.ID)
		}
		seen[m.ID] = true
	}
	if p.Coordinator != p.Members[0] {
		return fmt.Errorf("coordinator %s is not the member at the lowest address", p.Coordinator.ID)
	}
	return nil
}
