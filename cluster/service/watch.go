// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/cluster/watch"
	"github.com/hawserdb/hawser/internal/wire"
)

// bookmarkEvery is how often a watch that has nothing to tell says how far it
// is.
const bookmarkEvery = 10 * time.Second

// Watch implements hawserv1.WatchServer. The node that is asked serves it.
func (s *Service) Watch(r *hawserv1.WatchRequest, stream grpc.ServerStreamingServer[hawserv1.WatchResponse]) error {
	ctx := stream.Context()
	filter, err := filterOf(r)
	if err != nil {
		return err
	}
	cursor, err := hawser.ParseCursor(r.GetCursor())
	if err != nil {
		return err
	}
	b, err := s.open()
	if err != nil {
		return err
	}
	info := b.Machine.Info()
	if cursor.IsZero() {
		if err := b.linearizable(ctx); err != nil {
			return err
		}
		info = b.Machine.Info()
		cursor = hawser.Cursor{Generation: info.Generation, Revision: info.Revision}
	} else if err := b.reach(ctx, cursor); err != nil {
		return err
	}
	sub, err := b.Hub.Subscribe(filter, cursor.Revision)
	if err != nil {
		return err
	}
	defer sub.Close()
	// The first message says from where it watches.
	if err := stream.Send(&hawserv1.WatchResponse{Header: b.header(info, info.Revision), Cursor: cursor.String()}); err != nil {
		return wire.FromStatus(err)
	}
	return s.deliver(stream, sub, cursor.Generation)
}

// deliver sends what happens until the watcher has enough or is too slow.
func (s *Service) deliver(
	stream grpc.ServerStreamingServer[hawserv1.WatchResponse], sub *watch.Subscription, generation hawser.Generation,
) error {
	ctx := stream.Context()
	var contact contact
	for {
		events, upTo, err := s.nextEvents(ctx, sub, &contact)
		if err != nil {
			return err
		}
		b, err := s.open()
		if err != nil {
			return err
		}
		info := b.Machine.Info()
		if info.Generation != generation {
			return otherLife(generation, info.Generation)
		}
		resp := &hawserv1.WatchResponse{
			Header: b.header(info, info.Revision), Cursor: hawser.Cursor{Generation: generation, Revision: upTo}.String(),
		}
		for _, e := range events {
			resp.Events = append(resp.Events, wire.EventToProto(e))
		}
		if err := stream.Send(resp); err != nil {
			return wire.FromStatus(err)
		}
	}
}

// nextEvents waits for events, or for the time of a bookmark.
func (s *Service) nextEvents(ctx context.Context, sub *watch.Subscription, contact *contact) ([]hawser.Event, hawser.Revision, error) {
	for quiet := time.Duration(0); ; quiet += contactEvery {
		events, upTo, err := someEvents(ctx, sub, contactEvery)
		if err != nil || len(events) > 0 || quiet+contactEvery >= bookmarkEvery {
			return events, upTo, err
		}
		b, err := s.open()
		if err == nil {
			err = contact.check(b)
		}
		if err != nil {
			return nil, 0, err
		}
	}
}

// someEvents waits for events for a while.
func someEvents(ctx context.Context, sub *watch.Subscription, while time.Duration) ([]hawser.Event, hawser.Revision, error) {
	waiting, cancel := context.WithTimeout(ctx, while)
	defer cancel()
	events, upTo, err := sub.Next(waiting)
	switch {
	case ctx.Err() != nil:
		return nil, 0, context.Cause(ctx)
	case err != nil && errors.Is(err, waiting.Err()):
		err = nil
	}
	return events, upTo, err
}

// reach waits until this node has what a cursor of another node may have seen.
func (b *Backend) reach(ctx context.Context, cursor hawser.Cursor) error {
	info := b.Machine.Info()
	if cursor.Generation == info.Generation && cursor.Revision <= info.Revision {
		return nil
	}
	if err := b.linearizable(ctx); err != nil {
		return err
	}
	info = b.Machine.Info()
	switch {
	case cursor.Generation != info.Generation:
		return otherLife(cursor.Generation, info.Generation)
	case cursor.Revision > info.Revision:
		return &hawser.Error{
			Code: hawser.CodeInvalid, Op: "watch", Msg: fmt.Sprintf("the cursor is at revision %d, the cluster at %d", cursor.Revision, info.Revision),
		}
	}
	return nil
}

func otherLife(asked, have hawser.Generation) error {
	return &hawser.Error{
		Code: hawser.CodeWrongGeneration, Op: "watch",
		Msg: fmt.Sprintf("the cursor is of generation %d, the cluster of %d: it was restored; read the state and watch from now", asked, have),
	}
}

func filterOf(r *hawserv1.WatchRequest) (watch.Filter, error) {
	if r.GetName() != "" && r.GetPrefix() != "" {
		return watch.Filter{}, &hawser.Error{Code: hawser.CodeInvalid, Op: "watch", Msg: "it names an agent and a prefix; one of them is possible"}
	}
	namespace, prefix, err := scopeOf(r.GetNamespace(), r.GetPrefix())
	if err != nil {
		return watch.Filter{}, err
	}
	f := watch.Filter{Namespace: namespace, Prefix: prefix}
	if r.GetName() != "" {
		id, err := hawser.NewAgentID(namespace, r.GetName())
		if err != nil {
			return watch.Filter{}, err
		}
		f.Name = id.Name
	}
	known := hawser.EventKinds()
	for _, k := range r.GetKinds() {
		if k <= 0 || int(k) > len(known) {
			return watch.Filter{}, &hawser.Error{
				Code: hawser.CodeInvalid, Op: "watch", Msg: fmt.Sprintf("this node knows no events of kind %d", k),
			}
		}
		f.Kinds = append(f.Kinds, known[k-1])
	}
	return f, nil
}
