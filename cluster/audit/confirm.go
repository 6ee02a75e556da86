// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"slices"
	"time"

	"github.com/hawserdb/hawser/fsm"
)

const (
	// independent is how many other voters confirm a state at once: one of them may be
	// the one that it came from.
	independent = 2
	// uncontradicted is how many times in a row it must be that one voter confirms a state
	// and all others answer and do not contradict, where there are not so many: what is
	// wrong the others notice within two audits.
	uncontradicted = 10
)

// confirm asks the other voters, at every interval, about a state that was taken over
// from one of them, until it is confirmed.
func (a *Auditor) confirm(ctx context.Context) {
	tick := time.NewTicker(a.cfg.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if own, adopted := a.unconfirmed(); adopted != 0 {
			a.confirmed(adopted, a.poll(ctx, own))
		}
	}
}

// unconfirmed returns what this node had at its last audit after a state was taken over,
// and that state's last entry: 0 if there is none to confirm, or no such audit yet.
func (a *Auditor) unconfirmed() (own fsm.Mark, adopted uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := len(a.marks)
	if a.adopted == 0 || n == 0 || a.marks[n-1].Index <= a.adopted || a.suspect != 0 {
		return own, 0
	}
	return a.marks[n-1], a.adopted
}

// answers are how many other voters have the same, have something else, and could not be
// asked; the rest cannot tell.
type answers struct{ same, other, failed int }

func (a *Auditor) poll(ctx context.Context, own fsm.Mark) (got answers) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	voters := slices.DeleteFunc(slices.Clone(a.cfg.Peers.Voters()), func(id string) bool { return id == a.cfg.Self })
	said := make(chan answers, len(voters))
	for _, voter := range voters {
		go func() { // which ends with its call
			digest, known, err := a.cfg.Peers.Compare(ctx, voter, own)
			switch {
			case err != nil:
				said <- answers{failed: 1}
			case !known:
				said <- answers{}
			case digest == own.Digest:
				said <- answers{same: 1}
			default:
				said <- answers{other: 1}
			}
		}()
	}
	for range voters {
		one := <-said
		got.same, got.other, got.failed = got.same+one.same, got.other+one.other, got.failed+one.failed
	}
	return got
}

// confirmed takes in what others have said of a state that was taken over.
func (a *Auditor) confirmed(adopted uint64, got answers) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.adopted != adopted || a.suspect != 0:
		return
	case got.other > 0 || got.failed > 0 && got.same < independent || got.same == 0:
		a.confirmations = 0
		return
	}
	if a.confirmations++; got.same >= independent || a.confirmations >= uncontradicted {
		a.adopted, a.confirmations = 0, 0
	}
}
