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

// InboxOption adjusts one [Agent.Inbox].
type InboxOption func(r *hawserv1.InboxRequest)

// AfterMessage has an inbox begin after the message with this number.
func AfterMessage(number uint64) InboxOption {
	return func(r *hawserv1.InboxRequest) { r.After = number }
}

// Inbox delivers the messages of the agent that are not consumed, oldest first,
// and then each that it gets, for as long as ctx lasts. It goes on at another node
// when a connection breaks. It delivers a message once; another Inbox delivers it
// again until a save has consumed it. A message may have been consumed elsewhere
// by the time that it is delivered: the save that consumes it then says so.
//
// The agent need not be there. It ends with ctx, or with an error.
func (a *Agent) Inbox(ctx context.Context, opts ...InboxOption) iter.Seq2[hawser.Message, error] {
	if a.err != nil {
		return failed[hawser.Message](a.err)
	}
	req := &hawserv1.InboxRequest{Agent: wire.AgentToProto(a.id)}
	for _, opt := range opts {
		opt(req)
	}
	return func(yield func(hawser.Message, error) bool) {
		var generation uint64
		for ctx.Err() == nil {
			stopped, err := a.inbox(ctx, req, &generation, yield)
			switch {
			case stopped:
				return
			case err != nil && !isPassing(err) && !errors.Is(err, hawser.ErrCompacted):
				yield(hawser.Message{}, err)
				return
			}
		}
		yield(hawser.Message{}, notStarted("inbox", a.id.String(), ctx.Err()))
	}
}

// inbox delivers from one node, and moves the request's place.
func (a *Agent) inbox(
	ctx context.Context, req *hawserv1.InboxRequest, generation *uint64, yield func(hawser.Message, error) bool,
) (stopped bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	again := false
	err = follow(ctx, a.client, &call{op: "inbox", key: a.id.String()},
		func(ctx context.Context, s sending) (grpc.ServerStreamingClient[hawserv1.InboxResponse], error) {
			return hawserv1.NewMessagesClient(s.conn).Inbox(ctx, req, s.options...)
		},
		func(m *hawserv1.InboxResponse) bool {
			if g := m.GetHeader().GetGeneration(); g != *generation {
				if again = *generation != 0; again { // a cluster that was restored counts anew
					req.After = 0
				}
				if *generation = g; again {
					return false
				}
			}
			for _, message := range m.GetMessages() {
				req.After = message.GetNumber()
				if stopped = !yield(wire.MessageFromProto(message), nil); stopped {
					return false
				}
			}
			return true
		})
	if stopped || again {
		return stopped, nil
	}
	return false, err
}

// Messages lists the messages of the agent that are not consumed, oldest first, a
// page at a time, and waits for none. An error ends it.
func (a *Agent) Messages(ctx context.Context, opts ...ListOption) iter.Seq2[hawser.Message, error] {
	if a.err != nil {
		return failed[hawser.Message](a.err)
	}
	o := listOptions(opts)
	return list(o.limit, func(limit uint32, token string) ([]hawser.Message, string, error) {
		req := &hawserv1.ListMessagesRequest{Agent: wire.AgentToProto(a.id), Limit: limit, PageToken: token, Read: o.proto()}
		var resp *hawserv1.ListMessagesResponse
		err := a.client.do(ctx, &call{
			op: "messages", key: a.id.String(), leader: !o.stale,
			send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
				var err error
				resp, err = hawserv1.NewMessagesClient(s.conn).ListMessages(ctx, req, s.options...)
				return resp.GetHeader(), err
			},
		})
		return convert(resp.GetMessages(), wire.MessageFromProto), resp.GetNextPageToken(), err
	})
}
