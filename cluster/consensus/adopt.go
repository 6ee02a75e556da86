// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/halt"
)

// ErrNotNeeded is a checkpoint that [Adopt] did not take because the replica
// has what is in it. Nothing was changed.
var ErrNotNeeded = errors.New("the replica has what the checkpoint holds")

// Adopt replaces the machine's state by the complete checkpoint in dir, which
// was verified and lies on the same file system, and makes the log go on after
// it: what raft does with a snapshot that the leader sends, while no replica is
// open on cfg.Dir. Of the callbacks of cfg
// OnSwapped alone is used, and no streams.
//
// It refuses with ErrNotNeeded to go backward, and where the log goes on past
// the checkpoint's last entry: what follows may have been acknowledged. After a
// crash at any moment, Open finds the old state or finishes the change. Errors
// that stop the node are *halt.Error values; after any other the machine goes
// on with its old state, and dir may be gone.
func Adopt(cfg Config, dir string, meta fsm.Meta) error {
	cfg = cfg.withDefaults()
	r := &Replica{cfg: cfg, logger: cfg.Logger}
	r.latch = newLatch(cfg.Dir, cfg.Timeouts.Hang, cfg.Logger, func(error) {})
	err := r.open()
	if err == nil {
		r.latch.running.Store(false) // raft does not run: errors return
		r.logs.onConfiguration = nil
		r.fsm.onConfiguration = func(uint64) {}
		err = r.adopt(dir, meta)
	}
	return errors.Join(err, r.closeStores())
}

func (r *Replica) adopt(dir string, meta fsm.Meta) error {
	if err := r.adoptable(meta); err != nil {
		return err
	}
	// A term is never below that of what is stored; no vote is given with it.
	if r.stable.current().term < meta.Term {
		if err := r.stable.SetUint64([]byte(keyTerm), meta.Term); err != nil {
			return halt.Wrap(halt.Stable, r.stable.path, err)
		}
	}
	if err := r.fsm.step("term"); err != nil {
		return err
	}
	return r.fsm.Restore(&received{dir: dir, meta: meta})
}

// adoptable returns an error unless the checkpoint may replace machine and log.
func (r *Replica) adoptable(meta fsm.Meta) error {
	if applied := r.appliedIndex(); meta.Index <= applied {
		return fmt.Errorf("checkpoint at %d, machine at %d: %w", meta.Index, applied, ErrNotNeeded)
	}
	if _, last := r.logs.bounds(); last <= meta.Index {
		return nil
	}
	var l raft.Log
	if err := r.logs.get(meta.Index, &l); err != nil {
		return fmt.Errorf("entry %d of the log: %w", meta.Index, err)
	}
	if l.Term == meta.Term {
		return fmt.Errorf("the log holds entry %d and what follows: %w", meta.Index, ErrNotNeeded)
	}
	return nil
}
