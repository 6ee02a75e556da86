// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fakecluster

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/wire"
)

// Call is one call as it arrives at a node.
type Call struct {
	// Node is the index of the node, Method the name such as "Save".
	Node   int
	Method string
	// Request is the request; of a stream of requests the first.
	Request any
	// Receive waits for the next message of a stream of requests and returns
	// io.EOF after the last; nil for other calls. Execute sees it nevertheless.
	Receive func() (any, error)
	// Execute runs the call as it would have run without a fault. It returns
	// [Messages] for a stream of responses.
	Execute func() (any, error)
}

// Messages are a stream of responses.
type Messages []any

// Slow are a stream of responses with a pause before each.
type Slow struct {
	Messages Messages
	Pause    time.Duration
}

// Fault answers a call in a node's place. It runs without any lock. Messages
// are sent even when an error comes with them: it follows.
type Fault func(ctx context.Context, c Call) (any, error)

// SetFault makes fault answer the calls of all nodes; nil removes it.
func (c *Cluster) SetFault(fault Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		n.fault = fault
	}
}

// Pass is no fault.
func Pass(_ context.Context, c Call) (any, error) { return c.Execute() }

// Hang never answers and executes nothing.
func Hang(ctx context.Context, _ Call) (any, error) {
	<-ctx.Done()
	return nil, status.FromContextError(ctx.Err()).Err()
}

// Swallow executes and never answers.
func Swallow(ctx context.Context, c Call) (any, error) {
	if _, err := c.Execute(); err != nil {
		return nil, err
	}
	return Hang(ctx, c)
}

// Break executes nothing and ends like a broken connection.
func Break(context.Context, Call) (any, error) {
	return nil, status.Error(codes.Unavailable, "connection reset by peer")
}

// BreakAfter executes and ends like a broken connection.
func BreakAfter(_ context.Context, c Call) (any, error) {
	if _, err := c.Execute(); err != nil {
		return nil, err
	}
	return nil, status.Error(codes.Unavailable, "connection reset by peer")
}

// Cut executes and breaks the stream of responses after n messages.
func Cut(n int) Fault {
	return func(_ context.Context, c Call) (any, error) {
		resp, err := c.Execute()
		if err != nil {
			return nil, err
		}
		messages := resp.(Messages)
		return messages[:min(n, len(messages))], status.Error(codes.Unavailable, "connection reset by peer")
	}
}

// CutRequests takes n messages of a stream of requests, executes nothing and
// ends like a broken connection.
func CutRequests(n int) Fault {
	return func(ctx context.Context, c Call) (any, error) {
		for range n - 1 { // the first is there
			if _, err := c.Receive(); err != nil {
				return nil, err
			}
		}
		return Break(ctx, c)
	}
}

// Refuse answers with an error of Hawser's own and executes nothing.
func Refuse(code hawser.Code) Fault {
	return func(context.Context, Call) (any, error) {
		return nil, wire.ToStatus(&hawser.Error{Code: code, Msg: "scripted"}, wire.Leader{})
	}
}

// Redirect answers like a node that does not forward.
func Redirect(leader wire.Leader) Fault {
	return func(context.Context, Call) (any, error) {
		return nil, wire.ToStatus(&hawser.Error{Code: hawser.CodeNotLeader}, leader)
	}
}

// Script applies one fault to each call of the method in turn, and none
// afterwards. Other methods pass.
func Script(method string, faults ...Fault) Fault {
	var at atomic.Int64
	return func(ctx context.Context, c Call) (any, error) {
		if c.Method != method {
			return c.Execute()
		}
		if i := int(at.Add(1)) - 1; i < len(faults) {
			return faults[i](ctx, c)
		}
		return c.Execute()
	}
}

// Always applies a fault to every call of the method.
func Always(method string, fault Fault) Fault {
	return func(ctx context.Context, c Call) (any, error) {
		if c.Method != method {
			return c.Execute()
		}
		return fault(ctx, c)
	}
}
