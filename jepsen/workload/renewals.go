// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/jepsen/history"
)

// renewals records every renewal of a lease that was confirmed, with the time at
// which it was sent: what a client counts on, which it does not tell itself.
type renewals struct {
	recorder *history.Recorder
	workload string
	id       int

	mu     sync.Mutex
	leases map[hawser.LeaseID]opened
}

// opened is when the first attempt to open a lease was sent, and its TTL. Whichever
// attempt was executed, the lease is not older.
type opened struct {
	sent time.Duration
	ttl  time.Duration
}

// options are those of a connection whose renewals are to be recorded.
func (r *renewals) options() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithChainUnaryInterceptor(r.unary), grpc.WithChainStreamInterceptor(r.stream)}
}

// unary sees leases opened.
func (r *renewals) unary(
	ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	open, ok := req.(*hawserv1.OpenLeaseRequest)
	if !ok {
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	l := r.open(hawser.LeaseID(open.GetLease()), open.GetTtl().AsDuration())
	err := invoke(ctx, method, req, reply, cc, opts...)
	if resp, ok := reply.(*hawserv1.OpenLeaseResponse); ok && err == nil {
		r.confirmed(hawser.LeaseID(open.GetLease()), l.ttl, l.sent, resp.GetHeader())
	}
	return err
}

func (r *renewals) open(id hawser.LeaseID, ttl time.Duration) opened {
	r.mu.Lock()
	defer r.mu.Unlock()
	l, ok := r.leases[id]
	if !ok {
		l = opened{sent: r.recorder.Now(), ttl: ttl}
		r.leases[id] = l
	}
	return l
}

func (r *renewals) confirmed(id hawser.LeaseID, ttl, sent time.Duration, h *hawserv1.Header) {
	r.recorder.Add(history.Op{
		Client: r.id, Kind: history.Renew, Agent: r.workload + "/", Value: id.String(), TTL: ttl, Term: h.GetTerm(), Revision: h.GetRevision(),
		Stale: true, Call: sent, Return: r.recorder.Now(), Outcome: history.OK,
	})
}

// stream sees leases renewed.
func (r *renewals) stream(
	ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, stream grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	s, err := stream(ctx, desc, cc, method, opts...)
	if err != nil || method != hawserv1.Coordination_KeepAlive_FullMethodName {
		return s, err
	}
	return &renewed{ClientStream: s, renewals: r}, nil
}

// renewed is a stream of renewals, of which one is under way at a time.
type renewed struct {
	grpc.ClientStream

	renewals *renewals

	mu    sync.Mutex
	sent  time.Duration
	asked []byte // the ids
}

// SendMsg implements grpc.ClientStream.
func (s *renewed) SendMsg(m any) error {
	if req, ok := m.(*hawserv1.KeepAliveRequest); ok {
		s.mu.Lock()
		s.sent, s.asked = s.renewals.recorder.Now(), req.GetLeases()
		s.mu.Unlock()
	}
	return s.ClientStream.SendMsg(m)
}

// RecvMsg implements grpc.ClientStream.
func (s *renewed) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if resp, ok := m.(*hawserv1.KeepAliveResponse); ok && err == nil {
		s.answered(resp)
	}
	return err
}

// answered records the renewals of the leases that the answer does not name.
func (s *renewed) answered(resp *hawserv1.KeepAliveResponse) {
	lost := map[hawser.LeaseID]bool{}
	for _, id := range split(resp.GetExpired()) {
		lost[id] = true
	}
	for _, e := range resp.GetEnded() {
		for _, id := range split(e.GetLease()) {
			lost[id] = true
		}
	}
	s.mu.Lock()
	sent, asked := s.sent, split(s.asked)
	s.mu.Unlock()
	for _, id := range asked {
		s.renewals.mu.Lock()
		l, known := s.renewals.leases[id]
		s.renewals.mu.Unlock()
		if known && !lost[id] {
			s.renewals.confirmed(id, l.ttl, sent, resp.GetHeader())
		}
	}
}

func split(packed []byte) (ids []hawser.LeaseID) {
	const size = len(hawser.LeaseID{})
	for ; len(packed) >= size; packed = packed[size:] {
		ids = append(ids, hawser.LeaseID(packed))
	}
	return ids
}
