// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package read

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hawserdb/hawser"
)

// round runs one round for callers that have all arrived before. The order of
// its steps is what makes it right; see the package comment.
func (x *Indexer) round(ctx context.Context) (uint64, error) {
	ready := x.cfg.ReadyTerm()
	if ready == 0 || x.cfg.Term() != ready {
		return 0, notLeader("this node does not lead, or not yet")
	}
	index := x.cfg.CommitIndex()
	confirmed := func(r reply) (bool, error) {
		if r.Term > ready {
			return false, notLeader(fmt.Sprintf("node %s is in term %d, this node leads in term %d", r.voter, r.Term, ready))
		}
		return r.Term == ready, nil
	}
	if err := x.poll(ctx, ready, confirmed); err != nil {
		return 0, err
	}
	if x.cfg.Term() != ready {
		return 0, notLeader("the term moved on while the voters were asked")
	}
	return index, nil
}

// poll asks all voters and returns nil once a majority's answers count, the own
// one included. counts may refuse the whole poll.
func (x *Indexer) poll(ctx context.Context, term uint64, counts func(reply) (bool, error)) error {
	voters := slices.Clone(x.cfg.Voters())
	missing := len(voters)/2 + 1
	others := slices.DeleteFunc(voters, func(v string) bool { return v == x.cfg.Self })
	if len(others) < len(voters) {
		missing--
	}
	if missing <= 0 {
		return nil
	}
	r := &round{term: term, voters: others, replies: make(chan reply, len(others)), asked: make([]bool, len(others))}
	timeout := time.NewTimer(x.cfg.RoundTimeout)
	defer timeout.Stop()
	x.asker.begin(ctx, r)
	defer x.asker.end()
	for open := len(others); missing > 0; {
		if open < missing {
			return noMajority("too many voters cannot be reached or are behind")
		}
		select {
		case <-ctx.Done():
			return closedError(op)
		case <-timeout.C:
			return noMajority(fmt.Sprintf("no majority of the voters answered within %v", x.cfg.RoundTimeout))
		case answer := <-r.replies:
			open--
			if answer.err != nil || answer.Node != answer.voter {
				continue
			}
			counted, err := counts(answer)
			if err != nil {
				return err
			}
			if counted {
				missing--
			}
		}
	}
	return nil
}

// sampleRequest asks the loop for a poll. done has room for the result.
type sampleRequest struct {
	term uint64
	done chan error
}

// Sample asks all voters about themselves for a node that leads in term but is
// not ready yet, and returns once a majority answered, the own node included,
// whatever their terms. The answers go to OnAnswer. It proves nothing for
// reads: it is how a new leader learns the voters' wall clocks. Errors are
// those of LeaderIndex.
func (x *Indexer) Sample(ctx context.Context, term uint64) error {
	request := sampleRequest{term: term, done: make(chan error, 1)}
	select {
	case x.samples <- request:
	case <-x.closing:
		return closedError("ask the voters")
	case <-ctx.Done():
		return ended("ask the voters", ctx.Err())
	}
	select {
	case err := <-request.done:
		return err
	case <-ctx.Done():
		return ended("ask the voters", ctx.Err())
	}
}

func (x *Indexer) sample(ctx context.Context, term uint64) error {
	return x.poll(ctx, term, func(reply) (bool, error) { return true, nil })
}

func notLeader(why string) error {
	return &hawser.Error{Code: hawser.CodeNotLeader, Op: op, Msg: why}
}

func noMajority(why string) error {
	return &hawser.Error{Code: hawser.CodeUnavailable, Op: op, Msg: why + "; repeat"}
}
