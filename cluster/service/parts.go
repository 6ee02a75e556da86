// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/internal/wire"
)

// maxUploads bounds the saves in parts that a node works on at a time, in a
// megabyte or two each, and 8 MiB more while it unpacks or for a delta.
const maxUploads = 16

// SaveParts implements hawserv1.StateServer. The save is executed at the leader
// only when all parts are there: until the end was sent, every error means that
// it was not. This node relays what it cannot take itself and repeats nothing:
// that is for the client, which has the parts.
func (s *Service) SaveParts(stream grpc.ClientStreamingServer[hawserv1.SavePartsRequest, hawserv1.SaveResponse]) error {
	b, err := s.open()
	if err != nil {
		return err
	}
	release, err := occupy(s.uploads, "save in parts")
	if err != nil {
		return err
	}
	defer release()
	first, err := stream.Recv()
	if err != nil {
		return cut(err)
	}
	command, id, err := saveCommand(first.GetSave())
	if err == nil {
		err = checkHeader(command, first.GetSave().GetPayload())
	}
	if err != nil {
		return err
	}
	vote, err := staging(command, first.GetSave().GetVote())
	if err != nil {
		return err
	}
	resp, err := b.saveParts(stream.Context(), incoming{first: first, command: command, vote: vote, id: id, next: stream.Recv})
	if err != nil {
		return err
	}
	return stream.SendAndClose(resp)
}

// checkHeader checks the payload that announces parts.
func checkHeader(command *fsm.Save, p *hawserv1.Payload) error {
	switch {
	case len(p.GetData()) > 0 || p.GetCrc32C() != 0:
		return invalidSave(command.Agent, "a payload in parts has no data of its own, and its checksum comes at the end")
	case p.GetParts() > record.MaxParts:
		return invalidSave(command.Agent, "the payload has %d parts, at most %d are possible", p.GetParts(), record.MaxParts)
	}
	return nil
}

// incoming is a save in parts as it comes in.
type incoming struct {
	first   *hawserv1.SavePartsRequest
	command *fsm.Save
	// vote is what command belongs to, nil for a save.
	vote *fsm.VoteTxn
	id   hawser.RequestID
	// next returns what follows first.
	next func() (*hawserv1.SavePartsRequest, error)
}

// saveParts runs a save in parts here, or relays it to the leader.
func (b *Backend) saveParts(ctx context.Context, in incoming) (*hawserv1.SaveResponse, error) {
	conn, err := b.toLeader(ctx)
	switch {
	case err != nil:
		return nil, err
	case conn == nil:
		return b.assemble(ctx, in)
	}
	ctx, cancel := context.WithCancel(ctx) // ends the stream to the leader
	defer cancel()
	out, err := hawserv1.NewStateClient(conn).SaveParts(ctx)
	if err != nil {
		return nil, notRelayed(err)
	}
	r := relay(out, in.first, in.next, func(m *hawserv1.SavePartsRequest) bool { return m.GetEnd() != nil })
	switch {
	case r.in != nil:
		return nil, cut(r.in)
	case r.out == nil:
		return r.resp, nil
	case r.ended && (!wire.Detailed(r.out) || errors.Is(wire.FromStatus(r.out), hawser.ErrOutcomeUnknown)):
		return nil, unknownOutcome(in.id)(wire.FromStatus(r.out))
	default:
		return nil, notRelayed(r.out)
	}
}
