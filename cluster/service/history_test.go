// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/wire"
)

// forwarded is the context of a call that another node forwarded.
func forwarded(t *testing.T) context.Context {
	t.Helper()
	return context.WithValue(t.Context(), forwardedKey{}, true)
}

func requestID(seen uint64) *hawserv1.RequestID {
	nonce := hawser.NewNonce()
	return &hawserv1.RequestID{Nonce: nonce[:], Seen: seen}
}

func rollbackTo(name string, head, version uint64) *hawserv1.RollbackRequest {
	return &hawserv1.RollbackRequest{Agent: &hawserv1.Agent{Name: name}, Request: requestID(head), ExpectVersion: &head, Version: version, Instance: "i"}
}

func forkOf(name, source string, version uint64) *hawserv1.ForkRequest {
	return &hawserv1.ForkRequest{
		Agent: &hawserv1.Agent{Name: name}, Request: requestID(0), Source: &hawserv1.Agent{Name: source}, SourceVersion: version, Instance: "i",
	}
}

// Rollbacks and forks repeat a version, are executed once however often they
// are sent, and can be asked for.
func TestService_RollbackAndFork(t *testing.T) {
	s, l := start(t)
	for i := range uint64(3) {
		if _, err := s.Save(t.Context(), saveOf("a", []byte{byte(i)}, i)); err != nil {
			t.Fatal(err)
		}
	}
	rollback := rollbackTo("a", 3, 1)
	l.fail = func(call int, c fsm.Command) (bool, error) {
		if _, ok := c.(*fsm.Rollback); ok && l.call == 4 {
			return true, hawser.ErrOutcomeUnknown
		}
		return false, nil
	}
	back, err := s.Rollback(t.Context(), rollback)
	if err != nil || !back.GetRepeated() || back.GetVersion().GetNumber() != 4 || back.GetVersion().GetOrigin().GetNumber() != 1 || back.GetVersion().GetInstance() != "i" {
		t.Fatalf("rollback: %v, %v", back, err)
	}
	fork := forkOf("b", "a", 2)
	made, err := s.Fork(t.Context(), fork)
	if err != nil || made.GetVersion().GetNumber() != 1 || made.GetVersion().GetOrigin().GetAgent().GetName() != "a" {
		t.Fatalf("fork: %v, %v", made, err)
	}
	if again, err := s.Fork(t.Context(), fork); err != nil || !again.GetRepeated() {
		t.Errorf("fork again: %v, %v", again, err)
	}
	for _, ask := range []*hawserv1.OutcomeRequest{
		{Agent: rollback.GetAgent(), Request: rollback.GetRequest(), Kind: hawserv1.RequestKind_REQUEST_KIND_ROLLBACK, ExpectVersion: rollback.ExpectVersion},
		{Agent: fork.GetAgent(), Request: fork.GetRequest(), Kind: hawserv1.RequestKind_REQUEST_KIND_FORK},
	} {
		got, err := s.Outcome(t.Context(), ask)
		if err != nil || got.GetOutcome() != hawserv1.OutcomeResponse_OUTCOME_DONE || got.GetVersion().GetOrigin() == nil {
			t.Errorf("outcome of a %v: %v, %v", ask.GetKind(), got, err)
		}
	}
}

// What no machine would take is refused here, with words; what the machine
// refuses comes back as it is. Not found leaves an open outcome open, since the
// version may yet come to be; a needed keyframe is always said.
func TestService_HistoryRefusals(t *testing.T) {
	s, l := start(t)
	if _, err := s.Save(t.Context(), saveOf("a", []byte("x"), 0)); err != nil {
		t.Fatal(err)
	}
	bad := rollbackTo("a", 1, 1)
	bad.Instance = "\x00"
	badFork := forkOf("b", "a", 1)
	badFork.Instance = "\x00"
	noRequest := forkOf("b", "a", 1)
	noRequest.Request = nil
	for name, tt := range map[string]struct {
		call func() error
		want error
	}{
		"rollback to nothing":      {func() error { _, err := s.Rollback(t.Context(), rollbackTo("a", 1, 0)); return err }, hawser.ErrInvalid},
		"rollback, instance":       {func() error { _, err := s.Rollback(t.Context(), bad); return err }, hawser.ErrInvalid},
		"rollback to what is not":  {func() error { _, err := s.Rollback(t.Context(), rollbackTo("a", 1, 9)); return err }, hawser.ErrNotFound},
		"rollback of another head": {func() error { _, err := s.Rollback(t.Context(), rollbackTo("a", 0, 1)); return err }, hawser.ErrConflict},
		"fork of no agent":         {func() error { _, err := s.Fork(t.Context(), forkOf("b", "", 1)); return err }, hawser.ErrInvalid},
		"fork, instance":           {func() error { _, err := s.Fork(t.Context(), badFork); return err }, hawser.ErrInvalid},
		"fork, no request":         {func() error { _, err := s.Fork(t.Context(), noRequest); return err }, hawser.ErrInvalid},
		"fork of what is not":      {func() error { _, err := s.Fork(t.Context(), forkOf("b", "c", 1)); return err }, hawser.ErrNotFound},
		"fork into an agent":       {func() error { _, err := s.Fork(t.Context(), forkOf("a", "a", 1)); return err }, hawser.ErrConflict},
		"pin of nothing":           {func() error { _, err := s.Pin(t.Context(), &hawserv1.PinRequest{Agent: bad.GetAgent()}); return err }, hawser.ErrInvalid},
		"pin of what is not": {func() error {
			_, err := s.Pin(t.Context(), &hawserv1.PinRequest{Agent: bad.GetAgent(), Version: 9})
			return err
		}, hawser.ErrNotFound},
		"impact of nothing": {func() error {
			_, err := s.Impact(t.Context(), &hawserv1.ImpactRequest{Agent: bad.GetAgent()})
			return err
		}, hawser.ErrInvalid},
		"derived from nothing":      {func() error { return saveDerived(t, s, &hawserv1.VersionRef{Agent: bad.GetAgent()}) }, hawser.ErrInvalid},
		"derived from far too many": {func() error { return saveDerived(t, s, make([]*hawserv1.VersionRef, 17)...) }, hawser.ErrInvalid},
	} {
		if err := tt.call(); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for refusal, want := range map[error]error{hawser.ErrNotFound: hawser.ErrOutcomeUnknown, hawser.ErrKeyframeNeeded: hawser.ErrKeyframeNeeded} {
		l.call = 0
		l.fail = func(call int, _ fsm.Command) (bool, error) {
			if call == 1 {
				return false, hawser.ErrOutcomeUnknown
			}
			return false, refusal
		}
		if _, err := s.Fork(t.Context(), forkOf("b", "a", 1)); !errors.Is(err, want) {
			t.Errorf("open, then %v: got %v", refusal, err)
		} else if !wire.Open(wire.ToStatus(err, wire.Leader{})) {
			t.Errorf("open, then %v: it does not say that it is open: %v", refusal, err)
		}
	}
}

func saveDerived(t *testing.T, s *Service, refs ...*hawserv1.VersionRef) error {
	t.Helper()
	r := saveOf("d", []byte("x"), 0)
	r.DerivedFrom = refs
	_, err := s.Save(t.Context(), r)
	return err
}

// A pin protects and can be taken back, as often as one likes; an unknown
// outcome is repeated, since that is harmless.
func TestService_Pin(t *testing.T) {
	s, l := start(t)
	if _, err := s.Save(t.Context(), saveOf("a", []byte("x"), 0)); err != nil {
		t.Fatal(err)
	}
	l.fail = func(call int, _ fsm.Command) (bool, error) {
		if call == 2 {
			return true, hawser.ErrOutcomeUnknown
		}
		return false, nil
	}
	for _, pinned := range []bool{true, true, false} {
		got, err := s.Pin(t.Context(), &hawserv1.PinRequest{Agent: &hawserv1.Agent{Name: "a"}, Version: 1, Pinned: pinned})
		if err != nil || got.GetVersion().GetPinned() != pinned {
			t.Errorf("pinned %v: %v, %v", pinned, got, err)
		}
	}
}

// What was computed from a version is found, over agents and hops, up to the
// limit.
func TestService_Impact(t *testing.T) {
	s, _ := start(t)
	if _, err := s.Save(t.Context(), saveOf("a", []byte("x"), 0)); err != nil {
		t.Fatal(err)
	}
	from := "a"
	for i := range 3 {
		r := saveOf(fmt.Sprintf("d%d", i), []byte("x"), 0)
		r.DerivedFrom = []*hawserv1.VersionRef{{Agent: &hawserv1.Agent{Name: from}, Number: 1}}
		saved, err := s.Save(t.Context(), r)
		if err != nil || len(saved.GetVersion().GetDerivedFrom()) != 1 {
			t.Fatalf("got %v, %v", saved, err)
		}
		from = r.GetAgent().GetName()
	}
	got, err := s.Impact(t.Context(), &hawserv1.ImpactRequest{Agent: &hawserv1.Agent{Name: "a"}, Version: 1})
	if err != nil || len(got.GetAffected()) != 3 || got.GetTruncated() || got.GetAffected()[2].GetVia().GetAgent().GetName() != "d1" {
		t.Fatalf("got %v, %v", got, err)
	}
	got, err = s.Impact(t.Context(), &hawserv1.ImpactRequest{Agent: &hawserv1.Agent{Name: "a"}, Version: 1, Limit: 2})
	if err != nil || len(got.GetAffected()) != 2 || !got.GetTruncated() {
		t.Fatalf("limited: %v, %v", got, err)
	}
}

// A policy is tried, set, seen with whom it is for, and removed.
func TestService_Retention(t *testing.T) {
	s, _ := start(t)
	for i := range uint64(5) {
		if _, err := s.Save(t.Context(), saveOf("crew/one", []byte{byte(i)}, i)); err != nil {
			t.Fatal(err)
		}
	}
	rules := &hawserv1.RetentionRules{KeepLast: 2}
	tried, err := s.SetRetention(t.Context(), &hawserv1.SetRetentionRequest{Prefix: "crew", Rules: rules, DryRun: true})
	if err != nil || tried.GetAgents() != 1 || tried.GetVersions() != 3 || tried.GetBytes() == 0 {
		t.Fatalf("dry run: %v, %v", tried, err)
	}
	ask := func(prefix string) *hawserv1.RetentionResponse {
		t.Helper()
		got, err := s.Retention(t.Context(), &hawserv1.RetentionRequest{Prefix: prefix})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := ask("crew/one"); len(got.GetPolicies()) != 0 || got.GetSource() != nil || got.GetRules().GetKeepLast() != 1000 {
		t.Fatalf("the dry run has set something, or there is no default: %v", got)
	}
	if _, err := s.SetRetention(t.Context(), &hawserv1.SetRetentionRequest{Prefix: "crew/", Rules: rules}); err != nil {
		t.Fatal(err)
	}
	if got := ask("crew/one"); len(got.GetPolicies()) != 1 || got.GetSource().GetPrefix() != "crew" || got.GetRules().GetKeepLast() != 2 {
		t.Errorf("set: %v", got)
	}
	if got := ask(""); len(got.GetPolicies()) != 1 || got.GetSource() != nil {
		t.Errorf("of the namespace: %v", got)
	}
	if _, err := s.SetRetention(t.Context(), &hawserv1.SetRetentionRequest{Prefix: "crew"}); err != nil {
		t.Fatal(err)
	}
	if got := ask("crew/one"); len(got.GetPolicies()) != 0 {
		t.Errorf("removed: %v", got)
	}
	for _, r := range []*hawserv1.SetRetentionRequest{
		{Namespace: "A B", Rules: rules},
		{Prefix: "a//b", Rules: rules},
		{Rules: &hawserv1.RetentionRules{KeepWithin: durationpb.New(-1)}},
		{Rules: &hawserv1.RetentionRules{KeepWithin: &durationpb.Duration{Seconds: 1 << 60}}},
	} {
		if _, err := s.SetRetention(t.Context(), r); !errors.Is(err, hawser.ErrInvalid) {
			t.Errorf("%v: %v", r, err)
		}
	}
}

// Verify reports each agent below the prefix with its versions and ends with
// the sum; versions that were marked bad before are told too; one verification
// runs at a time.
func TestService_Verify(t *testing.T) {
	s, l := start(t)
	grow(t, s, "crew/one", 5, 1000)
	grow(t, s, "crew/two", 3, 1000)
	grow(t, s, "other", 2, 1000)
	verify := func(r *hawserv1.VerifyRequest) ([]*hawserv1.VerifyResponse, error) {
		stream := &sent[hawserv1.VerifyResponse]{ctx: t.Context()}
		err := s.Verify(r, stream)
		return stream.messages, err
	}
	got, err := verify(&hawserv1.VerifyRequest{Prefix: "crew"})
	if err != nil || len(got) != 3 || got[0].GetVersions() != 5 || got[1].GetVersions() != 3 || got[1].GetAgent().GetName() != "crew/two" {
		t.Fatalf("got %v, %v", got, err)
	}
	sum := got[2]
	if sum.GetAgent() != nil || sum.GetVersions() != 8 || sum.GetBytes() != got[0].GetBytes()+got[1].GetBytes() || sum.GetBytes() < 8*6000 {
		t.Errorf("sum %v", sum)
	}
	for _, m := range got {
		if len(m.GetBad()) != 0 {
			t.Errorf("bad: %v", m)
		}
	}
	show, err := s.Show(t.Context(), &hawserv1.ShowRequest{Agent: got[1].GetAgent(), Version: 2})
	if err != nil {
		t.Fatal(err)
	}
	mark := &fsm.MarkBad{Agent: hawser.AgentID{Namespace: "default", Name: "crew/two"}, Number: 2, SHA256: hawser.Hash(show.GetVersion().GetSha256())}
	if res, err := l.apply(mark); err != nil || res.Err != nil {
		t.Fatal(res.Err, err)
	}
	got, err = verify(&hawserv1.VerifyRequest{Prefix: "crew/two"})
	if err != nil || len(got) != 2 || len(got[0].GetBad()) != 1 || got[0].GetBad()[0].GetNumber() != 2 || got[0].GetVersions() != 2 {
		t.Errorf("with a version marked bad: %v, %v", got, err)
	}
	s.verifying <- struct{}{}
	if _, err := verify(&hawserv1.VerifyRequest{}); !errors.Is(err, hawser.ErrOverloaded) {
		t.Errorf("a second one: %v", err)
	}
}
