// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package catchup

import (
	"bytes"
	"context"
	gonet "net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hawserdb/hawser/internal/peerpb"
)

// server answers with a source, and lets a test spoil what it sends.
type server struct {
	peerpb.UnimplementedPeerServer
	source *Source
	spoil  func(*peerpb.CheckpointResponse)
}

type spoiled struct {
	grpc.ServerStreamingServer[peerpb.CheckpointResponse]
	spoil func(*peerpb.CheckpointResponse)
}

func (s spoiled) Send(r *peerpb.CheckpointResponse) error {
	if s.spoil != nil {
		s.spoil(r)
	}
	return s.ServerStreamingServer.Send(r)
}

// Checkpoint implements peerpb.PeerServer.
func (s *server) Checkpoint(r *peerpb.CheckpointRequest, stream grpc.ServerStreamingServer[peerpb.CheckpointResponse]) error {
	return s.source.SendManifest(r, spoiled{stream, s.spoil})
}

// ReadCheckpoint implements peerpb.PeerServer.
func (s *server) ReadCheckpoint(r *peerpb.ReadCheckpointRequest, stream grpc.ServerStreamingServer[peerpb.ReadCheckpointResponse]) error {
	return s.source.SendFile(r, stream)
}

// serve returns a client of a source with a checkpoint of n tables.
func serve(t *testing.T, n int) (*server, peerpb.PeerClient, content) {
	t.Helper()
	state := tables(9, n, 10, 1)
	state["000001.sst"] = bytes.Repeat([]byte("0123456789"), 100_000)
	source, err := NewSource(SourceConfig{Dir: filepath.Join(t.TempDir(), "send"), Checkpoint: state.checkpoint, BytesPerSecond: 1 << 40})
	if err != nil {
		t.Fatal(err)
	}
	l, err := gonet.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{source: source}
	g := grpc.NewServer()
	peerpb.RegisterPeerServer(g, s)
	go func() { _ = g.Serve(l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		g.Stop()
		_ = source.Close()
	})
	return s, peerpb.NewPeerClient(conn), state
}

// A manifest of more files than fit in one message, and a file from an offset
// on, come over the wire as they are.
func TestRPC_RoundTrip(t *testing.T) {
	s, client, state := serve(t, filesPerMessage+10)
	m, err := AskManifest(t.Context(), client, "", 3, func(int64, int64) {})
	if err != nil {
		t.Fatal(err)
	}
	want, err := s.source.Manifest(t.Context(), m.ID, 0, quiet)
	if err != nil || m.Sum() != want.Sum() || !slices.Equal(m.Files, want.Files) || m.Check() != nil {
		t.Fatalf("%v, %d files of %d, %v", err, len(m.Files), len(want.Files), m.Check())
	}
	var got []byte
	err = AskFile(t.Context(), client, m.ID, "000001.sst", 777, func(b []byte) error { got = append(got, b...); return nil })
	if err != nil || !bytes.Equal(got, state["000001.sst"][777:]) {
		t.Fatalf("%v, %d bytes", err, len(got))
	}
	if err := AskFile(t.Context(), client, m.ID, "000001.sst", 0, func([]byte) error { return errCut }); err != errCut { //nolint:errorlint // it itself
		t.Errorf("got %v", err)
	}
}

// A list of files that does not add up is refused, however much is declared.
func TestRPC_RefusesBadLists(t *testing.T) {
	for name, spoil := range map[string]func(*peerpb.CheckpointResponse){
		"wrong sum":         func(r *peerpb.CheckpointResponse) { r.GetHead().Sha256 = make([]byte, 32) },
		"other meta":        func(r *peerpb.CheckpointResponse) { r.GetHead().Index++ },
		"too many declared": func(r *peerpb.CheckpointResponse) { r.GetHead().Files = 1 << 31 },
		"more than come":    func(r *peerpb.CheckpointResponse) { r.GetHead().Files++ },
		"fewer than come":   func(r *peerpb.CheckpointResponse) { r.GetHead().Files-- },
		"no checksum":       func(r *peerpb.CheckpointResponse) { r.GetFiles()[0].Sha256 = nil },
		"huge size":         func(r *peerpb.CheckpointResponse) { r.GetFiles()[0].Size = 1 << 63 },
	} {
		t.Run(name, func(t *testing.T) {
			s, client, _ := serve(t, 3)
			s.spoil = spoil
			m, err := AskManifest(t.Context(), client, "", 0, func(int64, int64) {})
			if err == nil {
				t.Errorf("it passes: %v", m.Check())
			}
		})
	}
}

// An error says why the call ended, not what the transport makes of it.
func TestRPC_SaysWhyItEnded(t *testing.T) {
	_, client, _ := serve(t, 3)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errCut)
	if _, err := AskManifest(ctx, client, "", 0, func(int64, int64) {}); err == nil || !strings.Contains(err.Error(), "cancel") && err != errCut { //nolint:errorlint // it itself
		t.Errorf("got %v", err)
	}
}
