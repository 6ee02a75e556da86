// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/snapshot"
)

// export returns the messages of an export.
func export(t *testing.T, s *Service, r *hawserv1.ExportRequest) ([]*hawserv1.ExportResponse, error) {
	t.Helper()
	stream := &sent[hawserv1.ExportResponse]{ctx: t.Context()}
	err := s.Export(r, stream)
	return stream.messages, err
}

// archived are the messages that import an export.
func archived(messages []*hawserv1.ExportResponse, agents, versions uint64) []*hawserv1.ImportRequest {
	requests := []*hawserv1.ImportRequest{{Start: &hawserv1.ImportStart{
		Archive: bytes.Repeat([]byte{7}, 32), Generation: 42, Revision: messages[0].GetHeader().GetRevision(),
	}}}
	for _, m := range messages {
		requests = append(requests, &hawserv1.ImportRequest{Items: m.GetItems()})
	}
	return append(requests, &hawserv1.ImportRequest{End: &hawserv1.ImportEnd{Agents: agents, Versions: versions}})
}

// imports is a stream of requests to import, then an error, io.EOF if nil.
type imports struct {
	grpc.ServerStream
	ctx      context.Context
	messages []*hawserv1.ImportRequest
	answer   *hawserv1.ImportResponse
}

func (i *imports) Context() context.Context { return i.ctx }

func (i *imports) Recv() (*hawserv1.ImportRequest, error) {
	if len(i.messages) == 0 {
		return nil, io.EOF
	}
	m := i.messages[0]
	i.messages = i.messages[1:]
	return m, nil
}

func (i *imports) SendAndClose(m *hawserv1.ImportResponse) error {
	i.answer = m
	return nil
}

func importAll(t *testing.T, s *Service, messages []*hawserv1.ImportRequest) (*hawserv1.ImportResponse, error) {
	t.Helper()
	stream := &imports{ctx: t.Context(), messages: messages}
	err := s.Import(stream)
	return stream.answer, err
}

// filled returns a service with some history and how much that is.
func filled(t *testing.T) (s *Service, states [][]byte, large []byte) {
	t.Helper()
	s, _ = start(t)
	states = grow(t, s, "crew/one", 6, 2000)
	large = noise(5*record.PartSize+3, 1)
	if _, err := saveParts(t, s, inParts("big", large, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Fork(t.Context(), forkOf("crew/two", "crew/one", 3)); err != nil {
		t.Fatal(err)
	}
	return s, states, large
}

// An export holds all that is asked for, in messages of bounded size, and
// fills an empty cluster with it: every state, a higher generation and
// revision, and nothing else meanwhile.
func TestArchive_ExportAndImport(t *testing.T) {
	s, states, large := filled(t)
	messages, err := export(t, s, &hawserv1.ExportRequest{})
	if err != nil || messages[0].GetAgents() != 3 || !messages[len(messages)-1].GetComplete() {
		t.Fatalf("%d messages, %v", len(messages), err)
	}
	for i, m := range messages {
		if (m.GetHeader() != nil) != (i == 0) || m.GetComplete() != (i == len(messages)-1) || proto.Size(m) > 400<<10 {
			t.Errorf("message %d: %d bytes, header %v, complete %v", i, proto.Size(m), m.GetHeader(), m.GetComplete())
		}
	}
	if some, err := export(t, s, &hawserv1.ExportRequest{Namespace: "default", Prefix: "crew"}); err != nil || some[0].GetAgents() != 2 {
		t.Errorf("below a prefix: %v, %v", some, err)
	}
	there, l := start(t)
	l.fail = func(call int, c fsm.Command) (bool, error) {
		if call%3 == 0 { // whatever is lost on the way is sent again
			return call%2 == 0, hawser.ErrOutcomeUnknown
		}
		return false, nil
	}
	all := archived(messages, 3, 8)
	if _, err := importAll(t, there, all[:3]); !errors.Is(err, hawser.ErrInvalid) {
		t.Fatalf("an import that breaks off: %v", err)
	}
	for name, call := range map[string]func() error{
		"show": func() error {
			_, err := there.Show(t.Context(), &hawserv1.ShowRequest{Agent: &hawserv1.Agent{Name: "big"}})
			return err
		},
		"save":  func() error { _, err := there.Save(t.Context(), saveOf("a", nil, 0)); return err },
		"parts": func() error { _, err := saveParts(t, there, inParts("a", nil, 0)); return err },
		"verify": func() error {
			return there.Verify(&hawserv1.VerifyRequest{}, &sent[hawserv1.VerifyResponse]{ctx: t.Context()})
		},
		"export": func() error { _, err := export(t, there, &hawserv1.ExportRequest{}); return err },
	} {
		if err := call(); !errors.Is(err, hawser.ErrUnavailable) {
			t.Errorf("%s while an archive is being restored: %v", name, err)
		}
	}
	for range 2 { // the second time it is there already, and others have written
		done, err := importAll(t, there, all)
		if err != nil || done.GetAgents() != 3 || done.GetVersions() != 8 || done.GetHeader().GetGeneration() <= 42 {
			t.Fatalf("got %v, %v", done, err)
		}
		if _, err := there.Save(t.Context(), saveOf(fmt.Sprintf("after/%x", hawser.NewNonce()), []byte("x"), 0)); err != nil {
			t.Fatal(err)
		}
		l.fail = func(_ int, c fsm.Command) (bool, error) {
			if _, items := c.(*fsm.ImportItems); items {
				t.Error("items are taken again")
			}
			return false, nil
		}
	}
	for _, want := range []struct {
		agent   string
		version uint64
		state   []byte
	}{{"big", 1, large}, {"crew/one", 6, states[5]}, {"crew/one", 2, states[1]}, {"crew/two", 1, states[2]}} {
		got, err := restore(t.Context(), there, &hawserv1.RestoreRequest{Agent: &hawserv1.Agent{Name: want.agent}, Version: want.version})
		if err != nil || !bytes.Equal(rebuilt(t, got, nil), want.state) {
			t.Errorf("%s@%d: %v", want.agent, want.version, err)
		}
	}
}

// An import whose end may have been executed is reported as that, never as a
// failure, and the repeat tells, whatever was written since; before the end
// nothing is complete.
func TestArchive_UnknownImport(t *testing.T) {
	s, _, _ := filled(t)
	messages, err := export(t, s, &hawserv1.ExportRequest{})
	if err != nil {
		t.Fatal(err)
	}
	all := archived(messages, 3, 8)
	for name, tt := range map[string]struct {
		atEnd, applied bool
		errs           []error
		want           error
	}{
		"executed":                     {true, true, []error{hawser.ErrOutcomeUnknown, hawser.ErrNotLeader}, hawser.ErrOutcomeUnknown},
		"not executed":                 {true, false, []error{hawser.ErrOutcomeUnknown, hawser.ErrNotLeader}, hawser.ErrOutcomeUnknown},
		"not submitted":                {true, false, []error{hawser.ErrNotLeader}, hawser.ErrUnavailable},
		"items may have been executed": {false, true, []error{hawser.ErrOutcomeUnknown, hawser.ErrNotLeader}, hawser.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			there, l := start(t)
			errs := tt.errs
			l.fail = func(_ int, c fsm.Command) (bool, error) {
				_, end := c.(*fsm.ImportEnd)
				if _, items := c.(*fsm.ImportItems); !end && !items || end != tt.atEnd || len(errs) == 0 {
					return false, nil
				}
				err := errs[0]
				errs = errs[1:]
				return tt.applied && errors.Is(err, hawser.ErrOutcomeUnknown), err
			}
			if _, err := importAll(t, there, all); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if tt.atEnd && tt.applied {
				if _, err := there.Save(t.Context(), saveOf("after", []byte("x"), 0)); err != nil {
					t.Fatal(err)
				}
			}
			if done, err := importAll(t, there, all); err != nil || done.GetVersions() != 8 {
				t.Errorf("the repeat: %v, %v", done, err)
			}
		})
	}
}

// A leader that goes away at the end leaves the outcome open at the node that
// relays, too.
func TestArchive_LeaderGoesAwayAtTheEnd(t *testing.T) {
	s, _, _ := filled(t)
	messages, err := export(t, s, &hawserv1.ExportRequest{})
	if err != nil {
		t.Fatal(err)
	}
	there, l := start(t)
	_, follower, server := follow(t, there)
	l.fail = func(_ int, c fsm.Command) (bool, error) {
		if _, end := c.(*fsm.ImportEnd); end {
			go server.Stop()
			<-t.Context().Done() // ends after the test's own part
		}
		return false, nil
	}
	if _, err := importAll(t, follower, archived(messages, 3, 8)); !errors.Is(err, hawser.ErrOutcomeUnknown) {
		t.Errorf("got %v", err)
	}
}

// What is no archive is refused without a trace; an archive that turns out not
// to fit together fails, and the next import takes its place.
func TestArchive_HostileImports(t *testing.T) {
	s, _, _ := filled(t)
	messages, err := export(t, s, &hawserv1.ExportRequest{})
	if err != nil {
		t.Fatal(err)
	}
	there, l := start(t)
	good := archived(messages, 3, 8)
	named := func(namespace, name string) []*hawserv1.ImportRequest {
		agent := &snapshot.Agent{ID: hawser.AgentID{Namespace: namespace, Name: name}, Head: 1, Floor: 1}
		return []*hawserv1.ImportRequest{good[0], {Items: [][]byte{snapshot.AppendItem(nil, agent)}}}
	}
	policy := &snapshot.Policy{Policy: hawser.Policy{Namespace: "default", Prefix: "e\u0301", Retention: hawser.Retention{KeepLast: 1}}}
	floor := &snapshot.Floor{Namespace: "A B", Number: 1}
	for name, m := range map[string][]*hawserv1.ImportRequest{
		"an empty segment":        named("default", "a//b"),
		"an agent not in NFC":     named("default", "e\u0301"),
		"a formatting mark":       named("default", "a\u200eb"),
		"an agent's namespace":    named("Default", "a"),
		"a policy not in NFC":     {good[0], {Items: [][]byte{snapshot.AppendItem(nil, policy)}}},
		"the namespace of floors": {good[0], {Items: [][]byte{snapshot.AppendItem(nil, floor)}}},
		"nothing":                 nil,
		"no start":                good[1:],
		"half a hash":             {{Start: &hawserv1.ImportStart{Archive: make([]byte, 16)}}},
		"another start":           {good[0], good[0]},
		"an empty item":           {good[0], {Items: [][]byte{nil}}},
		"no item":                 {good[0], {Items: [][]byte{[]byte("no item")}}},
		"an overlong one":         {good[0], {Items: [][]byte{make([]byte, 300<<10)}}},
	} {
		if _, err := importAll(t, there, m); !errors.Is(err, hawser.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wrong := slices.Clone(good)
	wrong[len(wrong)-1] = &hawserv1.ImportRequest{End: &hawserv1.ImportEnd{Agents: 3, Versions: 9}}
	if _, err := importAll(t, there, wrong); !errors.Is(err, hawser.ErrCorrupt) {
		t.Errorf("another number of versions: %v", err)
	}
	another := slices.Clone(good)
	another[0] = &hawserv1.ImportRequest{Start: &hawserv1.ImportStart{Archive: make([]byte, 32)}}
	if _, err := importAll(t, there, another); !errors.Is(err, hawser.ErrRefused) {
		t.Errorf("another archive while one is under way: %v", err)
	}
	if !l.machine.Info().Importing {
		t.Fatal("no import is under way")
	}

	there, l = start(t)
	items := slices.Concat(messages[0].GetItems(), messages[0].GetItems())
	if _, err := importAll(t, there, []*hawserv1.ImportRequest{another[0], {Items: items}}); !errors.Is(err, hawser.ErrCorrupt) {
		t.Errorf("items twice: %v", err)
	}
	if done, err := importAll(t, there, good); err != nil || done.GetVersions() != 8 {
		t.Errorf("after one that failed: %v, %v", done, err)
	}
	if len(there.importing) != 0 || l.machine.Info().Importing {
		t.Error("an import is left")
	}
	for _, r := range []*hawserv1.ExportRequest{{Prefix: "a"}, {Namespace: "A B"}, {Namespace: "default", Prefix: "a//"}} {
		if _, err := export(t, s, r); !errors.Is(err, hawser.ErrInvalid) {
			t.Errorf("export of %v: %v", r, err)
		}
	}
}
