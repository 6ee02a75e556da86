// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/cluster/lease"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/wire"
)

// maxRenewals is the most leases of one message of a KeepAlive.
const maxRenewals = 4096

// OpenLease implements hawserv1.CoordinationServer.
func (s *Service) OpenLease(ctx context.Context, r *hawserv1.OpenLeaseRequest) (*hawserv1.OpenLeaseResponse, error) {
	id, err := wire.LeaseFromProto(r.GetLease())
	if err != nil {
		return nil, err
	}
	ttl := r.GetTtl().AsDuration()
	if ttl < hawser.MinTTL || ttl > hawser.MaxTTL {
		return nil, &hawser.Error{
			Code: hawser.CodeInvalid, Op: "open lease", Key: id.String(),
			Msg: fmt.Sprintf("a time to live of %s; %s to %s are possible", ttl, hawser.MinTTL, hawser.MaxTTL),
		}
	}
	why := badText(r.GetInstance(), hawser.MaxInstance)
	if r.GetInstance() == "" {
		why = "is missing"
	}
	if why != "" {
		return nil, &hawser.Error{Code: hawser.CodeInvalid, Op: "open lease", Key: id.String(), Msg: "the instance " + why}
	}
	c := &fsm.OpenLease{Lease: id, Instance: r.GetInstance(), TTL: ttl, Generation: r.GetGeneration()}
	return coordinate(ctx, s, "open lease", id.String(), c, func(h *hawserv1.Header, _ fsm.Result) *hawserv1.OpenLeaseResponse {
		return &hawserv1.OpenLeaseResponse{Header: h}
	}, func(ctx context.Context, leader hawserv1.CoordinationClient) (*hawserv1.OpenLeaseResponse, error) {
		return leader.OpenLease(ctx, r)
	})
}

// EndLease implements hawserv1.CoordinationServer. What one command leaves, the
// leader ends on its own.
func (s *Service) EndLease(ctx context.Context, r *hawserv1.EndLeaseRequest) (*hawserv1.EndLeaseResponse, error) {
	id, err := wire.LeaseFromProto(r.GetLease())
	if err != nil {
		return nil, err
	}
	c := &fsm.EndLease{Lease: id, Generation: r.GetGeneration()}
	return coordinate(ctx, s, "end lease", id.String(), c, func(h *hawserv1.Header, _ fsm.Result) *hawserv1.EndLeaseResponse {
		return &hawserv1.EndLeaseResponse{Header: h}
	}, func(ctx context.Context, leader hawserv1.CoordinationClient) (*hawserv1.EndLeaseResponse, error) {
		return leader.EndLease(ctx, r)
	})
}

// coordinate takes a command to the leader. All commands of coordination name
// what is to be so, and are harmless to repeat.
func coordinate[T any](
	ctx context.Context, s *Service, op, key string, c fsm.Command, answer func(*hawserv1.Header, fsm.Result) T,
	remote func(context.Context, hawserv1.CoordinationClient) (T, error),
) (T, error) {
	return routeCommand(ctx, s, command[T]{
		op: op, key: key, Command: c, answer: answer,
		remote: func(ctx context.Context, conn *grpc.ClientConn) (T, error) {
			return remote(ctx, hawserv1.NewCoordinationClient(conn))
		},
		before: func(b *Backend) {
			if release, ok := c.(*fsm.Release); ok {
				release.Ranking = b.Leases.Ranking(release.Resource)
			}
		},
	})
}

// KeepAlive implements hawserv1.CoordinationServer. The stream ends when the
// leader changes: the client begins another one.
func (s *Service) KeepAlive(stream grpc.BidiStreamingServer[hawserv1.KeepAliveRequest, hawserv1.KeepAliveResponse]) error {
	b, err := s.open()
	if err != nil {
		return err
	}
	conn, err := b.toLeader(stream.Context())
	if err != nil {
		return err
	}
	renew := b.renew
	if conn != nil {
		if renew, err = remoteRenewal(stream.Context(), conn); err != nil {
			return err
		}
	}
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return wire.FromStatus(err)
		}
		resp, err := renew(stream.Context(), r)
		if err != nil {
			if errors.Is(err, hawser.ErrNotLeader) {
				err = &hawser.Error{Code: hawser.CodeUnavailable, Op: "keep alive", Msg: "the leader has changed; begin anew"}
			}
			return err
		}
		if err := stream.Send(resp); err != nil {
			return wire.FromStatus(err)
		}
	}
}

type renewal func(context.Context, *hawserv1.KeepAliveRequest) (*hawserv1.KeepAliveResponse, error)

// remoteRenewal hands requests on to the leader.
func remoteRenewal(ctx context.Context, conn *grpc.ClientConn) (renewal, error) {
	out, err := hawserv1.NewCoordinationClient(conn).KeepAlive(ctx)
	if err != nil {
		return nil, notRelayed(err)
	}
	return func(_ context.Context, r *hawserv1.KeepAliveRequest) (*hawserv1.KeepAliveResponse, error) {
		if err := out.Send(r); err != nil && !errors.Is(err, io.EOF) { // else why is in the answer
			return nil, notRelayed(err)
		}
		resp, err := out.Recv()
		if err != nil {
			return nil, notRelayed(err)
		}
		return resp, nil
	}, nil
}

// renew runs a request at this node, which believes that it leads.
func (b *Backend) renew(ctx context.Context, r *hawserv1.KeepAliveRequest) (*hawserv1.KeepAliveResponse, error) {
	info := b.Machine.Info()
	if info.Generation == 0 { // leads, and has yet to apply what it has
		return nil, errEmpty()
	}
	if g := r.GetGeneration(); g != 0 && g != uint64(info.Generation) {
		return nil, &hawser.Error{
			Code: hawser.CodeWrongGeneration, Op: "keep alive", Msg: "the leases are of another life of this cluster, and lost; begin anew",
		}
	}
	leases, err := leasesOf(r.GetLeases())
	if err != nil {
		return nil, err
	}
	followed := make([]lease.Followed, 0, len(r.GetFollowed()))
	for _, f := range r.GetFollowed() {
		id, err := wire.LeaseFromProto(f.GetLease())
		if err != nil {
			return nil, err
		}
		agent, err := wire.AgentFromProto(f.GetAgent())
		if err != nil {
			return nil, err
		}
		followed = append(followed, lease.Followed{Lease: id, Agent: agent, Version: f.GetVersion()})
	}
	if err := checkReports(r.GetReports()); err != nil {
		return nil, err
	}
	renewed, err := b.Leases.Renew(ctx, leases, followed)
	if err != nil {
		return nil, err
	}
	if err := b.noteHealth(r.GetReports(), leases, renewed.Expired); err != nil {
		return nil, err
	}
	resp := &hawserv1.KeepAliveResponse{Header: b.header(info, info.Revision), Sequence: r.GetSequence()}
	for _, id := range renewed.Expired {
		resp.Expired = append(resp.Expired, id[:]...)
	}
	for _, e := range renewed.Ended {
		resp.Ended = append(resp.Ended, &hawserv1.EndedHold{
			Lease: e.Lease[:], Resource: wire.ResourceToProto(e.Resource), Token: e.Token, Reason: e.Reason,
		})
	}
	return resp, nil
}

func leasesOf(packed []byte) ([]hawser.LeaseID, error) {
	const size = len(hawser.LeaseID{})
	if len(packed)%size != 0 || len(packed) > maxRenewals*size {
		return nil, &hawser.Error{
			Code: hawser.CodeInvalid, Op: "keep alive", Msg: fmt.Sprintf("%d bytes of leases; each has %d, and %d are possible", len(packed), size, maxRenewals),
		}
	}
	leases := make([]hawser.LeaseID, len(packed)/size)
	for i := range leases {
		leases[i] = hawser.LeaseID(packed[i*size:])
	}
	return leases, nil
}
