// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/tap"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// slowStream takes and brings a message after a while, unless it ends first.
type slowStream struct {
	grpc.ServerStream
	ctx   context.Context
	after time.Duration
}

func (s *slowStream) Context() context.Context { return s.ctx }

func (s *slowStream) move() error {
	select {
	case <-time.After(s.after):
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

func (s *slowStream) SendMsg(any) error { return s.move() }
func (s *slowStream) RecvMsg(any) error { return s.move() }

// tapped returns a stream as servers make it.
func tapped(t *testing.T, method string, after time.Duration) *slowStream {
	t.Helper()
	ctx, err := Tap(t.Context(), &tap.Info{FullMethodName: method})
	if err != nil {
		t.Fatal(err)
	}
	return &slowStream{ctx: ctx, after: after}
}

// A stream lasts as long as its other side goes on at a sensible rate, and is
// ended with a deadline when it does not, in either direction, though the
// transport itself would wait for ever.
func TestStream_EndsWhatDoesNotGoOn(t *testing.T) {
	part := &hawserv1.RestoreResponse{Part: make([]byte, 128<<10)}
	for _, tt := range []struct {
		name  string
		after time.Duration
		m     any
		lasts int // messages until the end, 0 for no end
	}{
		{"fast", time.Millisecond, part, 0},
		{"just fast enough", 900 * time.Millisecond, part, 0},
		{"slow", 10 * time.Second, part, 3},
		{"drips", time.Second, &hawserv1.RestoreResponse{Part: []byte("x")}, 30},
		{"stalls", time.Hour, part, 1},
	} {
		for _, receives := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				s := newPaced(tapped(t, hawserv1.State_Restore_FullMethodName, tt.after))
				var err error
				n := 0
				for ; n < 1000 && err == nil; n++ {
					if receives {
						err = s.RecvMsg(tt.m)
					} else {
						err = s.SendMsg(tt.m)
					}
				}
				if (err != nil) != (tt.lasts > 0) || tt.lasts > 0 && (n < tt.lasts || n > tt.lasts+1 || !errors.Is(err, hawser.ErrDeadline)) {
					t.Errorf("%s, receives %v: ended after %d messages with %v", tt.name, receives, n, err)
				}
			})
		}
	}
}

// Unary calls keep their context; only streams can be ended by the server.
func TestTap_LeavesOtherCallsAlone(t *testing.T) {
	if ctx, err := Tap(t.Context(), &tap.Info{FullMethodName: hawserv1.State_Save_FullMethodName}); ctx != t.Context() || err != nil {
		t.Fatal("a save has another context", err)
	}
}

// A defect in one stream becomes an internal error of that stream only; other
// errors go out as statuses with details; forwarded streams are marked.
func TestStream_Intercepts(t *testing.T) {
	s, _ := start(t)
	var seen hawser.Code
	through := s.Stream(slog.New(slog.DiscardHandler), func(_ string, code hawser.Code, _ time.Duration) { seen = code })
	call := func(h grpc.StreamHandler) error {
		return through(nil, tapped(t, hawserv1.State_Restore_FullMethodName, 0), &grpc.StreamServerInfo{FullMethod: "/x/Y"}, h)
	}
	err := call(func(any, grpc.ServerStream) error { panic("defect") })
	if got := hawser.CodeOf(wire.FromStatus(err)); got != hawser.CodeInternal || seen != hawser.CodeInternal {
		t.Errorf("a panic: got %v, observed %v", err, seen)
	}
	err = call(func(any, grpc.ServerStream) error { return &hawser.Error{Code: hawser.CodeKeyframeNeeded} })
	if got := hawser.CodeOf(wire.FromStatus(err)); got != hawser.CodeKeyframeNeeded || seen != hawser.CodeKeyframeNeeded {
		t.Errorf("an error: got %v, observed %v", err, seen)
	}
	err = call(func(srv any, stream grpc.ServerStream) error {
		return ForwardedStream(srv, stream, nil, func(_ any, stream grpc.ServerStream) error {
			if !isForwarded(stream.Context()) {
				return errors.New("not marked")
			}
			return nil
		})
	})
	if err != nil {
		t.Errorf("forwarded: %v", err)
	}
}

// flooding sends without end and tells how that ended.
type flooding struct {
	hawserv1.UnimplementedStateServer
	end   chan context.CancelCauseFunc
	ended chan error
}

func (f *flooding) Restore(_ *hawserv1.RestoreRequest, stream grpc.ServerStreamingServer[hawserv1.RestoreResponse]) error {
	f.end <- stream.Context().Value(endKey{}).(context.CancelCauseFunc)
	for {
		if err := stream.Send(&hawserv1.RestoreResponse{Part: make([]byte, 128<<10)}); err != nil {
			f.ended <- err
			return &hawser.Error{Code: hawser.CodeDeadline}
		}
	}
}

// What Tap puts into a stream's context ends a Send that waits for a caller who
// reads nothing, in the transport as it is, and the caller learns why.
func TestTap_EndsABlockedSend(t *testing.T) {
	f := &flooding{end: make(chan context.CancelCauseFunc, 1), ended: make(chan error, 1)}
	s, _ := start(t)
	through := s.Stream(slog.New(slog.DiscardHandler), func(string, hawser.Code, time.Duration) {})
	server := grpc.NewServer(grpc.InTapHandle(Tap), grpc.ChainStreamInterceptor(through))
	hawserv1.RegisterStateServer(server, f)
	conn := dialTo(t, server)
	stream, err := hawserv1.NewStateClient(conn).Restore(t.Context(), &hawserv1.RestoreRequest{})
	if err != nil {
		t.Fatal(err)
	}
	end := <-f.end
	select {
	case err := <-f.ended:
		t.Fatalf("ended by itself: %v", err)
	case <-time.After(50 * time.Millisecond): // it fills the window meanwhile
	}
	end(context.DeadlineExceeded)
	select {
	case <-f.ended:
	case <-time.After(5 * time.Second):
		t.Fatal("still blocked")
	}
	for err == nil {
		_, err = stream.Recv()
	}
	if !errors.Is(wire.FromStatus(err), hawser.ErrDeadline) {
		t.Errorf("the caller got %v", err)
	}
}
