// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// message is a pointer to a message of a stream.
type message[M any] interface {
	*M
	GetHeader() *hawserv1.Header
}

// follow reads a stream of any length and hands its messages to take, until
// that says false. Up to the first message it is a call like any other; from
// then on only ctx bounds it, and an error is final.
func follow[M any, P message[M]](ctx context.Context, c *Client, cl *call,
	open func(ctx context.Context, s sending) (grpc.ServerStreamingClient[M], error), take func(m P) bool,
) error {
	var broken error
	cl.streams = true
	cl.send = func(ctx context.Context, s sending) (*hawserv1.Header, error) {
		stream, err := open(ctx, s)
		if err != nil {
			return nil, err
		}
		m, err := stream.Recv()
		if err != nil {
			return nil, endOf(err)
		}
		header := P(m).GetHeader()
		s.begun(-1)
		for err == nil && take(m) {
			m, err = stream.Recv()
		}
		if !errors.Is(err, io.EOF) {
			broken = err
		}
		return header, nil
	}
	if err := c.do(ctx, cl); err != nil || broken == nil {
		return err
	}
	return &hawser.Error{
		Code: hawser.CodeOf(wire.FromStatus(broken)), Op: cl.op, Key: cl.key,
		Msg: "the answer broke off", Err: joinCause(ctx.Err(), wire.FromStatus(broken)),
	}
}

// endOf turns the end of a stream that has not begun into an error.
func endOf(err error) error {
	if errors.Is(err, io.EOF) {
		return status.Error(codes.Unavailable, "the node sent nothing")
	}
	return err
}
