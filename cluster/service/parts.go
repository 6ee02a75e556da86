// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/internal/wire"
)

const (
	// maxUploads bounds the saves in parts that a node works on at a time, in a
	// megabyte or two each, and 8 MiB more while it unpacks or for a delta.
	maxUploads = 16
	// maxParts holds a state that does not shrink when it is packed.
	maxParts = hawser.MaxStateSize/record.PartSize + 8
)

// SaveParts implements hawserv1.StateServer. The save is executed at the leader
// only when all parts are there: until the end was sent, every error means that
// it was not. This node relays what it cannot take itself and repeats nothing:
// that is for the client, which has the parts.
func (s *Service) SaveParts(stream grpc.ClientStreamingServer[hawserv1.SavePartsRequest, hawserv1.SaveResponse]) error {
	b, err := s.ready()
	if err != nil {
		return err
	}
	select {
	case s.uploads <- struct{}{}:
		defer func() { <-s.uploads }()
	default:
		return &hawser.Error{Code: hawser.CodeOverloaded, Op: "save", Msg: "this node takes as many saves in parts as it can; repeat it after a while"}
	}
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
	resp, err := b.saveParts(stream.Context(), incoming{first: first, command: command, id: id, next: stream.Recv})
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
	case p.GetParts() > maxParts:
		return invalidSave(command.Agent, "the payload has %d parts, at most %d are possible", p.GetParts(), maxParts)
	}
	return nil
}

// incoming is a save in parts as it comes in.
type incoming struct {
	first   *hawserv1.SavePartsRequest
	command *fsm.Save
	id      hawser.RequestID
	// next returns what follows first.
	next func() (*hawserv1.SavePartsRequest, error)
}

// saveParts runs a save in parts here, or relays it to the leader.
func (b *Backend) saveParts(ctx context.Context, in incoming) (*hawserv1.SaveResponse, error) {
	leader, err := b.awaitLeader(ctx)
	switch {
	case err != nil:
		return nil, err
	case leader == b.Self:
		return b.assemble(ctx, in)
	case isForwarded(ctx):
		return nil, &hawser.Error{Code: hawser.CodeNotLeader}
	}
	conn, err := b.Conn(leader)
	if err != nil {
		return nil, &hawser.Error{Code: hawser.CodeUnavailable, Op: "forward to leader", Key: leader, Err: err}
	}
	return relay(ctx, conn, in)
}

// awaitLeader returns the leader, waiting over an election.
func (b *Backend) awaitLeader(ctx context.Context) (string, error) {
	ctx, cancel := withBudget(ctx, routeBudget)
	defer cancel()
	for {
		if leader := b.Leader().ID; leader != "" {
			return leader, nil
		}
		if pause(ctx) != nil {
			return "", &hawser.Error{Code: hawser.CodeUnavailable, Msg: "the cluster has no leader at the moment"}
		}
	}
}

// relay hands a save in parts on to the leader, one message at a time: the
// leader's pace becomes the client's by the flow control of both streams.
func relay(ctx context.Context, conn *grpc.ClientConn, in incoming) (*hawserv1.SaveResponse, error) {
	ctx, cancel := context.WithCancel(ctx) // ends the stream to the leader
	defer cancel()
	out, err := hawserv1.NewStateClient(conn).SaveParts(ctx)
	if err != nil {
		return nil, notRelayed(err)
	}
	ended := false // the leader may have all that it needs to execute it
	for m := in.first; ; {
		ended = ended || m.GetEnd() != nil
		// io.EOF: it has answered before the end; why is in the answer.
		if err := out.Send(m); err != nil && !errors.Is(err, io.EOF) {
			return nil, notRelayed(err)
		} else if err != nil || ended {
			break
		}
		if m, err = in.next(); err != nil {
			return nil, cut(err)
		}
	}
	resp, err := out.CloseAndRecv()
	switch {
	case err == nil:
		return resp, nil
	case ended && (!wire.Detailed(err) || errors.Is(wire.FromStatus(err), hawser.ErrOutcomeUnknown)):
		return nil, unknownOutcome(in.id)(wire.FromStatus(err))
	default:
		return nil, notRelayed(err)
	}
}

// notRelayed makes the error of a relay that failed while the leader certainly
// had not all of the save, or said itself why.
func notRelayed(err error) error {
	detailed := wire.Detailed(err)
	err = wire.FromStatus(err)
	if detailed {
		return unexecuted(err)
	}
	return &hawser.Error{Code: hawser.CodeUnavailable, Op: "forward to leader", Err: err}
}

// unexecuted makes the error of a save in parts that ended before its command
// was submitted, or was refused: that a part may or may not have been staged
// is nothing to report, since it can be sent again.
func unexecuted(err error) error {
	switch code := hawser.CodeOf(err); {
	case code == hawser.CodeNotLeader, code == hawser.CodeOutcomeUnknown:
		return &hawser.Error{Code: hawser.CodeUnavailable, Op: "save", Msg: "the leader changed before all parts were there; send them again", Err: err}
	case code == hawser.CodeInternal && errors.Is(err, context.Canceled):
		return &hawser.Error{Code: hawser.CodeCanceled, Op: "save", Err: err}
	default:
		return err
	}
}

// cut makes the error of a stream that brought no further message.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return &hawser.Error{Code: hawser.CodeInvalid, Op: "save", Msg: "the stream ends before the save does"}
	}
	return wire.FromStatus(err)
}
