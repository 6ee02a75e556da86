// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"context"
	"testing"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/engine"
)

// CountKeys counts the stored keys by family.
func CountKeys(t *testing.T, m *Machine) map[byte]int {
	t.Helper()
	v, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	it, err := v.snap.Iter([]byte{0}, []byte{0xff})
	if err != nil {
		t.Fatal(err)
	}
	counts := map[byte]int{}
	for it.Next() {
		counts[it.Key()[0]]++
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return counts
}

// Reflects is journalRecord.reflects, with rollbacks as pairs.
func Reflects(rewinds [][2]uint64, number, since uint64) bool {
	j := &journalRecord{}
	for _, w := range rewinds {
		j.rewinds = append(j.rewinds, rewind{w[0], w[0], w[1]})
	}
	return j.reflects(number, since)
}

// PretendStaged makes the machine believe that so many bytes are staged.
func PretendStaged(m *Machine, bytes uint64) {
	m.applying.Lock()
	defer m.applying.Unlock()
	m.state.staged = bytes
}

// RewritesWith is View.Rewrites with another bound.
func RewritesWith(v *View, id hawser.AgentID, before uint64, reads int) ([]Rewrite, uint64, error) {
	return v.rewrites(id, before, reads)
}

// ImpactWith is View.Impact with another bound on what is read.
func ImpactWith(ctx context.Context, v *View, ref hawser.VersionRef, reads int) ([]Affected, bool, error) {
	return v.impact(ctx, ref, 0, reads)
}

// PretendTally makes the machine believe that a namespace has so many open
// transactions and so many bytes in staged votes.
func PretendTally(m *Machine, namespace string, open, staged uint64) error {
	m.applying.Lock()
	defer m.applying.Unlock()
	return m.withStore(func(db *engine.DB) error {
		batch := db.NewBatch()
		batch.Set(tallyKey(namespace), tallyRecord{open, staged}.encode())
		return batch.Commit()
	})
}
