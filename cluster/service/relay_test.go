// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/internal/wire"
)

// serve serves s as a node does, to clients or to other nodes.
func serve(t *testing.T, s *Service, forwarded bool) (*grpc.Server, *grpc.ClientConn) {
	t.Helper()
	observe := func(string, hawser.Code, time.Duration) {}
	unary := []grpc.UnaryServerInterceptor{s.Unary(slog.New(slog.DiscardHandler), observe)}
	stream := []grpc.StreamServerInterceptor{s.Stream(slog.New(slog.DiscardHandler), observe)}
	if forwarded {
		unary, stream = append(unary, Forwarded), append(stream, ForwardedStream)
	}
	server := grpc.NewServer(grpc.InTapHandle(Tap), grpc.ChainUnaryInterceptor(unary...), grpc.ChainStreamInterceptor(stream...))
	hawserv1.RegisterStateServer(server, s)
	hawserv1.RegisterArchiveServer(server, s)
	return server, dialTo(t, server)
}

// dialTo runs server and returns a connection to it.
func dialTo(t *testing.T, server *grpc.Server) *grpc.ClientConn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		<-done
	})
	return conn
}

// follow returns a client of a node that follows the one of s, the leader,
// which serves other nodes.
func follow(t *testing.T, s *Service) (client hawserv1.StateClient, follower *Service, leads *grpc.Server) {
	t.Helper()
	server, toLeader := serve(t, s, true)
	b, err := s.ready()
	if err != nil {
		t.Fatal(err)
	}
	there := *b
	there.Self = "n2-00000000"
	there.Conn = func(string) (*grpc.ClientConn, error) { return toLeader, nil }
	follower = New(nil)
	follower.Start(&there)
	_, conn := serve(t, follower, false)
	return hawserv1.NewStateClient(conn), follower, server
}

// send sends messages until the other side has answered.
func send(t *testing.T, client hawserv1.StateClient, messages []*hawserv1.SavePartsRequest) (*hawserv1.SaveResponse, error) {
	t.Helper()
	stream, err := client.SaveParts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		if stream.Send(m) != nil {
			break // the answer says why
		}
	}
	resp, err := stream.CloseAndRecv()
	return resp, wire.FromStatus(err)
}

// A save in parts reaches the leader through any node; what the leader says
// comes back as it is.
func TestRelay_SavePartsAtAnyNode(t *testing.T) {
	s, l := start(t)
	client, follower, _ := follow(t, s)
	state := noise(40*record.PartSize+7, 1)
	m := inParts("a", state, 0)
	saved, err := send(t, client, m)
	if err != nil || saved.GetVersion().GetNumber() != 1 || saved.GetHeader().GetNode() != "n1-00000000" {
		t.Fatalf("got %v, %v", saved, err)
	}
	got, err := restore(t.Context(), s, &hawserv1.RestoreRequest{Agent: &hawserv1.Agent{Name: "a"}})
	if err != nil || !bytes.Equal(rebuilt(t, got, nil), state) {
		t.Fatalf("restored something else: %v", err)
	}
	m[0].GetSave().GetRequest().Attempt = 1
	if saved, err = send(t, client, m); err != nil || !saved.GetRepeated() {
		t.Errorf("repeated: %v, %v", saved, err)
	}
	if _, err := send(t, client, inParts("a", state, 0)); !errors.Is(err, hawser.ErrConflict) {
		t.Errorf("a conflict: %v", err)
	}
	if _, err := send(t, client, inParts("a", state, 1)[:5]); !errors.Is(err, hawser.ErrInvalid) {
		t.Errorf("cut off: %v", err)
	}
	l.mu.Lock() // the leader may still be at what was cut off
	l.fail = func(_ int, c fsm.Command) (bool, error) {
		if part, ok := c.(*fsm.Part); ok && part.Index == 3 {
			return false, hawser.ErrStorageFull
		}
		return false, nil
	}
	l.mu.Unlock()
	if _, err := send(t, client, inParts("b", state, 0)); !errors.Is(err, hawser.ErrStorageFull) {
		t.Errorf("no room: %v", err)
	}
	for end := time.Now().Add(5 * time.Second); len(s.uploads)+len(follower.uploads) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d and %d streams are left", len(s.uploads), len(follower.uploads))
		}
	}
}

// When the leader goes away before the end was sent, nothing was executed, and
// the caller hears that; after the end it hears that the outcome is unknown.
func TestRelay_LeaderGoesAway(t *testing.T) {
	for _, tt := range []struct {
		name string
		stop func(fsm.Command) bool
		want error
	}{
		{"within the parts", func(c fsm.Command) bool { part, ok := c.(*fsm.Part); return ok && part.Index == 2 }, hawser.ErrUnavailable},
		{"at the save", func(c fsm.Command) bool { _, save := c.(*fsm.Save); return save }, hawser.ErrOutcomeUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, l := start(t)
			client, _, server := follow(t, s)
			l.fail = func(_ int, c fsm.Command) (bool, error) {
				if tt.stop(c) {
					go server.Stop()
					<-t.Context().Done() // ends after the test's own part
				}
				return false, nil
			}
			stopped := make(chan error, 1)
			go func() {
				// Many more parts than are under way and in the windows, so that
				// the end is not sent while the leader waits for the third.
				_, err := send(t, client, inParts("a", noise(80*record.PartSize, 1), 0))
				stopped <- err
			}()
			select {
			case err := <-stopped:
				if !errors.Is(err, tt.want) {
					t.Errorf("got %v", err)
				}
			case <-time.After(30 * time.Second):
				t.Fatal("no answer")
			}
		})
	}
}

// A caller that goes away in the middle leaves nothing running at either node.
func TestRelay_CallerGoesAway(t *testing.T) {
	s, _ := start(t)
	client, follower, _ := follow(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := client.SaveParts(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range inParts("a", noise(4*record.PartSize, 1), 0)[:3] {
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	wait := func(n int) {
		t.Helper()
		for end := time.Now().Add(5 * time.Second); len(s.uploads) != n || len(follower.uploads) != n; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d and %d streams, want %d", len(s.uploads), len(follower.uploads), n)
			}
		}
	}
	wait(1)
	cancel()
	wait(0)
}
