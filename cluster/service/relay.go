// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/wire"
)

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

// toLeader returns the connection on which a stream goes to the leader, nil if
// this node leads. A stream that was forwarded already goes nowhere else.
func (b *Backend) toLeader(ctx context.Context) (*grpc.ClientConn, error) {
	leader, err := b.awaitLeader(ctx)
	switch {
	case err != nil:
		return nil, err
	case leader == b.Self:
		return nil, nil //nolint:nilnil // nil says here, as documented
	case isForwarded(ctx):
		return nil, &hawser.Error{Code: hawser.CodeNotLeader}
	}
	conn, err := b.Conn(leader)
	if err != nil {
		return nil, &hawser.Error{Code: hawser.CodeUnavailable, Op: "forward to leader", Key: leader, Err: err}
	}
	return conn, nil
}

// relayed is how the relay of a stream of requests ended.
type relayed[Resp any] struct {
	resp *Resp
	// ended says that the last request was handed on, so that the leader may
	// have all that it needs.
	ended bool
	// in is why the caller's stream brought no more, out why the other one
	// ended: a status, of which wire.Detailed says whether the leader made it.
	in, out error
}

// relay hands a stream on to the leader, one message at a time: the leader's
// pace becomes the caller's by the flow control of both. It ends with the
// message that last says is the last.
func relay[Req, Resp any](
	out grpc.ClientStreamingClient[Req, Resp], first *Req, next func() (*Req, error), last func(*Req) bool,
) (r relayed[Resp]) {
	for m := first; ; {
		r.ended = last(m)
		// io.EOF: the leader has answered before the end; why is in the answer.
		if r.out = out.Send(m); r.out != nil && !errors.Is(r.out, io.EOF) {
			return r
		} else if r.out != nil || r.ended {
			break
		}
		if m, r.in = next(); r.in != nil {
			return r
		}
	}
	r.resp, r.out = out.CloseAndRecv()
	return r
}

// notRelayed makes the error of a relay that failed while the leader certainly
// had not all that it needed, or said itself why.
func notRelayed(err error) error {
	detailed := wire.Detailed(err)
	err = wire.FromStatus(err)
	if detailed {
		return unexecuted(err)
	}
	return &hawser.Error{Code: hawser.CodeUnavailable, Op: "forward to leader", Err: err}
}

// unexecuted makes the error of a stream that ended before its command was
// submitted, or was refused: that a part of it may or may not have been staged
// is nothing to report, since it can be sent again.
func unexecuted(err error) error {
	if _, reported := errors.AsType[*hawser.UnknownOutcomeError](err); reported {
		return err
	}
	switch code := hawser.CodeOf(err); {
	case code == hawser.CodeNotLeader, code == hawser.CodeOutcomeUnknown:
		return &hawser.Error{Code: hawser.CodeUnavailable, Msg: "the leader changed before everything was there; send it again", Err: err}
	case code == hawser.CodeInternal && errors.Is(err, context.Canceled):
		return &hawser.Error{Code: hawser.CodeCanceled, Err: err}
	default:
		return err
	}
}

// cut makes the error of a stream of requests that brought no further message.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return &hawser.Error{Code: hawser.CodeInvalid, Op: "stream", Msg: "it ends before its end was sent"}
	}
	return wire.FromStatus(err)
}
