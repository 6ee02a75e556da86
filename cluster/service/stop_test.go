// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/halt"
	"github.com/hawserdb/hawser/internal/wire"
)

// A Service that was stopped stays closed, also when the node that stopped
// itself had been about to open it.
func TestService_StopIsForGood(t *testing.T) {
	s, _ := start(t)
	b, _ := s.ready()
	s.Stop()
	s.Start(b)
	if _, err := s.Show(t.Context(), &hawserv1.ShowRequest{Agent: &hawserv1.Agent{Name: "a"}}); !errors.Is(err, hawser.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
}

// A stale read that waits for a revision on a node that stops is sent to
// another node; only the caller's own time makes it a deadline.
func TestService_StaleReadOnAStoppingNode(t *testing.T) {
	s, l := start(t)
	closing := time.AfterFunc(20*time.Millisecond, func() { _ = l.machine.Close() })
	defer closing.Stop()
	stale := &hawserv1.ReadOptions{Consistency: hawserv1.Consistency_CONSISTENCY_STALE, MinRevision: 99}
	_, err := restore(t.Context(), s, &hawserv1.RestoreRequest{Agent: &hawserv1.Agent{Name: "a"}, Read: stale})
	if !errors.Is(err, hawser.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
}

// What stops the node is not a defect to report: the caller is sent elsewhere.
// A write that it left open stays open.
func TestUnary_FailureOfTheNodeSendsElsewhere(t *testing.T) {
	s, _ := start(t)
	failure := &halt.Error{Reason: halt.Engine, Where: "state", Err: errors.New("input/output error")}
	for _, tt := range []struct {
		err  error
		want hawser.Code
	}{
		{failure, hawser.CodeUnavailable},
		{&hawser.Error{Code: hawser.CodeOutcomeUnknown, Err: failure}, hawser.CodeOutcomeUnknown},
	} {
		var seen hawser.Code
		call := s.Unary(slog.New(slog.DiscardHandler), func(_ string, code hawser.Code, _ time.Duration) { seen = code })
		_, err := call(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/x"}, func(context.Context, any) (any, error) {
			return nil, tt.err
		})
		if got := hawser.CodeOf(wire.FromStatus(err)); got != tt.want || seen != tt.want {
			t.Errorf("%v: got %v, counted as %v, want %v", tt.err, got, seen, tt.want)
		}
	}
}
