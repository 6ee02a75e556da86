// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"sync/atomic"

	"github.com/hawserdb/hawser/internal/engine"
)

// store is an engine with a count of its users: the machine while it is the
// one in use, and each view.
type store struct {
	db   *engine.DB
	refs atomic.Int64
	// retired is set, before the machine lets go, when another store took its
	// place: then nothing in it is needed any more.
	retired atomic.Bool
}

func newStore(db *engine.DB) *store {
	s := &store{db: db}
	s.refs.Store(1)
	return s
}

// acquire returns the store in use, which must be released.
func (m *Machine) acquire() (*store, error) {
	if err := m.stopped(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.store == nil {
		return nil, errClosed
	}
	m.store.refs.Add(1) // it is above zero, because the machine still counts
	return m.store, nil
}

// release ends a use; the last one closes the store, and removes it when
// another took its place.
func (m *Machine) release(s *store) error {
	if s.refs.Add(-1) > 0 {
		return nil
	}
	dir := s.db.Dir()
	if err := s.db.Discard(); err != nil { // whoever needs it durable has flushed
		return err
	}
	if !s.retired.Load() {
		return nil
	}
	if err := m.home.Remove(dir); err != nil {
		// The next start removes it.
		m.opts.Logger.Warn("cannot remove a replaced store", "dir", dir, "error", err)
	}
	return nil
}

// done is release where there is nobody to return an error to.
func (m *Machine) done(s *store) {
	if err := m.release(s); err != nil {
		m.opts.Logger.Warn("cannot close a store", "dir", s.db.Dir(), "error", err)
	}
}
