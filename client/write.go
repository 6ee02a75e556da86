// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"

	"github.com/hawserdb/hawser"
)

// maxRenewals bounds how often one write gets a new request id.
const maxRenewals = 3

// sender sends one request under an id, with the repetitions that it takes.
// repeat says that the id was sent before.
type sender func(ctx context.Context, id hawser.RequestID, repeat bool) (hawser.Version, error)

// write sends a request that makes a version, under the id of the options or
// under ids of its own until one is answered for good. The caller has the turn.
func (a *Agent) write(ctx context.Context, kind hawser.RequestKind, o *writeOptions, send sender) (hawser.Version, error) {
	if o.id != nil {
		return send(ctx, *o.id, true)
	}
	if o.condition == conditionHandle {
		if err := a.settle(ctx, kind.String()); err != nil {
			return hawser.Version{}, err
		}
	}
	for renewals := 0; ; renewals++ {
		v, err := send(ctx, a.mint(kind, o), false)
		if err == nil || renewals == maxRenewals {
			return v, err
		}
		again, renewErr := a.renew(ctx, kind, o, err)
		if renewErr != nil {
			return hawser.Version{}, renewErr
		}
		if !again {
			return hawser.Version{}, err
		}
	}
}

// renew reports whether a write that was not executed, for the reason in err,
// is sent again under a new id.
func (a *Agent) renew(ctx context.Context, kind hawser.RequestKind, o *writeOptions, err error) (bool, error) {
	if errors.Is(err, hawser.ErrOutcomeUnknown) {
		return false, nil
	}
	if conflict, ok := errors.AsType[*hawser.ConflictError](err); ok && o.condition == conditionHandle && a.position().open != nil {
		// Our own unknown write may have arrived in the meantime.
		if settleErr := a.settle(ctx, kind.String()); settleErr != nil {
			return false, err // the conflict stands, whatever it was made by
		}
		return a.position().head == conflict.Head.Number, nil
	}
	if errors.Is(err, hawser.ErrRequestExpired) {
		// The agent moved on by more than the window since the handle saw it.
		// A new id with the newest number is safe: the old one was not executed,
		// and the condition stays what it is.
		return true, a.look(ctx)
	}
	if errors.Is(err, hawser.ErrWrongGeneration) && a.isTimeless(o) {
		// Only the client's idea of the generation was old; any answer renews it.
		_, statusErr := a.client.status(ctx)
		return true, statusErr
	}
	return false, nil
}

// isTimeless reports whether a write rests on no number of a former life of
// the cluster.
func (a *Agent) isTimeless(o *writeOptions) bool {
	switch o.condition {
	case conditionHandle:
		return a.position().generation == 0
	case conditionVersion:
		return o.expect == 0
	case conditionNone:
	}
	return true
}

// look reads the newest number of the agent's chain. The handle's head stays.
func (a *Agent) look(ctx context.Context) error {
	found, generation, err := a.client.show(ctx, a.id)
	if err != nil && !errors.Is(err, hawser.ErrNotFound) {
		return err
	}
	p := a.position()
	if p.generation != 0 && generation != p.generation {
		return nil // the next id is refused or refreshed by its generation
	}
	p.seen, p.generation = max(p.seen, found.Head), generation
	a.setPosition(p)
	return nil
}

// remember keeps the id of a write whose outcome is unknown.
func (a *Agent) remember(id hawser.RequestID, err error) {
	if !errors.Is(err, hawser.ErrOutcomeUnknown) {
		return
	}
	p := a.position()
	p.open = &id
	a.setPosition(p)
}
