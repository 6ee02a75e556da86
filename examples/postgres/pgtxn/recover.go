// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package pgtxn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hawserdb/hawser"
)

// Report says what was found prepared for an agent, and what became of it.
type Report struct {
	// Committed and RolledBack are finished.
	Committed, RolledBack []hawser.PreparedID
	// Pending are not decided, or a newer owner's.
	Pending []hawser.PreparedID
	// InDoubt are of another generation of the cluster. Somebody has to find out
	// what became of them, and to end them by hand.
	InDoubt []hawser.PreparedID
}

// Recover finishes what is prepared in the database for the agent of this claim
// and can be finished. The report is of what was done, with an error too. It may
// be called at any time, by an owner that was succeeded as well.
func (p *Participant) Recover(ctx context.Context) (Report, error) {
	if err := p.enter(ctx); err != nil {
		return Report{}, err
	}
	defer p.leave()
	return p.finish(ctx, "")
}

// keepRecovering recovers now and every so often, until ctx ends.
func (p *Participant) keepRecovering(ctx context.Context) {
	tick := time.NewTicker(p.cfg.Every)
	defer tick.Stop()
	for {
		report, err := p.Recover(ctx)
		for _, id := range report.Committed {
			p.cfg.Logger.Info("committed what was left over", "prepared", id)
		}
		for _, id := range report.RolledBack {
			p.cfg.Logger.Info("rolled back what was left over", "prepared", id)
		}
		for _, id := range report.InDoubt {
			p.cfg.Logger.Warn("in doubt: prepared in another life of the cluster, to be ended by hand", "prepared", id)
		}
		if err != nil && ctx.Err() == nil {
			p.cfg.Logger.Warn("cannot finish what is left over", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// finish does what is to be done about everything that is prepared for the agent,
// or what of it is of a transaction.
func (p *Participant) finish(ctx context.Context, txn string) (r Report, err error) {
	prepared, err := p.prepared(ctx, p.owner)
	if err != nil {
		return r, err
	}
	var errs []error
	for _, id := range prepared {
		if txn == "" || id.Txn == txn {
			errs = append(errs, p.finishOne(ctx, id, &r))
		}
	}
	return r, errors.Join(errs...)
}

func (p *Participant) finishOne(ctx context.Context, id hawser.PreparedID, r *Report) error {
	fate, err := p.fate(ctx, id)
	switch {
	case err != nil:
		return err
	case fate == pending:
		r.Pending = append(r.Pending, id)
	case fate == inDoubt:
		r.InDoubt = append(r.InDoubt, id)
	case fate == toCommit:
		if err := p.commit(ctx, id); err != nil {
			return err
		}
		r.Committed = append(r.Committed, id)
	case fate == toRollBack:
		if err := p.rollback(ctx, id); err != nil {
			return err
		}
		r.RolledBack = append(r.RolledBack, id)
	}
	return nil
}

// fate is what is to be done about something prepared.
type fate uint8

const (
	pending fate = iota
	toCommit
	toRollBack
	inDoubt
)

func (p *Participant) fate(ctx context.Context, id hawser.PreparedID) (fate, error) {
	switch {
	case id.Generation != p.owner.generation:
		return inDoubt, nil
	case id.Epoch > p.owner.epoch:
		return pending, nil // a newer owner's, who knows better
	}
	t, err := p.ask(ctx, id)
	switch {
	case errors.Is(err, hawser.ErrNotFound):
		return toRollBack, nil // had it counted, it would be remembered until it was committed
	case errors.Is(err, hawser.ErrWrongGeneration):
		return inDoubt, nil
	case err != nil:
		return pending, fmt.Errorf("pgtxn: ask what becomes of %s: %w", id, err)
	}
	return p.owner.fate(id, t), nil
}

// fate says what becomes of something that this owner or one before it has
// prepared, when the transaction stands like that.
func (o owner) fate(id hawser.PreparedID, t hawser.TxnInfo) fate {
	me := o.part(t)
	switch {
	case me == nil || t.State == hawser.TxnAborted:
		return toRollBack
	case me.Vote == hawser.VoteYes && me.Epoch != id.Epoch:
		return toRollBack // an agent votes once
	case t.State == hawser.TxnCommitted:
		return toCommit
	case me.Vote == hawser.VoteNone && id.Epoch < o.epoch:
		return toRollBack // who owns the agent no more cannot vote any more
	}
	return pending
}
