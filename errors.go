// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawser

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Code classifies an error. Codes cross the network and are therefore only
// ever appended: never renumber, reuse or remove one.
type Code uint16

// The codes. The comment of each says what happened and what to do next.
const (
	// CodeOK is no error.
	CodeOK Code = iota
	// CodeInternal is a defect of Hawser. Report it.
	CodeInternal
	// CodeInvalid is an argument that no server would take. Correct it.
	CodeInvalid
	// CodeNotFound is an agent or version that never was, or a deleted agent.
	CodeNotFound
	// CodeVersionGone is a version that was and has been removed.
	CodeVersionGone
	// CodeConflict is a condition on the head that does not hold. Restore the
	// head, then decide.
	CodeConflict
	// CodeFenced is a write by somebody who does not own the agent (any more).
	CodeFenced
	// CodeTooLarge is a state or message above its limit.
	CodeTooLarge
	// CodeOverloaded is a full queue. Repeat after a while.
	CodeOverloaded
	// CodeStorageFull is a cluster without enough free disk to grow. Delete
	// something or add space; reads and deletes still work.
	CodeStorageFull
	// CodeUnavailable is a node that cannot serve now, mostly because it
	// knows no leader. Nothing was executed. Repeat, elsewhere if possible.
	CodeUnavailable
	// CodeNotLeader is a call that only the leader can take. Nodes forward,
	// so users do not see it.
	CodeNotLeader
	// CodeOutcomeUnknown is a write that was sent and whose answer was lost:
	// it may have been executed or still be. Repeat with the same request id.
	CodeOutcomeUnknown
	// CodeRequestExpired is a repeat that comes too late to tell whether the
	// first attempt was executed. Nothing was executed now.
	CodeRequestExpired
	// CodeRequestMismatch is a request id that was used for another request.
	CodeRequestMismatch
	// CodeWrongGeneration is a number of another life of the cluster.
	CodeWrongGeneration
	// CodeCorrupt is content that does not match its checksum.
	CodeCorrupt
	// CodeUnauthenticated is a caller that did not prove who it is.
	CodeUnauthenticated
	// CodePermissionDenied is a caller that may not do this.
	CodePermissionDenied
	// CodeUnimplemented is a call that this server does not know.
	CodeUnimplemented
	// CodeDeadline is a call that ran out of time before it was executed.
	CodeDeadline
	// CodeCanceled is a call that its caller gave up.
	CodeCanceled
	// CodeRefused is a change of the cluster that its state does not allow,
	// such as removing the last voter.
	CodeRefused
	// CodeKeyframeNeeded is a save by delta that cannot follow the head: the
	// head is another version than its base, or the chain of deltas is full.
	// Nothing was executed; save the whole state. The client does that itself.
	CodeKeyframeNeeded
	// CodeCompacted is a watch from a point that is no longer kept. Read the
	// state, then watch from now.
	CodeCompacted
	// CodeLeaseExpired is a lease that is not open, or not any more. What was
	// held under it is lost; open another one.
	CodeLeaseExpired
	// CodeOwnershipLost is a claim or lock that this process held and can no
	// longer count on. Stop what was done under it.
	CodeOwnershipLost
	// CodeBusy is a resource that somebody else holds, asked for by somebody
	// who does not want to wait.
	CodeBusy
	// CodeTxnLocked is a write to an agent that has voted in a transaction that
	// is not decided yet, or a vote out of turn. Repeat it after the decision.
	CodeTxnLocked
	// CodeTxnAborted is a transaction that was aborted: nothing of it remains.
	CodeTxnAborted
	// CodeMessageGone is a save that consumes a message which is consumed already.
	// Restore, and decide by what is in the inbox.
	CodeMessageGone
	// CodeEffectUnknown is an effect that was begun, and nobody knows whether it
	// has run. Find out, then resolve it.
	CodeEffectUnknown
	// CodeEffectSkipped is the same, for a caller that goes on without it.
	CodeEffectSkipped
	// CodeEffectFailed is an effect that is known not to have happened, and is
	// not run again under its id.
	CodeEffectFailed

	codeEnd = iota // keep last; untyped, so that no switch has to name it
)

var codeNames = [...]string{
	CodeOK: "ok", CodeInternal: "internal error", CodeInvalid: "invalid argument", CodeNotFound: "not found",
	CodeVersionGone: "version gone", CodeConflict: "conflict", CodeFenced: "fenced", CodeTooLarge: "too large",
	CodeOverloaded: "overloaded", CodeStorageFull: "storage full", CodeUnavailable: "unavailable",
	CodeNotLeader: "not the leader", CodeOutcomeUnknown: "outcome unknown", CodeRequestExpired: "request expired",
	CodeRequestMismatch: "already used for another request", CodeWrongGeneration: "wrong generation",
	CodeCorrupt: "corrupt", CodeUnauthenticated: "unauthenticated", CodePermissionDenied: "permission denied",
	CodeUnimplemented: "unimplemented", CodeDeadline: "deadline exceeded", CodeCanceled: "canceled", CodeRefused: "refused",
	CodeKeyframeNeeded: "keyframe needed", CodeCompacted: "compacted", CodeLeaseExpired: "lease expired",
	CodeOwnershipLost: "ownership lost", CodeBusy: "busy",
	CodeTxnLocked: "locked by a transaction", CodeTxnAborted: "transaction aborted",
	CodeMessageGone:   "message gone",
	CodeEffectUnknown: "effect unknown", CodeEffectSkipped: "effect skipped", CodeEffectFailed: "effect failed",
}

// Codes returns every code but [CodeOK], in order.
func Codes() []Code {
	codes := make([]Code, 0, codeEnd-1)
	for c := CodeOK + 1; c < codeEnd; c++ {
		codes = append(codes, c)
	}
	return codes
}

// String returns the code in words.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return fmt.Sprintf("code %d", uint16(c))
}

// Retry says whether repeating a call helps.
type Retry uint8

const (
	// RetryNever means that the same call meets the same answer.
	RetryNever Retry = iota
	// RetryElsewhere means at once, at the leader or another node. Nothing was
	// executed.
	RetryElsewhere
	// RetryBackoff means after a while, with the same request id. Nothing was
	// executed.
	RetryBackoff
	// RetrySameID means with the same request id only; the call may have been
	// executed.
	RetrySameID
)

// String returns the advice in words.
func (r Retry) String() string {
	return [...]string{"never", "elsewhere", "after backoff", "with the same request id"}[r&3]
}

// Retry returns the advice for errors of this code.
func (c Code) Retry() Retry {
	switch c {
	case CodeNotLeader:
		return RetryElsewhere
	case CodeUnavailable, CodeOverloaded:
		return RetryBackoff
	case CodeOutcomeUnknown:
		return RetrySameID
	case CodeOK, CodeInternal, CodeInvalid, CodeNotFound, CodeVersionGone, CodeConflict, CodeFenced, CodeTooLarge,
		CodeStorageFull, CodeRequestExpired, CodeRequestMismatch, CodeWrongGeneration, CodeCorrupt, CodeUnauthenticated,
		CodePermissionDenied, CodeUnimplemented, CodeDeadline, CodeCanceled, CodeRefused, CodeKeyframeNeeded,
		CodeCompacted, CodeLeaseExpired, CodeOwnershipLost, CodeBusy, CodeTxnLocked, CodeTxnAborted,
		CodeMessageGone, CodeEffectUnknown, CodeEffectSkipped, CodeEffectFailed:
		return RetryNever
	}
	return RetryNever // a code of a newer server
}

// Sentinels, one a code, for errors.Is.
var (
	ErrInternal         error = &Error{Code: CodeInternal}
	ErrInvalid          error = &Error{Code: CodeInvalid}
	ErrNotFound         error = &Error{Code: CodeNotFound}
	ErrVersionGone      error = &Error{Code: CodeVersionGone}
	ErrConflict         error = &Error{Code: CodeConflict}
	ErrFenced           error = &Error{Code: CodeFenced}
	ErrTooLarge         error = &Error{Code: CodeTooLarge}
	ErrOverloaded       error = &Error{Code: CodeOverloaded}
	ErrStorageFull      error = &Error{Code: CodeStorageFull}
	ErrUnavailable      error = &Error{Code: CodeUnavailable}
	ErrNotLeader        error = &Error{Code: CodeNotLeader}
	ErrOutcomeUnknown   error = &Error{Code: CodeOutcomeUnknown}
	ErrRequestExpired   error = &Error{Code: CodeRequestExpired}
	ErrRequestMismatch  error = &Error{Code: CodeRequestMismatch}
	ErrWrongGeneration  error = &Error{Code: CodeWrongGeneration}
	ErrCorrupt          error = &Error{Code: CodeCorrupt}
	ErrUnauthenticated  error = &Error{Code: CodeUnauthenticated}
	ErrPermissionDenied error = &Error{Code: CodePermissionDenied}
	ErrUnimplemented    error = &Error{Code: CodeUnimplemented}
	ErrDeadline         error = &Error{Code: CodeDeadline}
	ErrCanceled         error = &Error{Code: CodeCanceled}
	ErrRefused          error = &Error{Code: CodeRefused}
	ErrKeyframeNeeded   error = &Error{Code: CodeKeyframeNeeded}
	ErrCompacted        error = &Error{Code: CodeCompacted}
	ErrLeaseExpired     error = &Error{Code: CodeLeaseExpired}
	ErrOwnershipLost    error = &Error{Code: CodeOwnershipLost}
	ErrBusy             error = &Error{Code: CodeBusy}
	ErrTxnLocked        error = &Error{Code: CodeTxnLocked}
	ErrTxnAborted       error = &Error{Code: CodeTxnAborted}
	ErrMessageGone      error = &Error{Code: CodeMessageGone}
	ErrEffectUnknown    error = &Error{Code: CodeEffectUnknown}
	ErrEffectSkipped    error = &Error{Code: CodeEffectSkipped}
	ErrEffectFailed     error = &Error{Code: CodeEffectFailed}
)

// Error is the error of every Hawser operation. All fields but Code may be
// zero. It prints as "op key: code: msg: cause", leaving out what is empty.
type Error struct {
	Code Code
	// Op is what was being done, such as "save".
	Op string
	// Key is what it was done to, such as an agent.
	Key string
	// Msg says what was wrong and, where it is not obvious, what to do next.
	Msg string
	// Err is the cause, for errors.Is and errors.As.
	Err error
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	add := func(s string) {
		if s == "" {
			return
		}
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		b.WriteString(s)
	}
	head := e.Op
	if e.Key != "" {
		head = strings.TrimSpace(e.Op + " " + fmt.Sprintf("%q", e.Key))
	}
	add(head)
	if e.Code != CodeInvalid || e.Msg == "" {
		add(e.Code.String())
	}
	add(e.Msg)
	if e.Err != nil {
		add(e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is the sentinel of e's code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Op == "" && t.Key == "" && t.Msg == "" && t.Err == nil
}

// CodeOf returns the code of the first Hawser error in err's chain, CodeOK
// for nil and CodeInternal for an error of another kind.
func CodeOf(err error) Code {
	if err == nil {
		return CodeOK
	}
	if coded, ok := errors.AsType[interface {
		error
		HawserCode() Code
	}](err); ok {
		return coded.HawserCode()
	}
	return CodeInternal
}

// HawserCode returns e.Code.
func (e *Error) HawserCode() Code { return e.Code }

// ConflictError is a condition on the head that does not hold. It matches
// [ErrConflict].
type ConflictError struct {
	Agent AgentID
	// Expected is the number that the call expected; nil when it came with
	// another condition.
	Expected *uint64
	// Head is the version that was found; its Number is 0 when the agent has
	// none.
	Head Version
}

// Error implements error.
func (e *ConflictError) Error() string {
	found := "it has no version"
	if e.Head.Number != 0 {
		found = fmt.Sprintf("its head is version %d", e.Head.Number)
	}
	want := ""
	if e.Expected != nil && *e.Expected == 0 {
		want = ", expected none"
	} else if e.Expected != nil {
		want = fmt.Sprintf(", expected version %d", *e.Expected)
	}
	return fmt.Sprintf("agent %q: conflict: %s%s; restore it, then decide what to save", e.Agent, found, want)
}

// Permanent reports whether no later state of the agent can meet the condition
// that failed, so that an earlier attempt of the same request cannot be
// executed any more either. Numbers never come back, but an agent that must
// not exist may be deleted, and a number that was not reached yet may be.
func (e *ConflictError) Permanent() bool {
	return e.Expected != nil && *e.Expected != 0 && (e.Head.Number == 0 || e.Head.Number > *e.Expected)
}

// HawserCode returns [CodeConflict].
func (e *ConflictError) HawserCode() Code { return CodeConflict }

// Is reports whether target is [ErrConflict].
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// UnknownOutcomeError is a write whose answer was lost. It matches
// [ErrOutcomeUnknown] and its cause, mostly context.DeadlineExceeded.
type UnknownOutcomeError struct {
	RequestID RequestID
	Err       error
}

// Error implements error.
func (e *UnknownOutcomeError) Error() string {
	msg := fmt.Sprintf("%s %q: outcome unknown, it may have been executed; ask or repeat with request id %s",
		e.RequestID.Kind, e.RequestID.Agent, e.RequestID)
	if e.Err != nil {
		msg += ": " + e.Err.Error()
	}
	return msg
}

// HawserCode returns [CodeOutcomeUnknown].
func (e *UnknownOutcomeError) HawserCode() Code { return CodeOutcomeUnknown }

// Is reports whether target is [ErrOutcomeUnknown].
func (e *UnknownOutcomeError) Is(target error) bool { return target == ErrOutcomeUnknown }

// Unwrap returns the cause.
func (e *UnknownOutcomeError) Unwrap() error { return e.Err }

// FencedError is a write by somebody who does not own the agent, or not any
// more. It matches [ErrFenced].
type FencedError struct {
	Agent AgentID
	// Epoch is the agent's; Owner is the instance that owns it, empty when
	// nobody does.
	Epoch uint64
	Owner string
}

// Error implements error.
func (e *FencedError) Error() string {
	who := "nobody owns it now: claim it first, or open it with unclaim"
	if e.Owner != "" {
		who = fmt.Sprintf("%q owns it", e.Owner)
	}
	return fmt.Sprintf("agent %q: fenced: the write does not carry the fence of the live claim; the epoch is %d and %s", e.Agent, e.Epoch, who)
}

// HawserCode returns [CodeFenced].
func (e *FencedError) HawserCode() Code { return CodeFenced }

// Is reports whether target is [ErrFenced].
func (e *FencedError) Is(target error) bool { return target == ErrFenced }

// CompactedError is a watch from a point that is no longer kept. It matches
// [ErrCompacted]. Read the state of what is watched, then watch from now: what
// happened in between is in the state.
type CompactedError struct {
	// Oldest is the earliest point from which a watch is possible.
	Oldest Cursor
}

// Error implements error.
func (e *CompactedError) Error() string {
	return fmt.Sprintf("watch: compacted: the events after the cursor are no longer kept; read the state and watch from now, or from %s", e.Oldest)
}

// HawserCode returns [CodeCompacted].
func (e *CompactedError) HawserCode() Code { return CodeCompacted }

// Is reports whether target is [ErrCompacted].
func (e *CompactedError) Is(target error) bool { return target == ErrCompacted }

// TxnLockedError is a write to an agent that has voted yes in a transaction, or
// a vote while it is another transaction's turn. It matches [ErrTxnLocked].
type TxnLockedError struct {
	Agent AgentID
	// Txn is what it waits for, until Deadline at most.
	Txn      TxnID
	Deadline time.Time
}

// Error implements error.
func (e *TxnLockedError) Error() string {
	return fmt.Sprintf("agent %q: locked by transaction %q until that is decided, at %s at the latest; repeat it then, or see hawser txn show %s",
		e.Agent, e.Txn.ID, e.Deadline.UTC().Format(time.RFC3339), e.Txn.ID)
}

// HawserCode returns [CodeTxnLocked].
func (e *TxnLockedError) HawserCode() Code { return CodeTxnLocked }

// Is reports whether target is [ErrTxnLocked].
func (e *TxnLockedError) Is(target error) bool { return target == ErrTxnLocked }

// UnknownTxnError is a transaction of which the initiator cannot tell what
// became. It matches [ErrOutcomeUnknown] and its cause. Whatever it was, it is
// decided at its deadline at the latest: ask for it by its id.
type UnknownTxnError struct {
	ID  TxnID
	Err error
}

// Error implements error.
func (e *UnknownTxnError) Error() string {
	msg := fmt.Sprintf("transaction %q: outcome unknown; ask with hawser txn show %s", e.ID.ID, e.ID.ID)
	if e.Err != nil {
		msg += ": " + e.Err.Error()
	}
	return msg
}

// HawserCode returns [CodeOutcomeUnknown].
func (e *UnknownTxnError) HawserCode() Code { return CodeOutcomeUnknown }

// Is reports whether target is [ErrOutcomeUnknown].
func (e *UnknownTxnError) Is(target error) bool { return target == ErrOutcomeUnknown }

// Unwrap returns the cause.
func (e *UnknownTxnError) Unwrap() error { return e.Err }

// TxnAbortedError is a transaction that was aborted. It matches
// [ErrTxnAborted].
type TxnAbortedError struct {
	// Txn says who voted what, and why it was aborted.
	Txn TxnInfo
}

// Error implements error.
func (e *TxnAbortedError) Error() string {
	return fmt.Sprintf("transaction %q: aborted: %s", e.Txn.ID.ID, e.Txn.Reason)
}

// HawserCode returns [CodeTxnAborted].
func (e *TxnAbortedError) HawserCode() Code { return CodeTxnAborted }

// Is reports whether target is [ErrTxnAborted].
func (e *TxnAbortedError) Is(target error) bool { return target == ErrTxnAborted }
