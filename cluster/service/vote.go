// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"crypto/sha256"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/delta"
	"github.com/hawserdb/hawser/internal/wire"
)

// staging returns the vote that a save is, nil when it is one.
func staging(command *fsm.Save, m *hawserv1.StagedVote) (*fsm.VoteTxn, error) {
	if m == nil {
		return nil, nil //nolint:nilnil // nil says that it is a save, as documented
	}
	id := hawser.TxnID{Namespace: command.Agent.Namespace, ID: m.GetTxn()}
	if err := id.Check(); err != nil {
		return nil, err
	}
	if len(command.Effects) > 0 {
		return nil, invalidSave(command.Agent, "ends of effects are recorded with a save, not with a vote")
	}
	if command.Expect == nil || command.Force {
		return nil, invalidSave(command.Agent, "a vote is made from a head, which it names, and by the agent's owner")
	}
	if len(command.Consume) > 0 || len(command.Emit) > 0 {
		return nil, invalidSave(command.Agent, "a vote consumes and sends no messages")
	}
	return &fsm.VoteTxn{
		ID: id, Agent: command.Agent, Yes: true, Fence: command.Fence, Quiet: m.GetQuiet(), State: command, Generation: command.Request.Generation,
	}, nil
}

// stageVote runs a vote with a state at this node. What it stages is rebuilt
// first: once it is committed it is too late to find out that its hash is
// wrong.
func (b *Backend) stageVote(ctx context.Context, vote *fsm.VoteTxn) (*hawserv1.SaveResponse, error) {
	if vote.State.Content.Parts == 0 { // else that was done as they came
		if err := b.rebuildVote(ctx, vote.State); err != nil {
			return nil, err
		}
	}
	result, err := b.submit(ctx, vote)
	if err != nil {
		return nil, err
	}
	return &hawserv1.SaveResponse{Header: b.header(b.Machine.Info(), result.Revision), Repeated: result.Repeated, Chain: wire.ChainToProto(result.Chain)}, nil
}

// rebuildVote compares what a delta makes of its base with its hash. A keyframe
// was unpacked and hashed on the way in. A base that is not there, or is another
// one, is refused here: it may be there by the time the machine looks.
func (b *Backend) rebuildVote(ctx context.Context, state *fsm.Save) error {
	if state.Base == nil {
		return nil
	}
	return b.Gate.Do(ctx, int64(state.Size), func() error {
		view, err := b.Machine.View()
		if err != nil {
			return err
		}
		defer closeView(view)
		base, content, err := view.Materialise(state.Agent, state.Base.Number)
		switch code := hawser.CodeOf(err); {
		case code == hawser.CodeNotFound || code == hawser.CodeVersionGone || err == nil && base.SHA256 != state.Base.SHA256:
			return &hawser.Error{
				Code: hawser.CodeKeyframeNeeded, Op: "vote", Key: state.Agent.String(), Msg: "this node does not have the base of the difference; send the whole state",
			}
		case err != nil:
			return err
		}
		made, err := delta.Apply(content, state.Content.Data, hawser.MaxStateSize)
		if err == nil && hawser.Hash(sha256.Sum256(made)) != state.SHA256 {
			err = &hawser.Error{Code: hawser.CodeCorrupt, Op: "delta", Msg: "makes a state with another SHA-256"}
		}
		return mismatched(state, err)
	})
}

// voted reports whether a vote was taken before its parts came again.
func (b *Backend) voted(ctx context.Context, vote *fsm.VoteTxn) (*hawserv1.SaveResponse, error) {
	if err := b.linearizable(ctx); err != nil {
		return nil, err
	}
	view, err := b.Machine.View()
	if err != nil {
		return nil, err
	}
	defer closeView(view)
	taken, err := view.Voted(vote)
	if err != nil || !taken {
		return nil, err
	}
	info := view.Info()
	return &hawserv1.SaveResponse{Header: b.header(info, info.Revision), Repeated: true}, nil
}

// Vote implements hawserv1.TransactionsServer.
func (s *Service) Vote(ctx context.Context, r *hawserv1.VoteRequest) (*hawserv1.VoteResponse, error) {
	id, agent, err := takesPart(r.GetId(), r.GetAgent())
	if err != nil {
		return nil, err
	}
	if err := badReason("vote", id, r.GetReason(), false); err != nil {
		return nil, err
	}
	c := &fsm.VoteTxn{
		ID: id, Agent: agent, Yes: r.GetYes(), Fence: r.GetFence(), Reason: r.GetReason(), Quiet: r.GetQuiet(), Generation: r.GetGeneration(),
	}
	return transacting(ctx, s, "vote", id, c, func(h *hawserv1.Header, t *hawserv1.Transaction) *hawserv1.VoteResponse {
		return &hawserv1.VoteResponse{Header: h, Transaction: t}
	}, func(ctx context.Context, leader hawserv1.TransactionsClient) (*hawserv1.VoteResponse, error) {
		return leader.Vote(ctx, r)
	})
}

// Acknowledge implements hawserv1.TransactionsServer.
func (s *Service) Acknowledge(ctx context.Context, r *hawserv1.AcknowledgeRequest) (*hawserv1.AcknowledgeResponse, error) {
	id, agent, err := takesPart(r.GetId(), r.GetAgent())
	if err != nil {
		return nil, err
	}
	c := &fsm.AcknowledgeTxn{ID: id, Agent: agent, Committed: r.GetCommitted(), Fence: r.GetFence(), Generation: r.GetGeneration()}
	return transacting(ctx, s, "acknowledge", id, c, func(h *hawserv1.Header, _ *hawserv1.Transaction) *hawserv1.AcknowledgeResponse {
		return &hawserv1.AcknowledgeResponse{Header: h}
	}, func(ctx context.Context, leader hawserv1.TransactionsClient) (*hawserv1.AcknowledgeResponse, error) {
		return leader.Acknowledge(ctx, r)
	})
}

// takesPart returns the transaction and the agent of a call.
func takesPart(m *hawserv1.TransactionID, a *hawserv1.Agent) (hawser.TxnID, hawser.AgentID, error) {
	id, err := wire.TxnIDFromProto(m)
	if err != nil {
		return id, hawser.AgentID{}, err
	}
	agent, err := wire.AgentFromProto(a)
	return id, agent, err
}

// badReason is what is wrong with what people say of a transaction, nil for
// nothing.
func badReason(op string, id hawser.TxnID, reason string, required bool) error {
	why := badText(reason, hawser.MaxReason)
	if why == "" && required && reason == "" {
		why = "is missing"
	}
	if why == "" {
		return nil
	}
	return &hawser.Error{Code: hawser.CodeInvalid, Op: op, Key: id.String(), Msg: "the reason " + why}
}

// transacting takes a command about a transaction to the leader. All of them are
// recognised when they come again.
func transacting[T any](
	ctx context.Context, s *Service, op string, id hawser.TxnID, c fsm.Command, answer func(*hawserv1.Header, *hawserv1.Transaction) T,
	remote func(context.Context, hawserv1.TransactionsClient) (T, error),
) (T, error) {
	return routeCommand(ctx, s, command[T]{
		op: op, key: id.String(), Command: c, answer: func(h *hawserv1.Header, result fsm.Result) T {
			var t *hawserv1.Transaction
			if result.Txn != nil {
				t = wire.TxnToProto(*result.Txn)
			}
			return answer(h, t)
		},
		remote: func(ctx context.Context, conn *grpc.ClientConn) (T, error) {
			return remote(ctx, hawserv1.NewTransactionsClient(conn))
		},
	})
}
