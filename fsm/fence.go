// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import "github.com/hawserdb/hawser"

// authority is what a write shows to be let through to an agent that is, or was,
// claimed.
type authority struct {
	// fence is the token of the claim, 0 for none.
	fence uint64
	// force ends whatever claim there is, instead.
	force bool
}

// authorise returns the epoch under which a write is made, 0 for none, or why
// it is refused. An agent that was claimed takes no write without a fence
// until it is unclaimed; a fence is good while its claim is live and its lease
// open.
func (c *changes) authorise(op string, a *agent, by authority) (epoch uint64, refusal, err error) {
	if by.fence == 0 && (by.force || !a.fenced) {
		return 0, nil, nil
	}
	r := &resource{}
	if a.busy {
		if r, err = c.resource(claimOf(a.id)); err != nil {
			return 0, nil, err
		}
	}
	live := r.live()
	if by.fence == 0 {
		return 0, fencedError(a, live), nil
	}
	generation, number := hawser.SplitToken(by.fence)
	if uint64(generation) != c.state.generation {
		return 0, wrongGeneration(op, a.id, uint64(generation), c.state.generation), nil
	}
	if live == nil || live.number != number {
		return 0, fencedError(a, live), nil
	}
	l, err := c.lease(live.lease)
	if err != nil {
		return 0, nil, err
	}
	if !l.isOpen() {
		return 0, fencedError(a, nil), nil
	}
	return number, nil, nil
}

func fencedError(a *agent, live *holder) error {
	e := &hawser.FencedError{Agent: a.id, Epoch: a.epoch}
	if live != nil {
		e.Owner = live.instance
	}
	return e
}

// depose ends the claim of an agent, if there is one, from outside. The
// command at hand makes a revision.
func (c *changes) depose(a *agent, reason string) error {
	if !a.busy {
		return nil
	}
	r, err := c.resource(claimOf(a.id))
	if err != nil || r.live() == nil {
		return err
	}
	return c.end(r, 0, reason)
}
