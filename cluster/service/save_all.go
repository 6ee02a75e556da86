// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/wire"
)

// SaveAll implements hawserv1.StateServer.
func (s *Service) SaveAll(ctx context.Context, r *hawserv1.SaveAllRequest) (*hawserv1.SaveAllResponse, error) {
	b, err := s.open()
	if err != nil {
		return nil, err
	}
	command, ids, err := s.saveAllCommand(ctx, b, r)
	if err != nil {
		return nil, err
	}
	return route(ctx, b, call[*hawserv1.SaveAllResponse]{
		first: r.GetSaves()[0].GetRequest().GetAttempt(),
		kind:  hawser.RequestSave,
		size:  proto.Size(r),
		local: func(ctx context.Context, attempt uint32) (*hawserv1.SaveAllResponse, error) {
			for _, save := range command.Saves {
				save.Request.Attempt = attempt
			}
			return b.saveAll(ctx, command)
		},
		remote: func(ctx context.Context, conn *grpc.ClientConn, attempt uint32) (*hawserv1.SaveAllResponse, error) {
			for _, save := range r.GetSaves() {
				save.GetRequest().Attempt = attempt
			}
			return hawserv1.NewStateClient(conn).SaveAll(ctx, r)
		},
		unknown: unknownOutcome(ids[0]), // what became of one became of all
	})
}

// saveAllCommand checks r and returns the command that it makes, with the ids of
// its parts.
func (s *Service) saveAllCommand(ctx context.Context, b *Backend, r *hawserv1.SaveAllRequest) (*fsm.SaveAll, []hawser.RequestID, error) {
	refuse := func(code hawser.Code, format string, args ...any) error {
		return &hawser.Error{Code: code, Op: "save all", Msg: fmt.Sprintf(format, args...)}
	}
	n, size := len(r.GetSaves()), 0
	if n == 0 || n > hawser.MaxSaves {
		return nil, nil, refuse(hawser.CodeInvalid, "%d agents, 1 to %d are possible", n, hawser.MaxSaves)
	}
	for _, save := range r.GetSaves() {
		size += len(save.GetPayload().GetData())
	}
	if size > hawser.MaxSavesSize {
		return nil, nil, refuse(hawser.CodeTooLarge, "the states have %d bytes as they are sent, %d are possible; use a transaction", size, hawser.MaxSavesSize)
	}
	command, ids, agents := &fsm.SaveAll{}, make([]hawser.RequestID, n), map[hawser.AgentID]bool{}
	for i, m := range r.GetSaves() {
		save, id, err := saveCommand(m)
		if err != nil {
			return nil, nil, err
		}
		if agents[save.Agent] || m.GetVote() != nil {
			return nil, nil, invalidSave(save.Agent, "it is saved twice, or is to be staged as a vote")
		}
		if err := s.takeInline(ctx, b, save, m.GetPayload()); err != nil {
			return nil, nil, err
		}
		command.Saves, ids[i], agents[save.Agent] = append(command.Saves, save), id, true
	}
	return command, ids, nil
}

// saveAll runs command at this node.
func (b *Backend) saveAll(ctx context.Context, command *fsm.SaveAll) (*hawserv1.SaveAllResponse, error) {
	result, err := b.submit(ctx, command)
	if hawser.CodeOf(err) == hawser.CodeTooLarge {
		err = fmt.Errorf("%w; use a transaction", err)
	}
	if err != nil {
		return nil, err
	}
	resp := &hawserv1.SaveAllResponse{Header: b.header(b.Machine.Info(), result.Revision), Repeated: result.Repeated}
	for _, saved := range result.Saves {
		resp.Saves = append(resp.Saves, &hawserv1.SaveResponse{
			Version: wire.VersionToProto(saved.Version), Repeated: saved.Repeated, Chain: wire.ChainToProto(saved.Chain),
		})
	}
	return resp, nil
}
