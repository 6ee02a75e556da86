// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// ballot is one agent's vote in one transaction.
type ballot struct {
	w          *attendant
	id         hawser.TxnID
	req        TxnRequest
	generation hawser.Generation
	// prepared: Prepare has succeeded once.
	prepared bool
}

// cast prepares and votes, again and again until a vote is taken. It is false
// when ctx ended before, or with the error that says why there can be none. A
// vote that is sent is waited for beyond ctx, until voting ends: the decision
// that makes preparing futile is often that vote's own, and overtakes its answer.
func (b *ballot) cast(ctx, voting context.Context) (bool, error) {
	if head := b.w.agent.Head(); head > b.req.Head {
		b.req.Head = head // saved by this process since the news
	}
	for backoff := firstBackoff; ctx.Err() == nil; backoff = min(2*backoff, time.Second) {
		next, err := b.w.participant.Prepare(ctx, b.req)
		if no, ok := errors.AsType[*voteNoError](err); ok {
			return b.no(voting, no.reason)
		}
		if err == nil {
			b.prepared = true
			if err = b.yes(voting, next); err == nil {
				return true, nil
			}
			conflict, ok := errors.AsType[*hawser.ConflictError](err)
			switch {
			case ok && conflict.Head.Number != b.req.Head:
				b.req.Head = conflict.Head.Number
				continue
			case ok: // it moves while we look
				err = nil
			}
			if err != nil && !isPassing(err) && !errors.Is(err, hawser.ErrTxnLocked) && !errors.Is(err, hawser.ErrOverloaded) {
				return false, err
			}
		}
		if pauseFor(ctx, backoff/2+rand.N(backoff)) != nil {
			break
		}
	}
	return false, context.Cause(ctx)
}

// no votes no, after what was prepared before has been undone.
func (b *ballot) no(ctx context.Context, reason string) (bool, error) {
	if b.prepared {
		if err := insist(ctx, func() error { return b.w.rollback(ctx, b.id) }); err != nil {
			return false, err
		}
	}
	err := insistIf(ctx, isPassing, func() error { return b.send(ctx, false, reasonOf(errors.New(reason))) })
	return err == nil, err
}

// quiet reports whether a decision leaves nothing to do.
func (b *ballot) quiet() bool {
	return b.w.participant.Commit == nil && b.w.participant.Rollback == nil
}

// yes votes for what the agent's state becomes, nil for what it is.
func (b *ballot) yes(ctx context.Context, next []byte) error {
	if next == nil {
		return insistIf(ctx, isPassing, func() error { return b.send(ctx, true, "") })
	}
	a := b.w.agent
	if err := (&saveOptions{}).check(a.id, len(next)); err != nil {
		return err
	}
	out := newOutgoing(next)
	req := a.saveRequest(&saveOptions{writeOptions: writeOptions{fence: b.w.fence}})
	req.Vote = &hawserv1.StagedVote{Txn: b.id.ID, Quiet: b.quiet()}
	head := b.req.Head
	id := hawser.RequestID{Nonce: hawser.NewNonce(), Kind: hawser.RequestTxn, Agent: a.id, Generation: b.generation, Seen: head, Expect: &head}
	// The decision may be told before the vote's answer comes.
	b.w.staged = &stagedState{txn: b.id.ID, state: bytes.Clone(next), at: versionAt{agent: a.id, generation: b.generation, sha: out.hash}}
	repeat := false
	var resp *hawserv1.SaveResponse
	err := insistIf(ctx, isPassing, func() (err error) {
		resp, err = a.sendState(ctx, out, req, id, repeat)
		repeat = true
		return err
	})
	if err != nil {
		return err
	}
	b.w.staged.at.chain, b.w.staged.answered = wire.ChainFromProto(resp.GetChain()), true
	return nil
}

// send votes without a state.
func (b *ballot) send(ctx context.Context, yes bool, reason string) error {
	req := &hawserv1.VoteRequest{
		Id: wire.TxnIDToProto(b.id), Agent: wire.AgentToProto(b.w.agent.id), Yes: yes, Reason: reason, Fence: b.w.fence,
		Quiet: yes && b.quiet(), Generation: uint64(b.generation),
	}
	return b.w.agent.client.do(ctx, &call{
		op: "vote", key: b.id.String(), write: true, harmless: true, leader: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			resp, err := hawserv1.NewTransactionsClient(s.conn).Vote(ctx, req, s.options...)
			return resp.GetHeader(), err
		},
	})
}
