// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hawserdb/hawser"
)

// Every code has a row in the table, crosses the network both ways and comes
// back as itself, however deep it was wrapped.
func TestStatus_EveryCodeComesBack(t *testing.T) {
	for _, code := range hawser.Codes() {
		t.Run(code.String(), func(t *testing.T) {
			if _, ok := statusCodes[code]; !ok {
				t.Fatal("no row in statusCodes")
			}
			sent := &hawser.Error{Code: code, Op: "save", Key: "default/a", Msg: "why and what next"}
			got := FromStatus(ToStatus(fmt.Errorf("outer: %w", sent), Leader{}))
			if hawser.CodeOf(got) != code {
				t.Fatalf("sent %v, got %v", code, hawser.CodeOf(got))
			}
			e, ok := errors.AsType[*hawser.Error](got)
			if !ok || e.Op != sent.Op || e.Key != sent.Key || e.Msg != sent.Msg {
				t.Fatalf("sent %+v, got %+v", sent, got)
			}
			if !errors.Is(got, &hawser.Error{Code: code}) {
				t.Fatal("does not match its sentinel")
			}
		})
	}
	if len(statusCodes) != len(hawser.Codes())+1 {
		t.Fatal("statusCodes has a row for a code that does not exist")
	}
}

// Every gRPC code that the transport may make by itself becomes some Hawser
// error, is not taken for one of ours, and keeps the ends of a context.
func TestStatus_BareStatuses(t *testing.T) {
	for c := codes.Canceled; c <= codes.Unauthenticated; c++ {
		in := status.Error(c, "from the transport")
		if Detailed(in) {
			t.Fatalf("%v: taken for ours", c)
		}
		if _, ok := bareCodes[c]; !ok {
			t.Fatalf("%v: no row in bareCodes", c)
		}
		if got := FromStatus(in); hawser.CodeOf(got) == hawser.CodeOK {
			t.Fatalf("%v became %v", c, got)
		}
	}
	if !errors.Is(FromStatus(status.Error(codes.DeadlineExceeded, "x")), context.DeadlineExceeded) {
		t.Fatal("deadline lost")
	}
	if !errors.Is(FromStatus(status.Error(codes.Canceled, "x")), context.Canceled) {
		t.Fatal("cancellation lost")
	}
}

func TestStatus_TypedErrors(t *testing.T) {
	agent := hawser.AgentID{Namespace: "default", Name: "crew/one"}
	expect := uint64(3)
	conflict := &hawser.ConflictError{
		Agent: agent, Expected: &expect,
		Head: hawser.Version{Agent: agent, Number: 7, SHA256: hawser.Hash{1, 2}, State: hawser.VersionLive, Revision: 90},
	}
	var gotConflict *hawser.ConflictError
	if err := FromStatus(ToStatus(conflict, Leader{})); !errors.As(err, &gotConflict) || !reflect.DeepEqual(gotConflict, conflict) {
		t.Fatalf("conflict: got %#v", err)
	}
	for _, want := range []error{
		&hawser.FencedError{Agent: agent, Epoch: 7, Owner: "i"},
		&hawser.FencedError{Agent: agent},
		&hawser.CompactedError{Oldest: hawser.Cursor{Generation: 3, Revision: 9}},
	} {
		if got := FromStatus(ToStatus(fmt.Errorf("outer: %w", want), Leader{})); !reflect.DeepEqual(got, want) {
			t.Errorf("got %#v, want %#v", got, want)
		}
	}
	none := &hawser.ConflictError{Agent: agent}
	if err := FromStatus(ToStatus(none, Leader{})); !errors.As(err, &gotConflict) || gotConflict.Agent != agent || gotConflict.Head.Number != 0 {
		t.Fatalf("conflict without head: got %#v", err)
	}
	unknown := &hawser.UnknownOutcomeError{
		RequestID: hawser.RequestID{Nonce: hawser.Nonce{9}, Kind: hawser.RequestSave, Agent: agent, Seen: 7, Expect: &expect},
	}
	var gotUnknown *hawser.UnknownOutcomeError
	if err := FromStatus(ToStatus(unknown, Leader{})); !errors.As(err, &gotUnknown) || !reflect.DeepEqual(gotUnknown, unknown) {
		t.Fatalf("unknown outcome: got %#v", err)
	}
}

func TestStatus_EndsOfAContextAndStrangers(t *testing.T) {
	for _, tt := range []struct {
		in   error
		want hawser.Code
	}{
		{context.DeadlineExceeded, hawser.CodeDeadline},
		{fmt.Errorf("x: %w", context.Canceled), hawser.CodeCanceled},
		{errors.New("disk on fire"), hawser.CodeInternal},
		{&hawser.Error{Code: 60000}, hawser.CodeInternal},
	} {
		got := FromStatus(ToStatus(tt.in, Leader{}))
		if hawser.CodeOf(got) != tt.want {
			t.Errorf("%v: got %v, want %v", tt.in, hawser.CodeOf(got), tt.want)
		}
	}
	if ToStatus(nil, Leader{}) != nil || FromStatus(nil) != nil {
		t.Fatal("nil must stay nil")
	}
}

func TestStatus_LeaderHint(t *testing.T) {
	hint := Leader{ID: "n1-00000000", Address: "127.0.0.1:7420"}
	if got := HintOf(ToStatus(hawser.ErrNotLeader, hint)); got != hint {
		t.Fatalf("got %+v", got)
	}
	if got := HintOf(ToStatus(hawser.ErrNotFound, hint)); got != (Leader{}) {
		t.Fatalf("a definite answer needs no hint, got %+v", got)
	}
}
