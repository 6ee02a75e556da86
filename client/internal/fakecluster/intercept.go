// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fakecluster

import (
	"context"
	"path"
	"time"

	"google.golang.org/grpc"
)

func (n *node) currentFault() Fault {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	return n.fault
}

func (n *node) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	execute := func() (any, error) { return handler(ctx, req) }
	fault := n.currentFault()
	if fault == nil {
		return execute()
	}
	return fault(ctx, Call{Node: n.index, Method: path.Base(info.FullMethod), Request: req, Execute: execute})
}

func (n *node) interceptStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	fault := n.currentFault()
	if fault == nil {
		return handler(srv, stream)
	}
	held := &heldStream{ServerStream: stream, request: newRequest[info.FullMethod]}
	first, err := held.receive()
	if err != nil {
		return err
	}
	call := Call{Node: n.index, Method: path.Base(info.FullMethod), Request: first}
	call.Execute = func() (any, error) {
		run := &heldRun{heldStream: held}
		err := handler(srv, run)
		if info.IsServerStream {
			return run.sent, err
		}
		if len(run.sent) == 0 {
			return nil, err
		}
		return run.sent[0], err
	}
	if info.IsClientStream {
		call.Receive = held.receive
	}
	resp, err := fault(stream.Context(), call)
	var messages Messages
	var pause time.Duration
	switch resp := resp.(type) {
	case nil:
	case Messages:
		messages = resp
	case Slow:
		messages, pause = resp.Messages, resp.Pause
	default:
		messages = Messages{resp}
	}
	for _, m := range messages {
		select {
		case <-time.After(pause): // at once when there is none
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
		if err := stream.SendMsg(m); err != nil {
			return err
		}
	}
	return err
}
