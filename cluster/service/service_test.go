// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/cluster/watch"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/rebuild"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/internal/wire"
)

// leader is a Proposer that applies each command at once, as one log entry.
type leader struct {
	machine *fsm.Machine
	hub     *watch.Hub

	mu    sync.Mutex
	index uint64
	// fail, if set, decides what Submit returns instead of, or after, applying.
	fail func(call int, c fsm.Command) (applyFirst bool, err error)
	call int
}

func (l *leader) Submit(_ context.Context, c fsm.Command) (fsm.Result, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.call++
	if l.fail != nil {
		if apply, err := l.fail(l.call, c); err != nil {
			if apply {
				_, _ = l.apply(c)
			}
			return fsm.Result{}, err
		}
	}
	return l.apply(c)
}

func (l *leader) apply(c fsm.Command) (fsm.Result, error) {
	l.index++
	data := fsm.AppendBatch(nil, fsm.BatchID{byte(l.index)}, time.Now().UnixNano(), [][]byte{fsm.AppendCommand(nil, c)})
	applied, err := l.machine.Apply([]fsm.Entry{{Index: l.index, Term: 1, Kind: fsm.EntryCommand, Data: data}})
	if err != nil {
		return fsm.Result{}, err
	}
	l.hub.OnApplied(applied)
	return applied[0].Results[0], nil
}

type readsNow struct{ err error }

func (r readsNow) Wait(context.Context) error { return r.err }

type noMembers struct{ Members }

// start returns a service whose node leads a cluster of one.
func start(t *testing.T) (*Service, *leader) {
	t.Helper()
	machine, err := fsm.Open(t.TempDir(), fsm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = machine.Close() })
	hub, err := watch.New(watch.Config{View: func() (watch.View, error) { return machine.View() }})
	if err != nil {
		t.Fatal(err)
	}
	l := &leader{machine: machine, hub: hub}
	if _, err := l.apply(&fsm.LeaderStart{Term: 1, Node: "n1-00000000", ClusterID: [16]byte{1}, Generation: 42}); err != nil {
		t.Fatal(err)
	}
	s := New(func() string { return "it is starting" })
	s.Start(&Backend{
		Self: "n1-00000000", Machine: machine, Hub: hub, Gate: rebuild.New(), Proposer: l, Reads: readsNow{}, Members: noMembers{},
		Leader:   func() wire.Leader { return wire.Leader{ID: "n1-00000000", Address: "127.0.0.1:1"} },
		Term:     func() uint64 { return 1 },
		Conn:     func(string) (*grpc.ClientConn, error) { return nil, errors.New("there is no other node") },
		Now:      func() time.Time { return machine.Info().Time },
		Describe: func() *hawserv1.StatusResponse { return &hawserv1.StatusResponse{} },
	})
	return s, l
}

// saveOf returns a valid request to save state.
func saveOf(name string, state []byte, seen uint64) *hawserv1.SaveRequest {
	nonce := hawser.NewNonce()
	content := record.EncodeKeyframe(state)
	sum := sha256.Sum256(state)
	return &hawserv1.SaveRequest{
		Agent: &hawserv1.Agent{Name: name}, Request: &hawserv1.RequestID{Nonce: nonce[:], Seen: seen},
		Payload: wire.ContentToProto(content), Sha256: sum[:], ExpectVersion: &seen,
	}
}

// sent is a stream to a caller that takes everything.
type sent[T any] struct {
	grpc.ServerStream
	ctx      context.Context
	messages []*T
}

func (s *sent[T]) Context() context.Context { return s.ctx }

func (s *sent[T]) Send(m *T) error {
	s.messages = append(s.messages, m)
	return nil
}

// restore returns the messages of a restore.
func restore(ctx context.Context, s *Service, r *hawserv1.RestoreRequest) ([]*hawserv1.RestoreResponse, error) {
	stream := &sent[hawserv1.RestoreResponse]{ctx: ctx}
	err := s.Restore(r, stream) //nolint:contextcheck // the stream has it
	return stream.messages, err
}

// What is saved comes back byte for byte, with a header that says where from.
func TestService_SaveAndRestore(t *testing.T) {
	s, _ := start(t)
	state := bytes.Repeat([]byte("state "), 1000)
	saved, err := s.Save(t.Context(), saveOf("crew/one", state, 0))
	if err != nil {
		t.Fatal(err)
	}
	if v := saved.GetVersion(); v.GetNumber() != 1 || v.GetAgent().GetNamespace() != hawser.DefaultNamespace {
		t.Fatalf("got %v", v)
	}
	h := saved.GetHeader()
	if h.GetGeneration() != 42 || h.GetRevision() == 0 || h.GetNode() != "n1-00000000" || h.GetLeaderAddress() == "" || h.GetMachineTime() == nil {
		t.Fatalf("header %v", h)
	}
	restored, err := restore(t.Context(), s, &hawserv1.RestoreRequest{Agent: &hawserv1.Agent{Name: "crew/one"}})
	if err != nil || len(restored) != 1 {
		t.Fatalf("%d messages, %v", len(restored), err)
	}
	content, err := wire.ContentFromProto(restored[0].GetKeyframe(), false)
	if err != nil {
		t.Fatal(err)
	}
	got, err := content.Decode(hawser.MaxStateSize)
	if err != nil || !bytes.Equal(got, state) {
		t.Fatalf("restored %d bytes, %v", len(got), err)
	}
}

// Every malformed save is refused with a code and words that name the fault,
// and leaves nothing behind.
func TestService_RefusesMalformedSaves(t *testing.T) {
	s, _ := start(t)
	state := bytes.Repeat([]byte("abc"), 1000)
	for _, tt := range []struct {
		name   string
		change func(*hawserv1.SaveRequest)
		code   hawser.Code
		want   string
	}{
		{"no agent", func(r *hawserv1.SaveRequest) { r.Agent = nil }, hawser.CodeInvalid, "agent name"},
		{"odd agent", func(r *hawserv1.SaveRequest) { r.Agent.Name = "a//b" }, hawser.CodeInvalid, "segment"},
		{"odd namespace", func(r *hawserv1.SaveRequest) { r.Agent.Namespace = "A B" }, hawser.CodeInvalid, "namespace"},
		{"no request id", func(r *hawserv1.SaveRequest) { r.Request = nil }, hawser.CodeInvalid, "request id"},
		{"short nonce", func(r *hawserv1.SaveRequest) { r.Request.Nonce = []byte("x") }, hawser.CodeInvalid, "request id"},
		{"no payload", func(r *hawserv1.SaveRequest) { r.Payload = nil }, hawser.CodeInvalid, "encoding"},
		{"unknown encoding", func(r *hawserv1.SaveRequest) { r.Payload.Encoding = 77 }, hawser.CodeInvalid, "unknown"},
		{"no hash", func(r *hawserv1.SaveRequest) { r.Sha256 = nil }, hawser.CodeInvalid, "SHA-256"},
		{"wrong hash", func(r *hawserv1.SaveRequest) { r.Sha256 = make([]byte, 32) }, hawser.CodeInvalid, "SHA-256"},
		{"wrong checksum", func(r *hawserv1.SaveRequest) { r.Payload.Crc32C++ }, hawser.CodeInvalid, "checksum"},
		{"wrong size", func(r *hawserv1.SaveRequest) { r.Payload.Size++ }, hawser.CodeInvalid, "size"},
		{"size too large", func(r *hawserv1.SaveRequest) { r.Payload.Size = hawser.MaxStateSize + 1 }, hawser.CodeTooLarge, "at most"},
		{"bomb", func(r *hawserv1.SaveRequest) {
			bomb := record.EncodeKeyframe(make([]byte, 8<<20))
			r.Payload = wire.ContentToProto(bomb)
			r.Payload.Size = 10
		}, hawser.CodeInvalid, "size"},
		{"garbage", func(r *hawserv1.SaveRequest) {
			r.Payload.Data = []byte("no zstd at all")
			r.Payload.Crc32C = crc32.Checksum(r.Payload.Data, castagnoli)
		}, hawser.CodeInvalid, "payload"},
		{"too many labels", func(r *hawserv1.SaveRequest) {
			r.Labels = map[string]string{}
			for i := range hawser.MaxLabels + 1 {
				r.Labels[fmt.Sprint(i)] = "v"
			}
		}, hawser.CodeInvalid, "labels"},
		{"empty label key", func(r *hawserv1.SaveRequest) { r.Labels = map[string]string{"": "v"} }, hawser.CodeInvalid, "key"},
		{"control character in label", func(r *hawserv1.SaveRequest) { r.Labels = map[string]string{"k": "\x1b[2J"} }, hawser.CodeInvalid, "control"},
		{"long content type", func(r *hawserv1.SaveRequest) { r.ContentType = strings.Repeat("x", 200) }, hawser.CodeInvalid, "content type"},
		{"schema is not UTF-8", func(r *hawserv1.SaveRequest) { r.Schema = "\xff" }, hawser.CodeInvalid, "schema"},
		{"another generation", func(r *hawserv1.SaveRequest) { r.Request.Generation = 41 }, hawser.CodeWrongGeneration, "generation"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := saveOf("victim", state, 0)
			tt.change(r)
			_, err := s.Save(t.Context(), r)
			if hawser.CodeOf(err) != tt.code || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v (%v), want %v about %q", err, hawser.CodeOf(err), tt.code, tt.want)
			}
		})
	}
	if _, err := s.Show(t.Context(), &hawserv1.ShowRequest{Agent: &hawserv1.Agent{Name: "victim"}}); hawser.CodeOf(err) != hawser.CodeNotFound {
		t.Fatalf("something was stored: %v", err)
	}
}

// An attempt whose outcome is unknown is repeated with the same id and
// executed once, whether or not the first attempt had been.
func TestService_RepeatsUnknownOutcomes(t *testing.T) {
	for _, applied := range []bool{false, true} {
		t.Run(fmt.Sprintf("applied=%v", applied), func(t *testing.T) {
			s, l := start(t)
			l.fail = func(call int, _ fsm.Command) (bool, error) {
				if call == 1 {
					return applied, hawser.ErrOutcomeUnknown
				}
				return false, nil
			}
			saved, err := s.Save(t.Context(), saveOf("a", []byte("x"), 0))
			if err != nil || saved.GetVersion().GetNumber() != 1 || saved.GetRepeated() != applied {
				t.Fatalf("got %v, %v", saved, err)
			}
		})
	}
}

// An outcome that stays unknown is reported as that, with the request id, and
// never as a failure, even if the last attempt was certainly not executed.
func TestService_ReportsUnknownOutcomes(t *testing.T) {
	s, l := start(t)
	l.fail = func(call int, _ fsm.Command) (bool, error) {
		if call == 1 {
			return false, hawser.ErrOutcomeUnknown
		}
		return false, hawser.ErrUnavailable
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	r := saveOf("a", []byte("x"), 0)
	_, err := s.Save(ctx, r)
	unknown, ok := errors.AsType[*hawser.UnknownOutcomeError](err)
	if !ok || !bytes.Equal(unknown.RequestID.Nonce[:], r.GetRequest().GetNonce()) {
		t.Fatalf("got %v", err)
	}
}

// Once an attempt may have been executed, a refusal of a repetition settles
// the outcome only if it rules the earlier attempt out.
func TestService_WhatSettlesAnOpenOutcome(t *testing.T) {
	three := uint64(3)
	for _, tt := range []struct {
		refusal error
		want    error
	}{
		{hawser.ErrStorageFull, hawser.ErrOutcomeUnknown},
		{hawser.ErrOverloaded, hawser.ErrOutcomeUnknown},
		{&hawser.ConflictError{Expected: new(uint64), Head: hawser.Version{Number: 1}}, hawser.ErrOutcomeUnknown},
		{&hawser.ConflictError{Expected: &three, Head: hawser.Version{Number: 5}}, hawser.ErrConflict},
		{hawser.ErrFenced, hawser.ErrFenced},
	} {
		s, l := start(t)
		l.fail = func(call int, _ fsm.Command) (bool, error) {
			if call == 1 {
				return false, hawser.ErrOutcomeUnknown
			}
			return false, tt.refusal
		}
		if _, err := s.Save(t.Context(), saveOf("a", []byte("x"), 0)); !errors.Is(err, tt.want) {
			t.Errorf("refused with %v: got %v, want %v", tt.refusal, err, tt.want)
		}
	}
}

// A call that finds no leader says, before its deadline, that nothing was
// executed, instead of leaving the caller to guess.
func TestService_AnswersBeforeTheDeadline(t *testing.T) {
	s, l := start(t)
	l.fail = func(int, fsm.Command) (bool, error) { return false, hawser.ErrUnavailable }
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := s.Save(ctx, saveOf("a", []byte("x"), 0)); !errors.Is(err, hawser.ErrUnavailable) || ctx.Err() != nil {
		t.Fatalf("got %v; deadline over: %v", err, ctx.Err())
	}
}

// A refusal that repeating cannot change comes back at once.
func TestService_DoesNotRepeatRefusals(t *testing.T) {
	for _, refusal := range []error{hawser.ErrStorageFull, hawser.ErrOverloaded, hawser.ErrTooLarge} {
		s, l := start(t)
		l.fail = func(int, fsm.Command) (bool, error) { return false, refusal }
		if _, err := s.Save(t.Context(), saveOf("a", []byte("x"), 0)); !errors.Is(err, refusal) || l.call != 1 {
			t.Fatalf("got %v after %d calls, want %v", err, l.call, refusal)
		}
	}
}

// Pages join to the whole list, without gap or repetition, in order.
func TestService_ListsInPages(t *testing.T) {
	s, _ := start(t)
	for i := range 25 {
		if _, err := s.Save(t.Context(), saveOf(fmt.Sprintf("crew/%02d", i), []byte("x"), 0)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 6 {
		if _, err := s.Save(t.Context(), saveOf("crew/00", []byte{byte(i)}, uint64(i)+1)); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for token := ""; ; {
		page, err := s.Agents(t.Context(), &hawserv1.AgentsRequest{Prefix: "crew", Limit: 7, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page.GetAgents() {
			names = append(names, a.GetAgent().GetName())
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if len(names) != 25 || names[0] != "crew/00" || names[24] != "crew/24" {
		t.Fatalf("got %d: %v", len(names), names)
	}
	var numbers []uint64
	for token := ""; ; {
		page, err := s.Versions(t.Context(), &hawserv1.VersionsRequest{Agent: &hawserv1.Agent{Name: "crew/00"}, Limit: 3, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range page.GetVersions() {
			numbers = append(numbers, v.GetNumber())
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if fmt.Sprint(numbers) != "[7 6 5 4 3 2 1]" {
		t.Fatalf("got %v", numbers)
	}
}

// The outcome of a request can be asked for without executing it.
func TestService_Outcome(t *testing.T) {
	s, _ := start(t)
	r := saveOf("a", []byte("x"), 0)
	ask := func() hawserv1.OutcomeResponse_Outcome {
		t.Helper()
		got, err := s.Outcome(t.Context(), &hawserv1.OutcomeRequest{
			Agent: r.GetAgent(), Request: r.GetRequest(), Kind: hawserv1.RequestKind_REQUEST_KIND_SAVE, ExpectVersion: r.ExpectVersion,
		})
		if err != nil {
			t.Fatal(err)
		}
		return got.GetOutcome()
	}
	if got := ask(); got != hawserv1.OutcomeResponse_OUTCOME_NOT_DONE {
		t.Fatalf("before: %v", got)
	}
	if _, err := s.Save(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got != hawserv1.OutcomeResponse_OUTCOME_DONE {
		t.Fatalf("after: %v", got)
	}
}

// A service without a backend says what the node waits for; a stale read asks
// nobody, and a bounded one waits.
func TestService_ReadinessAndStaleReads(t *testing.T) {
	closed := New(func() string { return "it waits for two others" })
	if _, err := closed.Save(t.Context(), saveOf("a", nil, 0)); !errors.Is(err, hawser.ErrUnavailable) || !strings.Contains(err.Error(), "two others") {
		t.Fatalf("got %v", err)
	}
	if status, err := closed.Status(t.Context(), nil); err != nil || status.GetReady() || !strings.Contains(status.GetReason(), "two others") {
		t.Fatalf("status: %v, %v", status, err)
	}
	s, _ := start(t)
	if _, err := s.Save(t.Context(), saveOf("a", []byte("x"), 0)); err != nil {
		t.Fatal(err)
	}
	b, _ := s.ready()
	b.Reads = readsNow{err: hawser.ErrRefused}
	stale := &hawserv1.ReadOptions{Consistency: hawserv1.Consistency_CONSISTENCY_STALE}
	if _, err := restore(t.Context(), s, &hawserv1.RestoreRequest{Agent: &hawserv1.Agent{Name: "a"}, Read: stale}); err != nil {
		t.Fatalf("stale read: %v", err)
	}
	if _, err := restore(t.Context(), s, &hawserv1.RestoreRequest{Agent: &hawserv1.Agent{Name: "a"}}); !errors.Is(err, hawser.ErrRefused) {
		t.Fatalf("linearizable read did not ask: %v", err)
	}
	stale.MinRevision = 99
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := restore(ctx, s, &hawserv1.RestoreRequest{Agent: &hawserv1.Agent{Name: "a"}, Read: stale}); !errors.Is(err, hawser.ErrDeadline) {
		t.Fatalf("bounded read: %v", err)
	}
}

// A defect in one call becomes an internal error of that call only.
func TestUnary_SurvivesAPanic(t *testing.T) {
	s, _ := start(t)
	var seen hawser.Code
	interceptor := s.Unary(slog.New(slog.DiscardHandler), func(_ string, code hawser.Code, _ time.Duration) { seen = code })
	_, err := interceptor(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/x/Y"}, func(context.Context, any) (any, error) { panic("defect") })
	if got := hawser.CodeOf(wire.FromStatus(err)); got != hawser.CodeInternal || seen != hawser.CodeInternal {
		t.Fatalf("got %v, observed %v", err, seen)
	}
}
