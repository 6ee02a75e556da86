// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

// restored is what an agent goes on with.
type restored[S any] struct {
	state   *S
	version uint64
	effects []hawser.Effect
}

// restore returns the newest state that is good, and rolls back to it if that is
// not the newest.
func (r *runner[S]) restore(ctx context.Context, claim *client.Claim) (restored[S], error) {
	head, err := claim.Restore(ctx, client.WithoutMessages())
	if errors.Is(err, hawser.ErrNotFound) {
		r.tell(Event{Kind: Restored})
		return restored[S]{state: r.cfg.New()}, nil
	}
	bad := err
	if err == nil {
		state, err := decode(r.cfg, head.Version.Number, head.Version.Schema, head.State)
		if err == nil {
			r.tell(Event{Kind: Restored, Version: head.Version.Number})
			return restored[S]{state, head.Version.Number, head.Effects}, nil
		}
		bad = err
	}
	if !damage(bad) {
		return restored[S]{}, bad
	}
	return r.walkBack(ctx, claim, bad)
}

// damage is for errors that an older version may not have.
func damage(err error) bool {
	_, own := errors.AsType[unsoundError](err)
	return own || errors.Is(err, hawser.ErrCorrupt)
}

// walkBack rolls back to the newest version that is good.
func (r *runner[S]) walkBack(ctx context.Context, claim *client.Claim, bad error) (restored[S], error) {
	a := claim.Agent()
	var newest uint64
	for v, err := range a.Versions(ctx) {
		if err != nil {
			return restored[S]{}, err
		}
		if newest == 0 {
			newest = v.Number
			r.bad(ctx, v.Number, bad)
			continue
		}
		cp, err := a.Restore(ctx, client.AtVersion(v.Number))
		if err == nil {
			_, err = decode(r.cfg, v.Number, cp.Version.Schema, cp.State)
		}
		if err == nil {
			return r.rollBack(ctx, claim, v.Number, newest)
		}
		if !damage(err) && !errors.Is(err, hawser.ErrVersionGone) {
			return restored[S]{}, err
		}
		r.bad(ctx, v.Number, err)
	}
	return restored[S]{}, &hawser.Error{
		Code: hawser.CodeCorrupt, Op: "restore", Key: r.cfg.Name,
		Msg: "it has versions and none of them is good; nothing was written", Err: bad,
	}
}

// bad tells of a version with which the agent cannot go on.
func (r *runner[S]) bad(ctx context.Context, version uint64, err error) {
	e := Event{Kind: Bad, Version: version, Err: err}
	r.tell(e)
	r.note(ctx, e)
}

// rollBack makes a version of a good one, after it has pinned the newest bad one.
func (r *runner[S]) rollBack(ctx context.Context, claim *client.Claim, good, newest uint64) (restored[S], error) {
	// That it is kept for people to look at is worth no outage.
	if _, err := claim.Agent().Pin(ctx, newest); err != nil {
		r.cfg.Logger.Warn("agent: the bad version could not be pinned", "agent", r.cfg.Name, "version", newest, "error", err)
	}
	// Conditional on the bad one, which the handle may not have seen.
	v, err := claim.Rollback(ctx, good, client.ExpectVersion(newest))
	if err != nil {
		return restored[S]{}, fmt.Errorf("roll back from version %d to %d: %w", newest, good, err)
	}
	r.tell(Event{Kind: RolledBack, Version: v.Number, Err: fmt.Errorf("version %d is bad, %d is the newest that is good", newest, good)})
	cp, err := claim.Restore(ctx, client.WithoutMessages())
	if err != nil {
		return restored[S]{}, err
	}
	state, err := decode(r.cfg, cp.Version.Number, cp.Version.Schema, cp.State)
	if err != nil {
		return restored[S]{}, err
	}
	r.tell(Event{Kind: Restored, Version: cp.Version.Number})
	return restored[S]{state, cp.Version.Number, cp.Effects}, nil
}
