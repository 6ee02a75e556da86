// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/hawserdb/hawser"
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

// Calls above the limit are refused as overloaded, with the code that clients
// back off on; a call counts until it is answered, given up or cut off, and
// half-sent calls, which no handler ever sees, count too.
func TestAdmission_BoundsCallsUnderWay(t *testing.T) {
	a := &admission{limit: 2}
	b := &blocking{entered: make(chan struct{}, 8), leave: make(chan struct{})}
	server := grpc.NewServer(grpc.InTapHandle(a.tap), grpc.ChainUnaryInterceptor(a.unary))
	grpc_health_v1.RegisterHealthServer(server, b)
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
	check := func(ctx context.Context) <-chan error {
		done := make(chan error, 1)
		go func() {
			_, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
			done <- err
		}()
		return done
	}
	waitFor := func(calls int64) {
		t.Helper()
		for end := time.Now().Add(5 * time.Second); a.calls.Load() != calls; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d calls are counted, want %d", a.calls.Load(), calls)
			}
		}
	}

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
