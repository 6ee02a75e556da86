// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

// Participant is the agent's part in transactions, between its steps: from its yes
// to the decision no step is done, and steps see what a committed one has made of
// the state. Its functions may be called again for one transaction, as those of
// [client.Participant].
type Participant[S any] struct {
	// Prepare returns what the state becomes if the transaction commits. The state
	// that it gets is a copy, to be changed at will. [client.VoteNo] votes no; after
	// any other error it is called again until the deadline.
	Prepare func(ctx context.Context, state *S, req client.TxnRequest) (next *S, err error)
	// Commit and Rollback are told of the decision; nil is nothing to do.
	Commit   func(ctx context.Context, id hawser.TxnID, version uint64) error
	Rollback func(ctx context.Context, id hawser.TxnID) error
}

// participate takes part in transactions until the ownership ends.
func (t *tenure[S]) participate(ctx context.Context) error {
	return t.claim.Participate(ctx, client.Participant{Prepare: t.prepare, Commit: t.commit, Rollback: t.rollback})
}

// prepare waits for the end of the step, saves what is finished, which the next
// state is based on, and has the state changed.
func (t *tenure[S]) prepare(ctx context.Context, req client.TxnRequest) (next []byte, err error) {
	holder := holderOf(req.ID)
	if err := t.turns.take(ctx, nil, holder); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			t.turns.give(holder)
		}
	}()
	if err := t.saveFinished(ctx); err != nil {
		return nil, err
	}
	data, err := t.encode(t.state)
	if err != nil {
		return nil, err
	}
	state := new(S)
	if err := t.cfg.Codec.Decode(data, state); err != nil {
		return nil, err
	}
	if state, err = t.cfg.Participant.Prepare(ctx, state, req); err != nil {
		return nil, err
	}
	if next, err = t.encode(state); err == nil {
		t.staged = state
	}
	return next, err
}

// commit has the state be what the transaction has made of it. One of which an
// owner before has prepared the state that was not restored yet ends the tenure: what
// was done since is based on another one.
func (t *tenure[S]) commit(ctx context.Context, id hawser.TxnID, version uint64) error {
	holder := holderOf(id)
	switch {
	case t.turns.has(holder):
		if version != 0 && t.staged != nil {
			t.state = t.staged
		}
	case version > t.claim.Agent().Head():
		err := &hawser.Error{Code: hawser.CodeConflict, Op: "commit", Key: id.String(), Msg: fmt.Sprintf("it has made version %d, which is to be restored first", version)}
		t.quit(err)
		return err
	default:
		if err := t.turns.take(ctx, nil, holder); err != nil {
			return err
		}
		t.staged = nil
	}
	if commit := t.cfg.Participant.Commit; commit != nil {
		if err := commit(ctx, id, version); err != nil {
			return err
		}
	}
	t.staged = nil
	t.turns.give(holder)
	return nil
}

func (t *tenure[S]) rollback(ctx context.Context, id hawser.TxnID) error {
	if rollback := t.cfg.Participant.Rollback; rollback != nil {
		if err := rollback(ctx, id); err != nil {
			return err
		}
	}
	t.turns.give(holderOf(id))
	return nil
}

func holderOf(id hawser.TxnID) string { return "transaction " + id.String() }
