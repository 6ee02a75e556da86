// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawser_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/hawserdb/hawser"
)

// sentinels lists every code with its sentinel and its number. Numbers cross
// the network: a change of this table breaks old clients.
var sentinels = []struct {
	number   uint16
	code     hawser.Code
	sentinel error
	retry    hawser.Retry
}{
	{1, hawser.CodeInternal, hawser.ErrInternal, hawser.RetryNever},
	{2, hawser.CodeInvalid, hawser.ErrInvalid, hawser.RetryNever},
	{3, hawser.CodeNotFound, hawser.ErrNotFound, hawser.RetryNever},
	{4, hawser.CodeVersionGone, hawser.ErrVersionGone, hawser.RetryNever},
	{5, hawser.CodeConflict, hawser.ErrConflict, hawser.RetryNever},
	{6, hawser.CodeFenced, hawser.ErrFenced, hawser.RetryNever},
	{7, hawser.CodeTooLarge, hawser.ErrTooLarge, hawser.RetryNever},
	{8, hawser.CodeOverloaded, hawser.ErrOverloaded, hawser.RetryBackoff},
	{9, hawser.CodeStorageFull, hawser.ErrStorageFull, hawser.RetryNever},
	{10, hawser.CodeUnavailable, hawser.ErrUnavailable, hawser.RetryBackoff},
	{11, hawser.CodeNotLeader, hawser.ErrNotLeader, hawser.RetryElsewhere},
	{12, hawser.CodeOutcomeUnknown, hawser.ErrOutcomeUnknown, hawser.RetrySameID},
	{13, hawser.CodeRequestExpired, hawser.ErrRequestExpired, hawser.RetryNever},
	{14, hawser.CodeRequestMismatch, hawser.ErrRequestMismatch, hawser.RetryNever},
	{15, hawser.CodeWrongGeneration, hawser.ErrWrongGeneration, hawser.RetryNever},
	{16, hawser.CodeCorrupt, hawser.ErrCorrupt, hawser.RetryNever},
	{17, hawser.CodeUnauthenticated, hawser.ErrUnauthenticated, hawser.RetryNever},
	{18, hawser.CodePermissionDenied, hawser.ErrPermissionDenied, hawser.RetryNever},
	{19, hawser.CodeUnimplemented, hawser.ErrUnimplemented, hawser.RetryNever},
	{20, hawser.CodeDeadline, hawser.ErrDeadline, hawser.RetryNever},
	{21, hawser.CodeCanceled, hawser.ErrCanceled, hawser.RetryNever},
	{22, hawser.CodeRefused, hawser.ErrRefused, hawser.RetryNever},
	{23, hawser.CodeKeyframeNeeded, hawser.ErrKeyframeNeeded, hawser.RetryNever},
	{24, hawser.CodeCompacted, hawser.ErrCompacted, hawser.RetryNever},
	{25, hawser.CodeLeaseExpired, hawser.ErrLeaseExpired, hawser.RetryNever},
	{26, hawser.CodeOwnershipLost, hawser.ErrOwnershipLost, hawser.RetryNever},
	{27, hawser.CodeBusy, hawser.ErrBusy, hawser.RetryNever},
	{28, hawser.CodeTxnLocked, hawser.ErrTxnLocked, hawser.RetryNever},
	{29, hawser.CodeTxnAborted, hawser.ErrTxnAborted, hawser.RetryNever},
	{30, hawser.CodeMessageGone, hawser.ErrMessageGone, hawser.RetryNever},
	{31, hawser.CodeEffectUnknown, hawser.ErrEffectUnknown, hawser.RetryNever},
	{32, hawser.CodeEffectSkipped, hawser.ErrEffectSkipped, hawser.RetryNever},
	{33, hawser.CodeEffectFailed, hawser.ErrEffectFailed, hawser.RetryNever},
}

// Claim: every code has its own fixed number, words, sentinel and advice, and
// a sentinel matches its own code only, however deep it is wrapped.
func TestCodes_Table(t *testing.T) {
	codes := hawser.Codes()
	if len(codes) != len(sentinels) {
		t.Fatalf("%d codes, %d rows in the table: add the new code as the last row", len(codes), len(sentinels))
	}
	words := map[string]hawser.Code{}
	for i, row := range sentinels {
		if codes[i] != row.code || uint16(row.code) != row.number {
			t.Errorf("row %d: Codes() has %d, code is %d, number must stay %d", i, codes[i], row.code, row.number)
		}
		if other, taken := words[row.code.String()]; taken || strings.HasPrefix(row.code.String(), "code ") {
			t.Errorf("code %d prints as %q (also code %d)", row.code, row.code, other)
		}
		words[row.code.String()] = row.code
		if got := row.code.Retry(); got != row.retry {
			t.Errorf("%s: retry %s, want %s", row.code, got, row.retry)
		}
		wrapped := fmt.Errorf("outer: %w", &hawser.Error{Code: row.code, Op: "save", Key: "a", Err: io.ErrUnexpectedEOF})
		for _, other := range sentinels {
			if got := errors.Is(wrapped, other.sentinel); got != (other.code == row.code) {
				t.Errorf("errors.Is(%v, %v) = %v", wrapped, other.sentinel, got)
			}
		}
		if hawser.CodeOf(wrapped) != row.code || !errors.Is(wrapped, io.ErrUnexpectedEOF) {
			t.Errorf("%v: code %s, or lost its cause", wrapped, hawser.CodeOf(wrapped))
		}
	}
	if got := hawser.Code(9999).String(); got != "code 9999" {
		t.Errorf("an unknown code prints as %q", got)
	}
}

// Claim: CodeOf takes nil for fine and what is not ours for a defect.
func TestCodeOf_OtherErrors(t *testing.T) {
	if got := hawser.CodeOf(nil); got != hawser.CodeOK {
		t.Errorf("CodeOf(nil) = %s", got)
	}
	if got := hawser.CodeOf(io.EOF); got != hawser.CodeInternal {
		t.Errorf("CodeOf(io.EOF) = %s", got)
	}
	joined := errors.Join(io.EOF, &hawser.Error{Code: hawser.CodeTooLarge})
	if got := hawser.CodeOf(joined); got != hawser.CodeTooLarge {
		t.Errorf("CodeOf(joined) = %s", got)
	}
}

// Claim: only a bare code matches every error of the code; an error that says
// more matches itself alone.
func TestError_IsNeedsABareSentinel(t *testing.T) {
	specific := &hawser.Error{Code: hawser.CodeNotFound, Key: "a"}
	other := &hawser.Error{Code: hawser.CodeNotFound, Key: "b"}
	if errors.Is(other, specific) {
		t.Error("an error about b matches one about a")
	}
	if !errors.Is(specific, hawser.ErrNotFound) || !errors.Is(specific, specific) {
		t.Error("a specific error does not match its sentinel or itself")
	}
}

// Claim: errors print what was done, to what, what was wrong and why, and
// leave out what is not known.
func TestErrors_Print(t *testing.T) {
	agent := hawser.AgentID{Namespace: "default", Name: "a"}
	zero, twelve := uint64(0), uint64(12)
	for _, tc := range []struct {
		err  error
		want string
	}{
		{&hawser.Error{Code: hawser.CodeNotFound}, "not found"},
		{&hawser.Error{Code: hawser.CodeNotFound, Op: "restore", Key: "default/a"}, `restore "default/a": not found`},
		{&hawser.Error{Code: hawser.CodeInvalid, Op: "agent name", Key: "a/", Msg: "has an empty segment"}, `agent name "a/": has an empty segment`},
		{&hawser.Error{Code: hawser.CodeInvalid}, "invalid argument"},
		{&hawser.Error{Code: hawser.CodeUnavailable, Key: "x", Err: io.EOF}, `"x": unavailable: EOF`},
		{
			&hawser.ConflictError{Agent: agent, Expected: &twelve, Head: hawser.Version{Number: 14}},
			`agent "default/a": conflict: its head is version 14, expected version 12; restore it, then decide what to save`,
		},
		{
			&hawser.ConflictError{Agent: agent, Expected: &zero, Head: hawser.Version{Number: 1}},
			`agent "default/a": conflict: its head is version 1, expected none; restore it, then decide what to save`,
		},
		{
			&hawser.ConflictError{Agent: agent},
			`agent "default/a": conflict: it has no version; restore it, then decide what to save`,
		},
	} {
		if got := tc.err.Error(); got != tc.want {
			t.Errorf("prints %q\nwant   %q", got, tc.want)
		}
	}
}

// Claim: the typed errors match their sentinel, carry their code and can be
// taken out of a chain; after a timeout both the cause and the unknown
// outcome match (G8), and the message holds the request id to repeat with.
func TestErrors_Typed(t *testing.T) {
	conflict := fmt.Errorf("save: %w", &hawser.ConflictError{Head: hawser.Version{Number: 3}})
	if !errors.Is(conflict, hawser.ErrConflict) || errors.Is(conflict, hawser.ErrNotFound) || hawser.CodeOf(conflict) != hawser.CodeConflict {
		t.Errorf("conflict matches the wrong sentinels, code %s", hawser.CodeOf(conflict))
	}
	if typed, ok := errors.AsType[*hawser.ConflictError](conflict); !ok || typed.Head.Number != 3 {
		t.Errorf("AsType = %+v, %v", typed, ok)
	}

	id := hawser.RequestID{Nonce: hawser.NewNonce(), Kind: hawser.RequestSave, Agent: hawser.AgentID{Namespace: "default", Name: "a"}}
	unknown := fmt.Errorf("save: %w", &hawser.UnknownOutcomeError{RequestID: id, Err: context.DeadlineExceeded})
	if !errors.Is(unknown, hawser.ErrOutcomeUnknown) || !errors.Is(unknown, context.DeadlineExceeded) || hawser.CodeOf(unknown) != hawser.CodeOutcomeUnknown {
		t.Errorf("unknown outcome does not match: %v", unknown)
	}
	if !strings.Contains(unknown.Error(), id.String()) {
		t.Errorf("%q does not name the request id", unknown)
	}
}

// Claim: advice prints as words for every value.
func TestRetry_String(t *testing.T) {
	for _, row := range sentinels {
		if row.retry.String() == "" {
			t.Errorf("advice %d has no words", row.retry)
		}
	}
}
