// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// blocking answers a health check when it is told to.
type blocking struct {
	grpc_health_v1.UnimplementedHealthServer
	entered, leave chan struct{}
}

func (b *blocking) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	b.entered <- struct{}{}
	select {
	case <-b.leave:
	case <-ctx.Done():
	}
	return &grpc_health_v1.HealthCheckResponse{}, nil
}

// connectTo serves until the test ends, and returns a connection.
func connectTo(t *testing.T, server *grpc.Server) *grpc.ClientConn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := serveGRPC(l, server)
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(); _ = g.close(context.Background()) })
	return conn
}

func waitForCalls(t *testing.T, a *admission, calls int64) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); a.calls.Load() != calls; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d calls are counted, want %d", a.calls.Load(), calls)
		}
	}
}

// Calls above the limit are refused as overloaded, with the code that clients
// back off on; a call counts until it is answered, given up or cut off, and
// half-sent calls, which no handler ever sees, count too.
func TestAdmission_BoundsCallsUnderWay(t *testing.T) {
	a := &admission{limit: 2, arrival: time.Minute}
	b := &blocking{entered: make(chan struct{}, 8), leave: make(chan struct{})}
	server := grpc.NewServer(grpc.InTapHandle(a.tap), grpc.ChainUnaryInterceptor(a.unary))
	grpc_health_v1.RegisterHealthServer(server, b)
	conn := connectTo(t, server)
	check := func(ctx context.Context) <-chan error {
		done := make(chan error, 1)
		go func() {
			_, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
			done <- err
		}()
		return done
	}
	waitFor := func(calls int64) { t.Helper(); waitForCalls(t, a, calls) }

	first := check(t.Context())
	<-b.entered
	halfSent, cancel := context.WithCancel(t.Context())
	stream, err := conn.NewStream(halfSent, &grpc.StreamDesc{ClientStreams: true}, grpc_health_v1.Health_Check_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	_ = stream // its headers are sent, its message never is
	waitFor(2)
	err = <-check(t.Context())
	if got := wire.FromStatus(err); !errors.Is(got, hawser.ErrOverloaded) || !wire.Detailed(err) {
		t.Fatalf("the third call got %v", err)
	}
	cancel()
	waitFor(1)
	close(b.leave)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	waitFor(0)
	if err := <-check(t.Context()); err != nil {
		t.Fatalf("after the others ended: %v", err)
	}
}

// stalled answers a restore when it is told to.
type stalled struct {
	hawserv1.UnimplementedStateServer
	entered, leave chan struct{}
}

func (s *stalled) Restore(_ *hawserv1.RestoreRequest, stream grpc.ServerStreamingServer[hawserv1.RestoreResponse]) error {
	s.entered <- struct{}{}
	select {
	case <-s.leave:
	case <-stream.Context().Done():
	}
	return nil
}

// Streams count like other calls, until they end in one way or the other.
func TestAdmission_CountsStreams(t *testing.T) {
	a := &admission{limit: 2, arrival: time.Minute}
	s := &stalled{entered: make(chan struct{}, 8), leave: make(chan struct{})}
	server := grpc.NewServer(grpc.InTapHandle(a.tap), grpc.ChainStreamInterceptor(a.stream))
	hawserv1.RegisterStateServer(server, s)
	conn := connectTo(t, server)
	begin := func(ctx context.Context) grpc.ServerStreamingClient[hawserv1.RestoreResponse] {
		t.Helper()
		stream, err := hawserv1.NewStateClient(conn).Restore(ctx, &hawserv1.RestoreRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return stream
	}
	waitFor := func(calls int64) { t.Helper(); waitForCalls(t, a, calls) }
	gone, cancel := context.WithCancel(t.Context())
	begin(gone)
	first := begin(t.Context())
	<-s.entered
	<-s.entered
	if _, err := begin(t.Context()).Recv(); !errors.Is(wire.FromStatus(err), hawser.ErrOverloaded) {
		t.Fatalf("the third stream got %v", err)
	}
	cancel()
	waitFor(1)
	close(s.leave)
	if _, err := first.Recv(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	waitFor(0)
}

// watching is a Watch service whose streams stay.
type watching struct {
	hawserv1.UnimplementedWatchServer
	entered chan struct{}
}

func (w *watching) Watch(_ *hawserv1.WatchRequest, stream grpc.ServerStreamingServer[hawserv1.WatchResponse]) error {
	w.entered <- struct{}{}
	<-stream.Context().Done()
	return nil
}

// Streams that stay are no calls once they have begun: any number of watchers,
// up to a limit of their own, leaves the places for calls free.
func TestAdmission_WatchersAreNoCalls(t *testing.T) {
	a := &admission{limit: 2, arrival: time.Minute}
	w := &watching{entered: make(chan struct{}, 8)}
	server := grpc.NewServer(grpc.InTapHandle(a.tap), grpc.ChainStreamInterceptor(a.stream))
	hawserv1.RegisterWatchServer(server, w)
	conn := connectTo(t, server)
	ctx, cancel := context.WithCancel(t.Context())
	for range 6 {
		if _, err := hawserv1.NewWatchClient(conn).Watch(ctx, &hawserv1.WatchRequest{}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-w.entered:
		case <-time.After(5 * time.Second):
			t.Fatal("a watch was not let in")
		}
	}
	if calls, watches := a.calls.Load(), a.watches.Load(); calls != 0 || watches != 6 {
		t.Errorf("%d calls and %d watches are counted", calls, watches)
	}
	a.watches.Add(maxWatches)
	stream, err := hawserv1.NewWatchClient(conn).Watch(ctx, &hawserv1.WatchRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	if !errors.Is(wire.FromStatus(err), hawser.ErrOverloaded) {
		t.Errorf("one too many got %v", err)
	}
	a.watches.Add(-maxWatches)
	cancel()
	_ = conn.Close()
	for end := time.Now().Add(5 * time.Second); a.watches.Load() != 0 || a.calls.Load() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d calls and %d watches are counted at the end", a.calls.Load(), a.watches.Load())
		}
	}
}

// Calls of which no message ever comes do not keep their places, unary ones and
// streams; one whose message came keeps its place for as long as it takes.
func TestAdmission_HeadersAlone(t *testing.T) {
	a := &admission{limit: 3, arrival: 100 * time.Millisecond}
	b := &blocking{entered: make(chan struct{}, 8), leave: make(chan struct{})}
	server := grpc.NewServer(grpc.InTapHandle(a.tap), grpc.ChainUnaryInterceptor(a.unary), grpc.ChainStreamInterceptor(a.stream))
	grpc_health_v1.RegisterHealthServer(server, b)
	hawserv1.RegisterStateServer(server, &stalled{})
	hawserv1.RegisterWatchServer(server, &watching{})
	conn := connectTo(t, server)
	whole := make(chan error, 1)
	go func() {
		_, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		whole <- err
	}()
	<-b.entered
	for _, method := range []string{
		grpc_health_v1.Health_Check_FullMethodName, hawserv1.State_Restore_FullMethodName, hawserv1.Watch_Watch_FullMethodName,
	} {
		stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.RecvMsg(new(grpc_health_v1.HealthCheckResponse)); err == nil || errors.Is(err, io.EOF) {
			t.Fatalf("%s, of which only the headers were sent, ended with %v", method, err)
		}
	}
	waitForCalls(t, a, 1) // the one that is there
	close(b.leave)
	if err := <-whole; err != nil {
		t.Fatalf("the call that was sent whole: %v", err)
	}
}
