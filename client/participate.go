// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// Participant is what an agent does for the transactions that it takes part in.
// Its functions are called one at a time. Each may be called again for the same
// transaction, by this process or by the next owner of the agent, until it
// succeeds: they are idempotent by the transaction's id.
type Participant struct {
	// Prepare does the agent's part as far as it can still be undone, and
	// returns what its state becomes if the transaction commits; nil leaves the
	// state as it is. [VoteNo] votes no; after any other error it is called
	// again until the deadline. Its context ends when the transaction is
	// decided without it. It is required.
	Prepare func(ctx context.Context, req TxnRequest) (next []byte, err error)
	// Commit makes it last: the transaction is committed, and the state is the
	// version, 0 if it stayed as it was. An error has it called again. nil means
	// that there is nothing to do.
	Commit func(ctx context.Context, id hawser.TxnID, version uint64) error
	// Rollback undoes it: the transaction is aborted. It may be called for a
	// transaction of which Prepare was not. nil means that there is nothing to
	// do.
	Rollback func(ctx context.Context, id hawser.TxnID) error
}

// TxnRequest is what a transaction asks of an agent.
type TxnRequest struct {
	ID hawser.TxnID
	// Payload is from the initiator.
	Payload []byte
	// Deadline is on the cluster's clock; Prepare's context ends then.
	Deadline time.Time
	// Prepared is the name under which to prepare in a resource that does
	// two-phase commit itself; see [hawser.PreparedID].
	Prepared hawser.PreparedID
	// Head is the agent's newest version, 0 for none, on which the next state is
	// to be based. If it moves before the vote, Prepare is called again.
	Head uint64
}

// voteNoError is an error that votes no.
type voteNoError struct{ reason string }

func (v *voteNoError) Error() string { return "votes no: " + v.reason }

// VoteNo is the error by which a Prepare aborts a transaction for good. The
// reason, at most hawser.MaxReason bytes, is told to all who ask.
func VoteNo(reason string) error { return &voteNoError{reason} }

// Participate takes part in the agent's transactions until ctx or the claim
// ends; then it returns why. What it had not finished the agent's next owner
// goes on with: a yes binds the agent, not the process.
//
// A state that a transaction made is the handle's head from then on, as if it
// had saved it. From the yes to the decision other writes to the agent are
// refused with *hawser.TxnLockedError.
func (c *Claim) Participate(ctx context.Context, p Participant) error {
	return c.Do(ctx, func(ctx context.Context) error {
		err := c.agent.participate(ctx, p, c.grant.GetToken())
		if lost := c.Err(); lost != nil {
			return lost
		}
		return err
	})
}

// Participate is [Claim.Participate] for an agent that nobody claims. Only one
// process may do it.
func (a *Agent) Participate(ctx context.Context, p Participant) error {
	return a.participate(ctx, p, 0)
}

func (a *Agent) participate(ctx context.Context, p Participant, fence uint64) error {
	if a.err != nil {
		return a.err
	}
	if p.Prepare == nil {
		return &hawser.Error{Code: hawser.CodeInvalid, Op: "participate", Key: a.id.String(), Msg: "it needs a Prepare"}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := &attendant{agent: a, fence: fence, participant: p, news: newMailbox()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		cancel(w.listen(ctx))
	}()
	err := w.attend(ctx)
	cancel(err)
	<-done
	return err
}

// attendant takes part in an agent's transactions. listen and attend run in a
// goroutine each.
type attendant struct {
	agent       *Agent
	fence       uint64
	participant Participant
	news        *mailbox

	// What follows is attend's own.

	// voted is the id of the last transaction that was voted in, and staged what
	// came with a yes, nil for none.
	voted  string
	staged *stagedState
	// finished are decisions that were acknowledged and may still be told of.
	finished map[string]bool
}

// stagedState is what a vote has staged.
type stagedState struct {
	txn   string
	state []byte
	at    versionAt // but for the number
	// answered: the chain of at is known.
	answered bool
}

// listen has the news told until ctx ends, or for good.
func (w *attendant) listen(ctx context.Context) error {
	req := &hawserv1.ParticipateRequest{Agent: wire.AgentToProto(w.agent.id)}
	for {
		err := follow(ctx, w.agent.client, &call{op: "participate", key: w.agent.id.String(), leader: true},
			func(ctx context.Context, s sending) (grpc.ServerStreamingClient[hawserv1.ParticipateResponse], error) {
				return hawserv1.NewTransactionsClient(s.conn).Participate(ctx, req, s.options...)
			},
			func(m *hawserv1.ParticipateResponse) bool {
				w.news.put(m)
				return ctx.Err() == nil
			})
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && !isPassing(err) && !errors.Is(err, hawser.ErrCompacted) && !errors.Is(err, hawser.ErrOverloaded):
			return err
		}
		if pauseFor(ctx, firstBackoff+rand.N(firstBackoff)) != nil {
			return context.Cause(ctx)
		}
	}
}

// attend does what the news asks for until ctx ends, or it cannot go on.
func (w *attendant) attend(ctx context.Context) error {
	w.finished = make(map[string]bool)
	for {
		m, err := w.news.next(ctx)
		if err != nil {
			return err
		}
		if err := w.adopt(ctx, m); err != nil {
			return err
		}
		for _, t := range m.GetOpen() {
			if err := w.finish(ctx, wire.TxnFromProto(t), m.GetHeader().GetGeneration()); err != nil {
				return err
			}
		}
		w.tidy(m)
		if err := w.vote(ctx, m); err != nil {
			return err
		}
	}
}

// adopt moves the handle to a version that a transaction made of what this
// process has staged.
func (w *attendant) adopt(ctx context.Context, m *hawserv1.ParticipateResponse) error {
	head := m.GetHead()
	if w.staged == nil || head.GetTxn() != w.staged.txn {
		return nil
	}
	v := wire.VersionFromProto(head)
	if v.SHA256 != w.staged.at.sha {
		return nil
	}
	if err := w.agent.take(ctx, "participate"); err != nil {
		return err
	}
	w.agent.adopt(v, w.staged.at.generation)
	w.agent.give()
	at := w.staged.at
	at.number = v.Number
	if w.staged.answered {
		w.agent.client.cache.keep(at, w.staged.state)
	}
	w.staged = nil
	return nil
}

// tidy forgets what is not told of any more.
func (w *attendant) tidy(m *hawserv1.ParticipateResponse) {
	told := make(map[string]bool, len(m.GetOpen()))
	for _, t := range m.GetOpen() {
		told[t.GetId().GetId()] = true
	}
	for id := range w.finished {
		if !told[id] {
			delete(w.finished, id)
		}
	}
}

// finish does what a decision says, and acknowledges it.
func (w *attendant) finish(ctx context.Context, t hawser.TxnInfo, generation uint64) error {
	if w.finished[t.ID.ID] {
		return nil
	}
	if err := insist(ctx, func() error { return w.act(ctx, t) }); err != nil {
		return err
	}
	req := &hawserv1.AcknowledgeRequest{
		Id: wire.TxnIDToProto(t.ID), Agent: wire.AgentToProto(w.agent.id), Committed: t.State == hawser.TxnCommitted, Fence: w.fence,
		Generation: generation,
	}
	err := insistIf(ctx, isPassing, func() error {
		return w.agent.client.do(ctx, &call{
			op: "acknowledge", key: t.ID.String(), write: true, harmless: true, leader: true,
			send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
				resp, err := hawserv1.NewTransactionsClient(s.conn).Acknowledge(ctx, req, s.options...)
				return resp.GetHeader(), err
			},
		})
	})
	if err != nil && !errors.Is(err, hawser.ErrNotFound) { // somebody has resolved it, and it is over
		return err
	}
	w.finished[t.ID.ID] = true
	return nil
}

func (w *attendant) act(ctx context.Context, t hawser.TxnInfo) error {
	if t.State == hawser.TxnAborted {
		return w.rollback(ctx, t.ID)
	}
	if w.participant.Commit == nil {
		return nil
	}
	version := uint64(0)
	for _, p := range t.Participants {
		if p.Agent == w.agent.id {
			version = p.Version
		}
	}
	return w.participant.Commit(ctx, t.ID, version)
}

func (w *attendant) rollback(ctx context.Context, id hawser.TxnID) error {
	if w.participant.Rollback == nil {
		return nil
	}
	return w.participant.Rollback(ctx, id)
}

// vote votes in the transaction whose turn it is, unless the agent has.
func (w *attendant) vote(ctx context.Context, m *hawserv1.ParticipateResponse) error {
	t := wire.TxnFromProto(m.GetTurn())
	if m.GetTurn() == nil || t.State.Decided() || t.ID.ID == w.voted {
		return nil
	}
	if w.bound(t) {
		return nil
	}
	left := t.DeadlineAt.Sub(m.GetHeader().GetMachineTime().AsTime())
	voting, end := context.WithTimeout(ctx, max(left, 0))
	defer end()
	preparing, cancel := context.WithCancel(voting)
	defer cancel()
	defer w.news.watch(t.ID.ID, cancel)()
	b := &ballot{
		w: w, id: t.ID, generation: hawser.Generation(m.GetHeader().GetGeneration()),
		req: TxnRequest{ID: t.ID, Payload: m.GetPayload(), Deadline: t.DeadlineAt, Prepared: w.prepared(m, t.ID), Head: m.GetHead().GetNumber()},
	}
	cast, err := b.cast(preparing, voting)
	switch {
	case cast:
		w.voted = t.ID.ID
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil && preparing.Err() == nil && !over(err):
		return err
	}
	w.voted = t.ID.ID
	return w.settle(ctx, t.ID, b.generation)
}

// settle is for a transaction in which no vote is known to be taken: it was
// decided without this agent, or is about to be, and what was prepared is undone;
// or the answer to the vote did not come in time, or an owner before has voted.
// Then the yes counts, and the decision is told like any other: what was promised
// must not be undone.
func (w *attendant) settle(ctx context.Context, id hawser.TxnID, generation hawser.Generation) error {
	aborted := false
	err := insistIf(ctx, isPassing, func() error {
		t, err := w.agent.client.showTxn(ctx, id.ID, &hawserv1.ReadOptions{
			Consistency: hawserv1.Consistency_CONSISTENCY_LINEARIZABLE, Generation: uint64(generation), // a node that is behind may not have it yet
		})
		switch {
		case errors.Is(err, hawser.ErrNotFound) || err == nil && t.State == hawser.TxnAborted:
			aborted = true
			return nil
		case err == nil && t.State == hawser.TxnPending && !w.bound(t):
			return &hawser.Error{Code: hawser.CodeUnavailable, Op: "settle", Key: id.String(), Msg: "it is not decided"}
		}
		return err
	})
	if err != nil || !aborted {
		return err
	}
	return insist(ctx, func() error { return w.rollback(ctx, id) })
}

// bound reports whether the agent has voted.
func (w *attendant) bound(t hawser.TxnInfo) bool {
	return slices.ContainsFunc(t.Participants, func(p hawser.TxnParticipant) bool {
		return p.Agent == w.agent.id && p.Vote != hawser.VoteNone
	})
}

func (w *attendant) prepared(m *hawserv1.ParticipateResponse, id hawser.TxnID) hawser.PreparedID {
	var cluster [16]byte
	copy(cluster[:], m.GetHeader().GetClusterId())
	_, epoch := hawser.SplitToken(w.fence)
	return hawser.NewPreparedID(cluster, hawser.Generation(m.GetHeader().GetGeneration()), id, w.agent.id, epoch)
}

// over is for the answers to a vote that comes too late.
func over(err error) bool {
	return errors.Is(err, hawser.ErrRefused) || errors.Is(err, hawser.ErrNotFound) || errors.Is(err, hawser.ErrRequestMismatch)
}

// insist calls f until it succeeds, or ctx ends.
func insist(ctx context.Context, f func() error) error {
	return insistIf(ctx, func(error) bool { return true }, f)
}

// insistIf calls f again after errors that are worth it, until ctx ends.
func insistIf(ctx context.Context, worth func(error) bool, f func() error) error {
	for backoff := firstBackoff; ; backoff = min(2*backoff, time.Second) {
		err := f()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !worth(err):
			return err
		}
		if pauseFor(ctx, backoff/2+rand.N(backoff)) != nil {
			return context.Cause(ctx)
		}
	}
}

func pauseFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
