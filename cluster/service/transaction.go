// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/cluster/watch"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/wire"
)

// lookEvery is how often a stream looks at the state though no event told of a
// change and all changes make one: what such a stream misses nobody would mend.
const lookEvery = 30 * time.Second

// Transact implements hawserv1.TransactionsServer. The transaction is begun at
// the leader; the node that is asked tells what becomes of it.
func (s *Service) Transact(r *hawserv1.TransactRequest, stream grpc.ServerStreamingServer[hawserv1.TransactResponse]) error {
	ctx := stream.Context()
	command, err := beginCommand(r)
	if err != nil {
		return err
	}
	b, err := s.open()
	if err != nil {
		return err
	}
	begun, err := b.begin(ctx, r, command)
	if err != nil {
		return err
	}
	if err := stream.Send(begun); err != nil {
		return wire.FromStatus(err)
	}
	if isForwarded(ctx) || hawser.TxnState(begun.GetTransaction().GetState()).Decided() {
		return nil
	}
	return s.tellDecision(stream, command, begun)
}

// beginCommand checks r and returns the command that it makes.
func beginCommand(r *hawserv1.TransactRequest) (*fsm.BeginTxn, error) {
	id, err := wire.TxnIDFromProto(r.GetId())
	if err != nil {
		return nil, err
	}
	refuse := func(code hawser.Code, format string, args ...any) error {
		return &hawser.Error{Code: code, Op: "begin transaction", Key: id.String(), Msg: fmt.Sprintf(format, args...)}
	}
	deadline, why := deadlineOf(r.GetDeadline())
	c := &fsm.BeginTxn{ID: id, Manual: r.GetManual(), Deadline: deadline, Generation: r.GetGeneration()}
	switch n := len(r.GetParticipants()); {
	case n == 0:
		return nil, refuse(hawser.CodeInvalid, "it has no participants")
	case n > hawser.MaxParticipants:
		return nil, refuse(hawser.CodeInvalid, "%d participants, %d are possible", n, hawser.MaxParticipants)
	case why != "":
		return nil, refuse(hawser.CodeInvalid, "%s", why)
	}
	size := 0
	for _, task := range r.GetParticipants() {
		agent, err := wire.AgentFromProto(task.GetAgent())
		if err != nil {
			return nil, err
		}
		size += len(task.GetPayload())
		c.Participants = append(c.Participants, fsm.TxnTask{Agent: agent, Payload: task.GetPayload()})
	}
	if size > hawser.MaxTxnPayload {
		return nil, refuse(hawser.CodeTooLarge, "its payloads have %d bytes, %d are possible", size, hawser.MaxTxnPayload)
	}
	return c, nil
}

// begin begins a transaction at the leader, or learns that it was begun.
func (b *Backend) begin(ctx context.Context, r *hawserv1.TransactRequest, command *fsm.BeginTxn) (*hawserv1.TransactResponse, error) {
	return route(ctx, b, call[*hawserv1.TransactResponse]{
		size: proto.Size(r),
		local: func(ctx context.Context, _ uint32) (*hawserv1.TransactResponse, error) {
			result, err := b.submit(ctx, command)
			if err != nil {
				return nil, err
			}
			return &hawserv1.TransactResponse{Header: b.header(b.Machine.Info(), result.Revision), Transaction: wire.TxnToProto(*result.Txn)}, nil
		},
		remote: func(ctx context.Context, conn *grpc.ClientConn, _ uint32) (*hawserv1.TransactResponse, error) {
			ctx, cancel := context.WithCancel(ctx) // the leader tells more than its beginning
			defer cancel()
			stream, err := hawserv1.NewTransactionsClient(conn).Transact(ctx, r)
			if err != nil {
				return nil, err
			}
			return stream.Recv()
		},
		unknown: func(cause error) error { return &hawser.UnknownTxnError{ID: command.ID, Err: cause} },
	})
}

// tellDecision tells of a transaction until it is decided. Whoever has the
// first participant's events has those of the transaction.
func (s *Service) tellDecision(
	stream grpc.ServerStreamingServer[hawserv1.TransactResponse], command *fsm.BeginTxn, last *hawserv1.TransactResponse,
) error {
	ctx := stream.Context()
	b, err := s.open()
	if err != nil {
		return err
	}
	// A node that was told of the beginning by the leader may not have it yet.
	begun := hawser.Revision(last.GetHeader().GetRevision())
	waiting, cancel := withBudget(ctx, routeBudget)
	defer cancel()
	if err := b.atLeast(waiting, begun); err != nil {
		return err
	}
	sub, err := b.Hub.Subscribe(watch.Filter{
		Namespace: command.ID.Namespace, Name: command.Participants[0].Agent.Name,
		Kinds: []hawser.EventKind{hawser.EventTxnPrepared, hawser.EventTxnCommitted, hawser.EventTxnAborted},
	}, begun)
	if err != nil {
		return err
	}
	defer sub.Close()
	news := news{sub: sub, every: lookEvery}
	for {
		b, view, err := s.await(ctx, &news, fsm.Info{Revision: begun, Generation: hawser.Generation(last.GetHeader().GetGeneration())})
		if err != nil {
			return err
		}
		resp, err := b.transaction(view, command.ID)
		closeView(view)
		if errors.Is(err, hawser.ErrNotFound) {
			return &hawser.UnknownTxnError{ID: command.ID, Err: err} // over and removed while nobody looked
		}
		if err != nil {
			return err
		}
		if resp.GetTransaction().GetState() == last.GetTransaction().GetState() {
			continue
		}
		if err := stream.Send(resp); err != nil {
			return wire.FromStatus(err)
		}
		if last = resp; hawser.TxnState(resp.GetTransaction().GetState()).Decided() {
			return nil
		}
	}
}

func (b *Backend) transaction(view *fsm.View, id hawser.TxnID) (*hawserv1.TransactResponse, error) {
	t, err := view.Txn(id)
	if err != nil {
		return nil, err
	}
	info := view.Info()
	return &hawserv1.TransactResponse{Header: b.header(info, info.Revision), Transaction: wire.TxnToProto(t)}, nil
}

// Participate implements hawserv1.TransactionsServer. The node that is asked
// serves it.
func (s *Service) Participate(r *hawserv1.ParticipateRequest, stream grpc.ServerStreamingServer[hawserv1.ParticipateResponse]) error {
	ctx := stream.Context()
	agent, b, view, err := s.agentView(ctx, r.GetAgent(), nil)
	if err != nil {
		return err
	}
	sub, err := b.Hub.Subscribe(watch.Filter{
		Namespace: agent.Namespace, Name: agent.Name,
		Kinds: []hawser.EventKind{hawser.EventTxnBegun, hawser.EventTxnCommitted, hawser.EventTxnAborted, hawser.EventTxnResolved},
	}, view.Info().Revision)
	if err != nil {
		closeView(view)
		return err
	}
	defer sub.Close()
	var last *hawserv1.ParticipateResponse
	news := news{sub: sub, every: lookEvery}
	for {
		info := view.Info()
		resp, err := b.work(view, agent)
		closeView(view)
		if err != nil {
			return err
		}
		if last == nil || !sameWork(last, resp) {
			if err := stream.Send(resp); err != nil {
				return wire.FromStatus(err)
			}
			last = resp
		}
		if b, view, err = s.await(ctx, &news, info); err != nil {
			return err
		}
	}
}

func (b *Backend) work(view *fsm.View, agent hawser.AgentID) (*hawserv1.ParticipateResponse, error) {
	work, err := view.TxnWork(agent)
	if err != nil {
		return nil, err
	}
	info := view.Info()
	resp := &hawserv1.ParticipateResponse{Header: b.header(info, info.Revision), Payload: work.Payload}
	for _, t := range work.Open {
		resp.Open = append(resp.Open, wire.TxnToProto(t))
	}
	if work.Turn != nil {
		resp.Turn = wire.TxnToProto(*work.Turn)
	}
	if work.Head != nil {
		resp.Head = wire.VersionToProto(*work.Head)
	}
	return resp, nil
}

// sameWork compares what two answers ask for. Votes of others are no news.
func sameWork(a, b *hawserv1.ParticipateResponse) bool {
	if len(a.GetOpen()) != len(b.GetOpen()) || a.GetTurn().GetId().GetId() != b.GetTurn().GetId().GetId() || a.GetHead().GetNumber() != b.GetHead().GetNumber() {
		return false
	}
	for i, t := range a.GetOpen() {
		if t.GetId().GetId() != b.GetOpen()[i].GetId().GetId() {
			return false
		}
	}
	return true
}

// Decide implements hawserv1.TransactionsServer.
func (s *Service) Decide(ctx context.Context, r *hawserv1.DecideRequest) (*hawserv1.DecideResponse, error) {
	id, err := wire.TxnIDFromProto(r.GetId())
	if err == nil {
		err = badReason("decide", id, r.GetReason(), !r.GetCommit())
	}
	if err != nil {
		return nil, err
	}
	c := &fsm.DecideTxn{ID: id, Commit: r.GetCommit(), Reason: r.GetReason(), Generation: r.GetGeneration()}
	return transacting(ctx, s, "decide", id, c, func(h *hawserv1.Header, t *hawserv1.Transaction) *hawserv1.DecideResponse {
		return &hawserv1.DecideResponse{Header: h, Transaction: t}
	}, func(ctx context.Context, leader hawserv1.TransactionsClient) (*hawserv1.DecideResponse, error) {
		return leader.Decide(ctx, r)
	})
}

// Resolve implements hawserv1.TransactionsServer.
func (s *Service) Resolve(ctx context.Context, r *hawserv1.ResolveRequest) (*hawserv1.ResolveResponse, error) {
	id, agent, err := takesPart(r.GetId(), r.GetAgent())
	if err == nil {
		err = badReason("resolve", id, r.GetReason(), true)
	}
	if err != nil {
		return nil, err
	}
	c := &fsm.ResolveTxn{ID: id, Agent: agent, Reason: r.GetReason(), Generation: r.GetGeneration()}
	return transacting(ctx, s, "resolve", id, c, func(h *hawserv1.Header, t *hawserv1.Transaction) *hawserv1.ResolveResponse {
		return &hawserv1.ResolveResponse{Header: h, Transaction: t}
	}, func(ctx context.Context, leader hawserv1.TransactionsClient) (*hawserv1.ResolveResponse, error) {
		return leader.Resolve(ctx, r)
	})
}

// Forget implements hawserv1.TransactionsServer.
func (s *Service) Forget(ctx context.Context, r *hawserv1.ForgetRequest) (*hawserv1.ForgetResponse, error) {
	id, err := wire.TxnIDFromProto(r.GetId())
	if err != nil {
		return nil, err
	}
	c := &fsm.ForgetTxn{ID: id, Generation: r.GetGeneration()}
	return transacting(ctx, s, "forget", id, c, func(h *hawserv1.Header, _ *hawserv1.Transaction) *hawserv1.ForgetResponse {
		return &hawserv1.ForgetResponse{Header: h}
	}, func(ctx context.Context, leader hawserv1.TransactionsClient) (*hawserv1.ForgetResponse, error) {
		return leader.Forget(ctx, r)
	})
}

// ShowTransaction implements hawserv1.TransactionsServer.
func (s *Service) ShowTransaction(ctx context.Context, r *hawserv1.ShowTransactionRequest) (*hawserv1.ShowTransactionResponse, error) {
	id, err := wire.TxnIDFromProto(r.GetId())
	if err != nil {
		return nil, err
	}
	b, view, err := s.view(ctx, r.GetRead())
	if err != nil {
		return nil, err
	}
	defer closeView(view)
	t, err := view.Txn(id)
	if err != nil {
		return nil, err
	}
	info := view.Info()
	return &hawserv1.ShowTransactionResponse{Header: b.header(info, info.Revision), Transaction: wire.TxnToProto(t)}, nil
}

// ListTransactions implements hawserv1.TransactionsServer.
func (s *Service) ListTransactions(ctx context.Context, r *hawserv1.ListTransactionsRequest) (*hawserv1.ListTransactionsResponse, error) {
	namespace, _, err := scopeOf(r.GetNamespace(), "")
	if err != nil {
		return nil, err
	}
	b, view, err := s.view(ctx, r.GetRead())
	if err != nil {
		return nil, err
	}
	defer closeView(view)
	info := view.Info()
	list := page{kind: pageTransactions, generation: info.Generation, scope: namespace}
	items, next, err := pageOf(list, r.GetPageToken(), r.GetLimit(), func(after string, limit int) ([]hawser.TxnInfo, error) {
		return view.Txns(namespace, after, limit)
	}, wire.TxnToProto, func(x hawser.TxnInfo) string { return x.ID.ID })
	if err != nil {
		return nil, err
	}
	return &hawserv1.ListTransactionsResponse{Header: b.header(info, info.Revision), Transactions: items, NextPageToken: next}, nil
}
