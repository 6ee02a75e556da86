// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"errors"
	"fmt"

	"github.com/hawserdb/hawser/internal/engine"
	"github.com/hawserdb/hawser/internal/halt"
)

// Checkpoint makes a consistent and durable copy of the state in dir, which
// must not exist, by hard links where it can. It returns how far the copy has
// come, which is at least what was applied before the call.
func (m *Machine) Checkpoint(dir string) (Meta, error) {
	s, err := m.acquire()
	if err != nil {
		return Meta{}, err
	}
	defer m.done(s)
	if err := s.db.Checkpoint(dir); err != nil {
		return Meta{}, fmt.Errorf("checkpoint: %w", err)
	}
	return ReadMeta(dir, m.opts)
}

// ReadMeta returns how far the state in dir has come, which [Machine.Checkpoint]
// made and nobody has open. It changes nothing. Errors are *halt.Error values.
func ReadMeta(dir string, opts Options) (Meta, error) {
	meta, _, err := read(dir, opts)
	return meta, err
}

// ReadMarks is [ReadMeta] for the replica digests.
func ReadMarks(dir string, opts Options) (Marks, error) {
	_, marks, err := read(dir, opts)
	return marks, err
}

func read(dir string, opts Options) (Meta, Marks, error) {
	db, err := engine.Open(dir, engine.Options{Logger: opts.Logger, FS: opts.FS, ErrorIfMissing: true, ReadOnly: true, CacheBytes: 1 << 20})
	if err != nil {
		return Meta{}, Marks{}, err
	}
	_, meta, marks, err := load(db, max(opts.MaxLevel, MaxLevel))
	return meta, marks, errors.Join(err, db.Discard())
}

// Swap replaces the whole state by the one in dir, a checkpoint on the same
// file system, which it moves. Index, term and configuration become those of
// meta. When it returns nil the new state is durable and in use; after a crash
// it is either the old or the new one. Views of the old state stay valid.
//
// It refuses, changing nothing, to go backward, and a state of another cluster
// or of a feature level that this binary does not know; dir is then gone. The
// machine goes on after such a refusal, but not after an error of the engine.
func (m *Machine) Swap(dir string, meta Meta) error {
	m.applying.Lock()
	defer m.applying.Unlock()
	if err := m.stopped(); err != nil {
		return err
	}
	if m.store == nil { // changed under applying only
		return errClosed
	}
	if have := m.published.Load().meta.Index; meta.Index < have {
		return fmt.Errorf("swap to index %d: the machine has applied %d and never goes back", meta.Index, have)
	}
	meta.Configuration = append([]byte{}, meta.Configuration...)
	db, err := m.home.Stage(dir)
	if err != nil {
		return fmt.Errorf("swap: %w", err)
	}
	s, marks, err := m.adopt(db, meta)
	if err != nil {
		return errors.Join(fmt.Errorf("swap: %w", err), db.Discard(), m.home.Unstage())
	}
	if err := m.home.Switch(); err != nil {
		// Whether the pointer is durable is unknown: only a restart can tell.
		return m.stop(halt.Wrap(halt.Engine, "state directory", err))
	}
	m.use(newStore(db), s, meta, marks)
	return nil
}

// adopt checks a staged state and writes meta into it, durably. Its marks stay.
func (m *Machine) adopt(db *engine.DB, meta Meta) (state, Marks, error) {
	s, _, marks, err := load(db, m.opts.MaxLevel)
	if err != nil {
		return state{}, Marks{}, err
	}
	none := [16]byte{}
	if m.state.cluster != none && s.cluster != none && m.state.cluster != s.cluster {
		return state{}, Marks{}, fmt.Errorf("the state is of cluster %x, this machine's of cluster %x", s.cluster, m.state.cluster)
	}
	batch := db.NewBatch()
	c := newChanges(db, &writes{Batch: batch}, s, m.opts.MaxLevel)
	if meta.ConfigurationIndex == 0 {
		_, configuration, _ := metaKeys()
		batch.Delete(configuration)
	}
	c.putState(meta, marks, meta.ConfigurationIndex != 0)
	if err := batch.Commit(); err != nil {
		return state{}, Marks{}, err
	}
	return s, marks, db.Flush()
}

// use makes next the store in use and retires the one before.
func (m *Machine) use(next *store, s state, meta Meta, marks Marks) {
	m.state = s
	m.mu.Lock()
	old := m.store
	m.store = next
	m.mu.Unlock()
	m.publish(meta, marks)
	old.retired.Store(true)
	m.done(old)
}
