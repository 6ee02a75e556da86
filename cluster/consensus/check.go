// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"github.com/hashicorp/raft"

	"github.com/hawserdb/hawser/fsm"
)

// checkStart compares log, term, vote and machine before raft runs on them,
// and reads and verifies every entry that the machine has not applied.
func (r *Replica) checkStart() error {
	meta, err := r.cfg.Machine.Durable()
	if err != nil {
		return err
	}
	conf, err := decodeConfiguration(meta.Configuration)
	if err != nil {
		return damaged("state", "configuration: %w", err)
	}
	if err := r.finishSwap(meta); err != nil {
		return err
	}
	if err := r.checkLog(meta); err != nil {
		return err
	}
	r.logs.configs = configs{{meta.ConfigurationIndex, conf}}
	if err := r.logs.scan(meta.Index + 1); err != nil {
		return err
	}
	return r.checkTerm(meta)
}

// finishSwap carries out what is left of an install that a crash interrupted.
func (r *Replica) finishSwap(meta fsm.Meta) error {
	intent, err := readIntent(r.cfg.Dir)
	if err != nil || intent == (entryID{}) {
		return err
	}
	id := entryID{meta.Index, meta.Term}
	if id == intent {
		r.logger.Info("finishing an interrupted install", "index", id.index, "term", id.term)
		if _, err := r.logs.reset(id, configMark{}); err != nil {
			return err
		}
	}
	return removeIntent(r.cfg.Dir)
}

// checkLog checks that the log reaches the machine from both sides.
func (r *Replica) checkLog(meta fsm.Meta) error {
	r.logs.installed = entryID{meta.Index, meta.Term}
	first, last := r.logs.bounds()
	switch {
	case last == 0 && meta.Index != 0:
		return nil // emptied after an install
	case last < meta.Index:
		return damaged(r.logs.path, "the log ends at entry %d, but the machine applied %d", last, meta.Index)
	case first > meta.Index+1:
		return damaged(r.logs.path, "the log begins at entry %d, but the machine applied only %d", first, meta.Index)
	case meta.Index == 0 || first > meta.Index:
		return nil
	}
	var l raft.Log
	if err := guarded(r.logs.path, "read the log", func() error { return r.logs.read(meta.Index, &l) }); err != nil {
		return err
	}
	if l.Term != meta.Term {
		return damaged(r.logs.path, "entry %d is of term %d, but the machine applied it in term %d", meta.Index, l.Term, meta.Term)
	}
	return nil
}

// checkTerm checks that the node's term is not older than what it stored in it.
func (r *Replica) checkTerm(meta fsm.Meta) error {
	term := meta.Term
	if _, last := r.logs.bounds(); last != 0 {
		var l raft.Log
		if err := guarded(r.logs.path, "read the log", func() error { return r.logs.read(last, &l) }); err != nil {
			return err
		}
		term = max(term, l.Term)
	}
	if have := r.stable.current().term; have < term {
		return damaged(r.stable.path, "term is %d, but entries of term %d are stored", have, term)
	}
	return nil
}
