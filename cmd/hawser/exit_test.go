// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/halt"
)

// Claim: scripts can tell the cases apart: every code of an error has the exit
// code that the help documents, wrapped or not.
func TestExitCode_EveryCode(t *testing.T) {
	want := map[hawser.Code]int{
		hawser.CodeInternal: 1, hawser.CodeInvalid: 2, hawser.CodeNotFound: 3, hawser.CodeVersionGone: 3,
		hawser.CodeConflict: 4, hawser.CodeFenced: 4, hawser.CodeTooLarge: 1, hawser.CodeOverloaded: 5,
		hawser.CodeStorageFull: 5, hawser.CodeUnavailable: 5, hawser.CodeNotLeader: 5, hawser.CodeOutcomeUnknown: 6,
		hawser.CodeRequestExpired: 1, hawser.CodeRequestMismatch: 1, hawser.CodeWrongGeneration: 4, hawser.CodeCorrupt: 1,
		hawser.CodeUnauthenticated: 1, hawser.CodePermissionDenied: 1, hawser.CodeUnimplemented: 1, hawser.CodeDeadline: 5,
		hawser.CodeCanceled: 1, hawser.CodeRefused: 1, hawser.CodeKeyframeNeeded: 1, hawser.CodeCompacted: 3, hawser.CodeBusy: 4,
		hawser.CodeTxnLocked: 4, hawser.CodeTxnAborted: 4,
		hawser.CodeLeaseExpired: 4, hawser.CodeOwnershipLost: 4, hawser.CodeMessageGone: 4,
		hawser.CodeEffectUnknown: 4, hawser.CodeEffectSkipped: 4, hawser.CodeEffectFailed: 4,
	}
	for _, code := range hawser.Codes() {
		wanted, known := want[code]
		if !known {
			t.Errorf("code %q has no expected exit code: add it here and to exit.go", code)
		}
		if got := exitCode(fmt.Errorf("outer: %w", &hawser.Error{Code: code})); got != wanted {
			t.Errorf("%s: exit code %d, want %d", code, got, wanted)
		}
	}
}

func TestExitCode_OtherErrors(t *testing.T) {
	expect := uint64(1)
	id := hawser.RequestID{Kind: hawser.RequestSave, Agent: hawser.AgentID{Namespace: "default", Name: "a"}, Expect: &expect}
	for _, test := range []struct {
		err  error
		code int
		text string // on stderr
	}{
		{nil, 0, ""},
		{errors.New("odd"), 1, "hawser: odd\n"},
		{usageError("bad words"), 2, "hawser: bad words\nrun \"hawser help\""},
		{&hawser.ConflictError{Agent: id.Agent, Head: hawser.Version{Number: 7}}, 4, "head is version 7"},
		{&hawser.UnknownOutcomeError{RequestID: id, Err: context.DeadlineExceeded}, 6, "\nrepeat with --request-id " + id.String() + "\n"},
		{context.DeadlineExceeded, 5, "hawser: context deadline exceeded\n"},
		{&halt.Error{Reason: halt.Damaged, Where: "wal/1"}, halt.Damaged.ExitCode(), "wal/1"},
		{own{&hawser.Error{Code: hawser.CodeUnavailable}}, 1, "unavailable"},
		{own{&hawser.Error{Code: hawser.CodeInvalid}}, 2, "invalid"},
		{own{&halt.Error{Reason: halt.Log}}, halt.Log.ExitCode(), "log"},
		{hint(errors.New("no"), "do %s", "this"), 1, "hawser: no\ndo this\n"},
		{errors.New("from \x1b[31m elsewhere"), 1, `\x1b[31m`},
	} {
		var stderr bytes.Buffer
		p := &program{stderr: &stderr}
		if got := p.report(test.err); got != test.code || !strings.Contains(stderr.String(), test.text) {
			t.Errorf("%v: exit code %d, want %d; stderr %q, want %q", test.err, got, test.code, stderr.String(), test.text)
		}
	}
}

// Claim: an error for endpoints that nobody listens on names them and says
// what to check, with exit code 5.
func TestUnavailable_NamesTheEndpoints(t *testing.T) {
	for _, words := range []string{"state show a", "cluster status", "agent list", "state save a -f -"} {
		args := append(strings.Fields(words), "--endpoints", "127.0.0.1:1,127.0.0.1:2", "--timeout", "200ms")
		got := command(t, nil, args...)
		if got.code != codeUnavailable || !strings.Contains(got.stderr, "127.0.0.1:1, 127.0.0.1:2") || !strings.Contains(got.stderr, "HAWSER_ENDPOINTS") {
			t.Errorf("%s: code %d, stderr %q", words, got.code, got.stderr)
		}
	}
}

// Claim: arguments that no server would take are refused before anything is
// sent, with exit code 2.
func TestInvalidArguments(t *testing.T) {
	id := hawser.RequestID{Kind: hawser.RequestSave, Agent: hawser.AgentID{Namespace: "default", Name: "other"}}.String()
	for _, test := range []struct{ words, text string }{
		{"state show a//b", "empty segment"},
		{"state show a --namespace UPPER", "namespace"},
		{"state show a --endpoints nonsense", "host:port"},
		{"state show a --endpoints ,", "holds no address"},
		{"state show a --timeout -1s", "must be positive"},
		{"state save a -f - --label novalue", "KEY=VALUE"},
		{"state save a -f - --request-id x", "request id"},
		{"state save a -f - --request-id " + id, "default/other"},
		{"state save a -f - --overwrite --expect-version 3", "exclude each other"},
		{"agent delete a --expect-version 0", "nothing to delete"},
		{"agent list ../x", "agent name"},
		{"state versions a --limit -1", "negative"},
		{"state restore a -o json", "-f FILE"},
		{"bench save --clients 0", "--clients 0"},
		{"bench save --size 99999999", "--size"},
		{"bench save --duration 2h", "--duration"},
		{"bench failover --clients 0", "--clients 0"},
		{"bench restore --clients 4 --agents 2", "--agents 2"},
		{"dev --nodes 7", "7 nodes"},
		{"dev --base-port 80", "base port 80"},
		{"demo --steps 1", "at least 2"},
		{"completion tcsh", "bash, zsh or fish"},
		{"server --log-level loud", "--log-level"},
		{"server --log-format xml", "--log-format"},
	} {
		got := command(t, nil, strings.Fields(test.words)...)
		if got.code != codeUsage || !strings.Contains(got.stderr, test.text) {
			t.Errorf("hawser %s: code %d, stderr %q; want %q", test.words, got.code, got.stderr, test.text)
		}
	}
}

// Claim: the first signal ends the context, the second one the process.
func TestInterruptible_SecondSignalExits(t *testing.T) {
	exits := make(chan int, 1)
	ctx, stop := interruptible(t.Context(), func(code int) { exits <- code })
	defer stop()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the context goes on after the first signal")
	}
	select {
	case code := <-exits:
		t.Fatalf("exited with %d after the first signal", code)
	default:
	}
	if err := self.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case code := <-exits:
		if code != codeInterrupted {
			t.Errorf("exit code %d", code)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no exit after the second signal")
	}
}
