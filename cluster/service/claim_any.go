// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"fmt"
	"math/rand/v2"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/wire"
)

const (
	// maxClaimed is how many agents one ClaimAny claims.
	maxClaimed = 256
	// maxListedClaims is how many of what a lease holds one answer lists. Of a
	// lease that has more, each answer begins somewhere else.
	maxListedClaims = 1000
	// maxCrew is the most agents that a caller may want under one lease.
	maxCrew = 10_000
)

// ClaimAny implements hawserv1.CoordinationServer.
func (s *Service) ClaimAny(ctx context.Context, r *hawserv1.ClaimAnyRequest) (*hawserv1.ClaimAnyResponse, error) {
	id, err := wire.LeaseFromProto(r.GetLease())
	if err != nil {
		return nil, err
	}
	namespace, prefix, err := scopeOf(r.GetNamespace(), r.GetPrefix())
	if err != nil {
		return nil, err
	}
	if r.GetKnown() > maxCrew || r.GetMore() > maxCrew {
		return nil, &hawser.Error{
			Code: hawser.CodeInvalid, Op: "claim any", Key: prefix, Msg: fmt.Sprintf("%d more agents than %d; a lease holds %d", r.GetMore(), r.GetKnown(), maxCrew),
		}
	}
	b, err := s.open()
	if err != nil {
		return nil, err
	}
	c := claimAny{lease: id, namespace: namespace, prefix: prefix, known: int(r.GetKnown()), more: int(r.GetMore()), generation: r.GetGeneration()}
	return route(ctx, b, call[*hawserv1.ClaimAnyResponse]{
		local: func(ctx context.Context, _ uint32) (*hawserv1.ClaimAnyResponse, error) { return s.claimAny(ctx, b, c) },
		remote: func(ctx context.Context, conn *grpc.ClientConn, _ uint32) (*hawserv1.ClaimAnyResponse, error) {
			return hawserv1.NewCoordinationClient(conn).ClaimAny(ctx, r)
		},
		unknown: func(cause error) error {
			return &hawser.Error{
				Code: hawser.CodeOutcomeUnknown, Op: "claim any", Key: prefix, Msg: "some may have been claimed; repeating it is harmless", Err: cause,
			}
		},
	})
}

// claimAny is a ClaimAnyRequest.
type claimAny struct {
	lease             hawser.LeaseID
	namespace, prefix string
	known, more       int
	generation        uint64
}

// claimAny runs a request at this node, which believes that it leads. Calls take
// turns, so that each chooses among what the ones before have left.
func (s *Service) claimAny(ctx context.Context, b *Backend, c claimAny) (*hawserv1.ClaimAnyResponse, error) {
	if err := b.Reads.Wait(ctx); err != nil {
		return nil, err
	}
	select {
	case s.choosing <- struct{}{}:
		defer func() { <-s.choosing }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	found, err := c.look(b)
	if err != nil {
		return nil, err
	}
	resp := &hawserv1.ClaimAnyResponse{Agents: uint64(found.agents)}
	claims, revision := found.held, hawser.Revision(0)
	if len(found.free) > 0 {
		result, err := b.submit(ctx, &fsm.ClaimFree{Lease: c.lease, Namespace: c.namespace, Names: found.free, Generation: c.generation})
		if err != nil {
			return nil, err
		}
		claims, revision = append(claims, result.Claims...), result.Revision
	}
	for _, claimed := range claims {
		resp.Claims = append(resp.Claims, claimedToProto(claimed))
	}
	info := b.Machine.Info()
	resp.Header = b.header(info, max(revision, info.Revision))
	return resp, nil
}

// found is what there is for a request.
type found struct {
	free   []string
	agents int
	// held is what the lease holds, if that is another number than the caller knows.
	held []fsm.Claimed
}

func (c claimAny) look(b *Backend) (f found, err error) {
	view, err := b.Machine.View()
	if err != nil {
		return f, err
	}
	defer closeView(view)
	if g := uint64(view.Info().Generation); c.generation != 0 && c.generation != g {
		return f, &hawser.Error{Code: hawser.CodeWrongGeneration, Op: "claim any", Key: c.prefix, Msg: "the lease is of another life of this cluster, and lost; begin anew"}
	}
	_, held, err := view.ClaimsOf(c.lease, c.namespace, c.prefix, 0, 0)
	if err != nil {
		return f, err
	}
	if held != c.known {
		skip := rand.IntN(max(held-maxListedClaims, 0) + 1)
		if f.held, _, err = view.ClaimsOf(c.lease, c.namespace, c.prefix, skip, maxListedClaims); err != nil {
			return f, err
		}
	}
	want := min(max(c.known+c.more-held, 0), maxClaimed)
	f.free, f.agents, err = view.Free(c.namespace, c.prefix, want)
	return f, err
}

// claimedToProto leaves out of the head what may be long.
func claimedToProto(c fsm.Claimed) *hawserv1.ClaimedAgent {
	m := &hawserv1.ClaimedAgent{Agent: wire.AgentToProto(c.Agent), Token: c.Token, Seen: c.Seen}
	if c.Head != nil {
		head := *c.Head
		head.Labels, head.DerivedFrom = nil, nil
		m.Head = wire.VersionToProto(head)
	}
	return m
}
