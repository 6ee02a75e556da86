// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/hawserdb/hawser"
)

// settle asks what became of the handle's open write, if there is one. If it
// was executed, the position moves to what it made. If not (yet), the position
// stays and the write stays open: should it still arrive, it meets the same
// condition as the next write, and only one of them is executed.
//
// An error means that the question could not be answered; op, for which it was
// asked, was not sent.
func (a *Agent) settle(ctx context.Context, op string) error {
	open := a.position().open
	if open == nil {
		return nil
	}
	out, err := a.client.outcome(ctx, *open)
	switch {
	case err == nil:
	case hawser.CodeOf(err).Retry() == hawser.RetryNever && !ended(err):
		// No later question will be answered either, for example after the
		// cluster was restored. The condition of the next write decides.
		a.forget()
		return nil
	default:
		return &hawser.Error{
			Code: hawser.CodeOf(err), Op: op, Key: a.id.String(),
			Msg: fmt.Sprintf("nothing was sent, the outcome of the %s before it could not be found out", open.Kind), Err: err,
		}
	}
	switch out.State {
	case OutcomeDone:
		a.settled(*open, out)
	case OutcomeExpired:
		a.forget()
	case OutcomeNotDone:
	}
	return nil
}

// settled moves the position to what the open write made.
func (a *Agent) settled(open hawser.RequestID, out Outcome) {
	if !open.Kind.MakesVersion() {
		a.setPosition(position{seen: out.Number, generation: out.Generation})
		return
	}
	a.setPosition(positionAt(out.Version, out.Generation))
}

func (a *Agent) forget() {
	p := a.position()
	p.open = nil
	a.setPosition(p)
}

// ended reports whether err comes from the end of the caller's time or of the
// client, not from the cluster.
func ended(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errClosed)
}
