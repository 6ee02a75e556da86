// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/wire"
)

// Save implements hawserv1.StateServer.
func (s *Service) Save(ctx context.Context, r *hawserv1.SaveRequest) (*hawserv1.SaveResponse, error) {
	b, err := s.open()
	if err != nil {
		return nil, err
	}
	command, id, err := saveCommand(r)
	if err == nil {
		err = s.takeInline(ctx, b, command, r.GetPayload())
	}
	if err != nil {
		return nil, err
	}
	vote, err := staging(command, r.GetVote())
	if err != nil {
		return nil, err
	}
	kind := id.Kind
	if vote != nil {
		kind = hawser.RequestTxn
	}
	return route(ctx, b, call[*hawserv1.SaveResponse]{
		first: r.GetRequest().GetAttempt(),
		kind:  kind,
		size:  len(r.GetPayload().GetData()),
		local: func(ctx context.Context, attempt uint32) (*hawserv1.SaveResponse, error) {
			command.Request.Attempt = attempt
			return b.save(ctx, command, vote)
		},
		remote: func(ctx context.Context, conn *grpc.ClientConn, attempt uint32) (*hawserv1.SaveResponse, error) {
			r.GetRequest().Attempt = attempt
			return hawserv1.NewStateClient(conn).Save(ctx, r)
		},
		unknown: unknownOutcome(id),
	})
}

// save runs command at this node, or the vote that it belongs to.
func (b *Backend) save(ctx context.Context, command *fsm.Save, vote *fsm.VoteTxn) (*hawserv1.SaveResponse, error) {
	if vote != nil {
		return b.stageVote(ctx, vote)
	}
	result, err := b.submit(ctx, command)
	if err != nil {
		return nil, err
	}
	return &hawserv1.SaveResponse{
		Header:   b.header(b.Machine.Info(), result.Revision),
		Version:  wire.VersionToProto(result.Version),
		Repeated: result.Repeated,
		Chain:    wire.ChainToProto(result.Chain),
	}, nil
}

// Delete implements hawserv1.StateServer.
func (s *Service) Delete(ctx context.Context, r *hawserv1.DeleteRequest) (*hawserv1.DeleteResponse, error) {
	b, err := s.open()
	if err != nil {
		return nil, err
	}
	agent, err := wire.AgentFromProto(r.GetAgent())
	if err != nil {
		return nil, err
	}
	id, err := wire.RequestFromProto(r.GetRequest(), hawser.RequestDelete, agent, nil)
	if err != nil {
		return nil, err
	}
	return identified(ctx, b, r.GetRequest(), id, func(ctx context.Context, q fsm.Request) (*hawserv1.DeleteResponse, error) {
		result, err := b.submit(ctx, &fsm.Delete{Agent: agent, Request: q, Fence: r.GetFence()})
		if err != nil {
			return nil, err
		}
		return &hawserv1.DeleteResponse{
			Header:   b.header(b.Machine.Info(), result.Revision),
			Number:   result.Number,
			Repeated: result.Repeated,
		}, nil
	}, func(ctx context.Context, leader hawserv1.StateClient) (*hawserv1.DeleteResponse, error) {
		return leader.Delete(ctx, r)
	})
}

// submit runs c at this node, which believes that it leads, and folds the
// machine's refusal into the error.
func (b *Backend) submit(ctx context.Context, c fsm.Command) (fsm.Result, error) {
	result, err := b.Proposer.Submit(ctx, c)
	if err != nil {
		return result, err
	}
	return result, result.Err
}

func unknownOutcome(id hawser.RequestID) func(error) error {
	return func(cause error) error { return &hawser.UnknownOutcomeError{RequestID: id, Err: cause} }
}
