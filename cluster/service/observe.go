// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/cluster/watch"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/wire"
)

// What is observed is looked at now and then though no event told of a change:
// queues change without one. Who waits for its own turn is told of that by an
// event, and there may be many of those.
const (
	observeEvery = 200 * time.Millisecond
	awaitEvery   = 2 * time.Second
)

// Observe implements hawserv1.CoordinationServer. The node that is asked serves
// it.
func (s *Service) Observe(r *hawserv1.ObserveRequest, stream grpc.ServerStreamingServer[hawserv1.ObserveResponse]) error {
	ctx := stream.Context()
	name, err := wire.ResourceFromProto(r.GetResource())
	if err != nil {
		return err
	}
	var of hawser.LeaseID
	if len(r.GetLease()) > 0 {
		if of, err = wire.LeaseFromProto(r.GetLease()); err != nil {
			return err
		}
	}
	b, view, err := s.view(ctx, r.GetRead())
	if err != nil {
		return err
	}
	sub, err := b.Hub.Subscribe(watch.Filter{
		Namespace: name.Name.Namespace, Name: name.Name.Name, Lease: of,
		Kinds: []hawser.EventKind{
			hawser.EventClaimGranted, hawser.EventClaimEnded, hawser.EventLockGranted, hawser.EventLockEnded, hawser.EventAgentDeleted,
		},
	}, view.Info().Revision)
	if err != nil {
		closeView(view)
		return err
	}
	defer sub.Close()
	every := observeEvery
	if !of.IsZero() {
		every = awaitEvery
	}
	var last *hawserv1.ObserveResponse
	news := news{sub: sub, every: every}
	for {
		info := view.Info()
		resp, err := b.observed(view, name, of)
		closeView(view)
		if err != nil {
			return err
		}
		if last == nil || !proto.Equal(last.GetHold(), resp.GetHold()) || !proto.Equal(last.GetHolding(), resp.GetHolding()) {
			if err := stream.Send(resp); err != nil {
				return wire.FromStatus(err)
			}
			last = resp
		}
		if b, view, err = s.await(ctx, &news, info); err != nil {
			return err
		}
	}
}

func (b *Backend) observed(view *fsm.View, name hawser.Resource, of hawser.LeaseID) (*hawserv1.ObserveResponse, error) {
	info := view.Info()
	resp := &hawserv1.ObserveResponse{Header: b.header(info, info.Revision)}
	if of.IsZero() {
		holding, _, err := view.Holding(name)
		resp.Holding = wire.HoldingToProto(holding)
		return resp, err
	}
	hold, err := view.Hold(name, of)
	if err != nil {
		return nil, err
	}
	resp.Hold = &hawserv1.Hold{State: holdStates[hold.State], Token: hold.Token, Reason: hold.Reason, Seen: hold.Seen}
	if hold.Head != nil {
		resp.Hold.Head = wire.VersionToProto(*hold.Head)
	}
	return resp, nil
}

var holdStates = [...]hawserv1.Hold_State{
	fsm.HoldNone: hawserv1.Hold_STATE_NONE, fsm.HoldQueued: hawserv1.Hold_STATE_QUEUED,
	fsm.HoldGranted: hawserv1.Hold_STATE_HELD, fsm.HoldEnded: hawserv1.Hold_STATE_ENDING,
}

// Holdings implements hawserv1.CoordinationServer.
func (s *Service) Holdings(ctx context.Context, r *hawserv1.HoldingsRequest) (*hawserv1.HoldingsResponse, error) {
	namespace, prefix, err := scopeOf(r.GetNamespace(), r.GetPrefix())
	if err != nil {
		return nil, err
	}
	kind := enum[hawser.ResourceKind](r.GetKind())
	if kind != hawser.ResourceClaim && kind != hawser.ResourceLock {
		return nil, &hawser.Error{Code: hawser.CodeInvalid, Op: "holdings", Msg: "it asks neither for claims nor for locks"}
	}
	b, view, err := s.view(ctx, r.GetRead())
	if err != nil {
		return nil, err
	}
	defer closeView(view)
	info := view.Info()
	list := page{kind: pageHoldings, generation: info.Generation, scope: kind.String() + "\x00" + namespace + "\x00" + prefix}
	items, next, err := pageOf(list, r.GetPageToken(), r.GetLimit(), func(after string, limit int) ([]hawser.Holding, error) {
		return view.Holdings(kind, namespace, prefix, after, limit)
	}, wire.HoldingToProto, func(x hawser.Holding) string { return x.Resource.Name.Name })
	if err != nil {
		return nil, err
	}
	return &hawserv1.HoldingsResponse{Header: b.header(info, info.Revision), Holdings: items, NextPageToken: next}, nil
}
