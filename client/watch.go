// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"iter"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// WatchOption says what a watch wants to know.
type WatchOption func(r *hawserv1.WatchRequest)

// Prefix restricts a watch to names that start with these segments: "crew"
// stands for crew and crew/a, not crewman.
func Prefix(prefix string) WatchOption {
	return func(r *hawserv1.WatchRequest) { r.Prefix = prefix }
}

// Name restricts a watch to one agent or lock.
func Name(name string) WatchOption { return func(r *hawserv1.WatchRequest) { r.Name = name } }

// Kinds restricts a watch to events of these kinds.
func Kinds(kinds ...hawser.EventKind) WatchOption {
	return func(r *hawserv1.WatchRequest) {
		for _, k := range kinds {
			r.Kinds = append(r.Kinds, hawserv1.EventKind(k))
		}
	}
}

// After begins a watch after a place that an earlier one has come to; the zero
// value is now.
func After(cursor hawser.Cursor) WatchOption {
	return func(r *hawserv1.WatchRequest) { r.Cursor = cursor.String() }
}

// Batch is what a watch delivers at a time.
type Batch struct {
	// Events are in the order in which they happened, those of one revision
	// together. None are there at the beginning, and now and then when nothing
	// has happened.
	Events []hawser.Event
	// Cursor is where another watch goes on after them, at any node.
	Cursor hawser.Cursor
}

// Watch tells what happens in the namespace: every event once, in order, none
// left out. It goes on at another node when a connection breaks. It ends with
// ctx or with an error: hawser.ErrCompacted when it was away for too long,
// hawser.ErrOverloaded when it is too slow (go on from the last cursor),
// hawser.ErrWrongGeneration when the cluster was restored from an archive: then
// read the state, and watch from now.
//
// The log of events goes back one hour, or a million events.
func (c *Client) Watch(ctx context.Context, opts ...WatchOption) iter.Seq2[Batch, error] {
	req := &hawserv1.WatchRequest{Namespace: c.cfg.Namespace}
	for _, opt := range opts {
		opt(req)
	}
	return func(yield func(Batch, error) bool) {
		for ctx.Err() == nil {
			stopped, err := c.watch(ctx, req, yield)
			switch {
			case stopped:
				return
			case errors.Is(err, hawser.ErrOverloaded) || err != nil && !isPassing(err):
				yield(Batch{}, err)
				return
			}
		}
		yield(Batch{}, notStarted("watch", c.cfg.Namespace, ctx.Err()))
	}
}

// watch delivers from one node, and moves the request's cursor.
func (c *Client) watch(ctx context.Context, req *hawserv1.WatchRequest, yield func(Batch, error) bool) (stopped bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var bad error
	err = follow(ctx, c, &call{op: "watch", key: req.GetName() + req.GetPrefix()},
		func(ctx context.Context, s sending) (grpc.ServerStreamingClient[hawserv1.WatchResponse], error) {
			return hawserv1.NewWatchClient(s.conn).Watch(ctx, req, s.options...)
		},
		func(m *hawserv1.WatchResponse) bool {
			b := Batch{Events: convert(m.GetEvents(), wire.EventFromProto)}
			if b.Cursor, bad = hawser.ParseCursor(m.GetCursor()); bad != nil {
				return false
			}
			req.Cursor = m.GetCursor()
			stopped = !yield(b, nil)
			return !stopped
		})
	if stopped {
		return true, nil
	}
	return false, errors.Join(bad, err)
}
