// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package read

import (
	"context"
	"slices"
	"sync"
	"time"
)

// asker asks voters on behalf of the running round, with at most one question
// open for each voter. A voter that still owes the answer to an older question
// is asked again when that has ended; the older answer does not count.
type asker struct {
	ask      func(ctx context.Context, voter string, term uint64) (Answer, error)
	onAnswer func(voter string, a Answer)
	timeout  time.Duration
	wg       sync.WaitGroup

	mu     sync.Mutex
	round  *round              // the running round, nil for none
	asking map[string]struct{} // voters with an open question
}

// round is one run of questions. Its channel has room for one reply of each
// voter, so that senders never wait.
type round struct {
	term    uint64
	voters  []string // to be asked: without the own node
	replies chan reply
	asked   []bool // by position in voters; guarded by asker.mu
}

type reply struct {
	voter string
	Answer
	err error
}

// begin makes r the running round and asks everybody who can be asked now.
func (a *asker) begin(ctx context.Context, r *round) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.round = r
	for i := range r.voters {
		a.askLocked(ctx, r, i)
	}
}

// end makes answers that are still to come count for nothing.
func (a *asker) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.round = nil
}

// askLocked asks voter i of r unless it has an open question or was asked in
// this round before.
func (a *asker) askLocked(ctx context.Context, r *round, i int) {
	voter := r.voters[i]
	if _, open := a.asking[voter]; open || r.asked[i] || ctx.Err() != nil {
		return
	}
	r.asked[i] = true
	a.asking[voter] = struct{}{}
	a.wg.Go(func() {
		r.replies <- a.question(ctx, voter, r.term)
		a.answered(ctx, voter)
	})
}

// question asks voter once and hands its answer on.
func (a *asker) question(ctx context.Context, voter string, term uint64) reply {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	answer, err := a.ask(ctx, voter, term)
	if err == nil && answer.Node == voter && a.onAnswer != nil {
		a.onAnswer(voter, answer)
	}
	return reply{voter: voter, Answer: answer, err: err}
}

// answered closes voter's question and asks it for the round that began
// meanwhile, if any.
func (a *asker) answered(ctx context.Context, voter string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.asking, voter)
	if a.round == nil {
		return
	}
	if i := slices.Index(a.round.voters, voter); i >= 0 {
		a.askLocked(ctx, a.round, i)
	}
}
