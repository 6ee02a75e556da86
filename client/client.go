// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/retrypolicy"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/record"
)

// Client reaches one cluster. Make one a process with [Dial] and share it.
type Client struct {
	cfg    Config
	router *router
	// retries decides when a call is repeated; see [Client.retry].
	retries retrypolicy.RetryPolicy[any]
	cache   *cache
	keeper  *keeper
	// generation is the one in the newest response, 0 before the first.
	generation atomic.Uint64
	// clock is the cluster's.
	clock clock
	// senders are those of [Client.Send].
	senders *senders
	effects effectGate
}

// Dial returns a client for the cluster at cfg.Endpoints. It does not wait:
// connections are made when they are needed, and [Client.Ready] tells whether
// the cluster answers. Errors match hawser.ErrInvalid.
func Dial(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	router, err := newRouter(cfg.Endpoints, dialer(cfg))
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, router: router, retries: newRetries(), cache: newCache(cfg.MaxCachedBytes)}
	c.keeper, c.senders = newKeeper(c), newSenders(c)
	return c, nil
}

// Close closes all connections. Calls that are under way end: with an unknown
// outcome if they had sent a write, as canceled otherwise, and so do all later
// ones. Closing again does nothing. It returns nil.
func (c *Client) Close() error {
	c.keeper.close()
	c.router.close()
	return nil
}

// Agent returns a new handle for an agent of the client's namespace. Nothing
// is sent; an invalid name makes every call of the handle fail with
// hawser.ErrInvalid. Handles are independent of each other: each has its own
// idea of the head.
func (c *Client) Agent(name string) *Agent {
	id, err := hawser.NewAgentID(c.cfg.Namespace, name)
	return &Agent{client: c, id: id, err: err, turn: make(chan struct{}, 1)}
}

// Namespace returns the namespace of the client's agents.
func (c *Client) Namespace() string { return c.cfg.Namespace }

// Instance returns the id under which the client saves.
func (c *Client) Instance() string { return c.cfg.Instance }

// Cluster returns a handle to see and change the set of nodes.
func (c *Client) Cluster() *Cluster { return &Cluster{client: c} }

const readyPoll = 50 * time.Millisecond

// Ready waits until a node answers that it can serve: it knows a leader and
// has caught up. Only ctx bounds it. Its error matches hawser.ErrUnavailable
// and ctx's error, and says what the nodes answered last.
func (c *Client) Ready(ctx context.Context) error {
	var last string
	ticker := time.NewTicker(readyPoll)
	defer ticker.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, baseAttempt)
		status, err := c.status(attempt)
		cancel()
		switch {
		case err == nil && status.GetReady():
			return nil
		case err == nil:
			last = fmt.Sprintf("%s is not ready: %s", status.GetSelf().GetId(), status.GetReason())
		case errors.Is(err, errClosed):
			return err
		default:
			last = err.Error()
		}
		select {
		case <-ctx.Done():
			return &hawser.Error{Code: hawser.CodeUnavailable, Op: "ready", Msg: last, Err: ctx.Err()}
		case <-ticker.C:
		}
	}
}

func (c *Client) status(ctx context.Context) (*hawserv1.StatusResponse, error) {
	var resp *hawserv1.StatusResponse
	err := c.do(ctx, &call{
		op: "status",
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			var err error
			resp, err = hawserv1.NewClusterClient(s.conn).Status(ctx, &hawserv1.StatusRequest{}, s.options...)
			return resp.GetHeader(), err
		},
	})
	return resp, err
}

// budget bounds a call of so many bytes by the request timeout, unless ctx
// ends earlier. What takes more than one message gets the time to be sent
// twice beside it, because an attempt may break.
func (c *Client) budget(ctx context.Context, bytes int) (context.Context, context.CancelFunc) {
	timeout := c.cfg.RequestTimeout
	if bytes > record.MaxInline {
		timeout += 2 * transfer(bytes)
	}
	return context.WithTimeout(ctx, timeout)
}
