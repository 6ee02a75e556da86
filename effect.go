// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawser

import (
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"
)

// EffectState says what is known of an effect. Values are stored and cross the
// network: append only.
type EffectState uint8

const (
	// EffectOpen was begun, and nobody has said how it ended: the call runs,
	// has run, or never did. To anybody but the one that runs it, it is unknown.
	EffectOpen EffectState = iota + 1
	// EffectDone has run, and its result is recorded.
	EffectDone
	// EffectFailed is known not to have happened.
	EffectFailed
	// EffectRetry was open, and somebody found out that it did not happen: the
	// next one that begins it runs it.
	EffectRetry
)

var effectStateNames = [...]string{EffectOpen: "open", EffectDone: "done", EffectFailed: "failed", EffectRetry: "retry"}

// String returns the state as the command line prints it, such as "open".
func (s EffectState) String() string {
	if s > 0 && int(s) < len(effectStateNames) {
		return effectStateNames[s]
	}
	return fmt.Sprintf("effect state %d", uint8(s))
}

// Finished reports whether it is known how the effect ended.
func (s EffectState) Finished() bool { return s == EffectDone || s == EffectFailed }

// EffectPolicy says what is to become of an effect of which nobody knows whether
// it has run. Values are stored and cross the network: append only.
type EffectPolicy uint8

const (
	// OnUnknownAsk runs nothing and leaves it to the caller, or to people: an
	// [UnknownEffectError].
	OnUnknownAsk EffectPolicy = iota + 1
	// OnUnknownRetry runs it again, with the idempotency key of the first time.
	OnUnknownRetry
	// OnUnknownSkip runs nothing and goes on without it: an error that matches
	// [ErrEffectSkipped].
	OnUnknownSkip
)

var effectPolicyNames = [...]string{OnUnknownAsk: "ask", OnUnknownRetry: "retry", OnUnknownSkip: "skip"}

// String returns "ask", "retry" or "skip".
func (p EffectPolicy) String() string {
	if p.Valid() {
		return effectPolicyNames[p]
	}
	return fmt.Sprintf("effect policy %d", uint8(p))
}

// Valid reports whether p is one of the policies.
func (p EffectPolicy) Valid() bool { return p > 0 && int(p) < len(effectPolicyNames) }

// Effect is an entry of an agent's journal: a call to the world outside, begun
// once and never rolled back.
type Effect struct {
	// Agent is whose journal was asked.
	Agent AgentID
	// ID names the effect within the agent. Whoever begins it makes the id.
	ID    string
	State EffectState
	// Policy is that of whoever began it last.
	Policy EffectPolicy
	// Key is what the other side is to recognise a second call by. It stays the
	// same however often the effect is begun, also for forks that inherit it.
	Key string
	// Description says what it is, to people; Input is the SHA-256 of what the
	// call was made with, zero if that was not said.
	Description string
	Input       Hash
	// Attempts counts how often somebody was let run it.
	Attempts uint32
	// Instance began it last, at BegunAt, under Epoch (0 for none), when the
	// agent's newest version was Head.
	Instance string
	Epoch    uint64
	Head     uint64
	BegunAt  time.Time
	// Version was saved together with the end of the effect; 0 when that was
	// recorded on its own.
	Version    uint64
	FinishedAt time.Time
	// Reason says why it failed, or why somebody resolved it by hand, which
	// Resolved says.
	Reason   string
	Resolved bool
	// Result is what was recorded; nil where it was not asked for, and in a
	// long list of a [Version]'s effects from where they exceed
	// [MaxEffectResults]. ResultSize is its length in any case.
	Result     []byte
	ResultSize int64
	// Revision of the last change.
	Revision Revision
	// Inherited is set for one that a fork has of its source.
	Inherited bool
}

// Limits of effects.
const (
	// MaxEffectID is the longest id of an effect in bytes.
	MaxEffectID = 128
	// MaxEffectDescription is the longest description in bytes.
	MaxEffectDescription = 256
	// MaxEffectResult bounds the result of an effect, and those that one save
	// records together, in bytes.
	MaxEffectResult = 64 << 10
	// MaxEffectsPerSave is the most effects that one save records the end of.
	MaxEffectsPerSave = 16
	// MaxEffects is the most effects in an agent's journal, inherited ones
	// included.
	MaxEffects = 10_000
	// MaxEffectResults bounds the results in an agent's journal in bytes. One
	// that is open counts as [MaxEffectResult], so that its result has room.
	MaxEffectResults = 16 << 20
	// MaxForkDepth is how many forks of forks inherit effects of each other.
	MaxForkDepth = 64
)

// CheckEffectID returns an error that matches [ErrInvalid] unless id can name an
// effect: 1 to 128 bytes of UTF-8 without control characters.
func CheckEffectID(id string) error {
	if id == "" || len(id) > MaxEffectID {
		return invalid("effect id", shorten(id), fmt.Sprintf("has %d bytes; 1 to %d are possible", len(id), MaxEffectID))
	}
	if !utf8.ValidString(id) {
		return invalid("effect id", shorten(id), "is not UTF-8")
	}
	for _, r := range id {
		if unicode.IsControl(r) {
			return invalid("effect id", shorten(id), "holds a control character")
		}
	}
	return nil
}

// UnknownEffectError is an effect that somebody has begun, of which nobody knows
// whether it has run. It matches [ErrEffectUnknown], or [ErrEffectSkipped] if
// the caller had said to go on without it.
type UnknownEffectError struct {
	Effect Effect
	// Skipped is set when the caller's policy is [OnUnknownSkip].
	Skipped bool
}

// Error implements error.
func (e *UnknownEffectError) Error() string {
	if e.Skipped {
		return fmt.Sprintf("effect %q of agent %q: skipped: nobody knows whether it has run; it stays open", e.Effect.ID, e.Effect.Agent)
	}
	return fmt.Sprintf("effect %q of agent %q: unknown: begun by %q at %s, and nobody knows whether it has run; find out by its key %s, then hawser effect resolve",
		e.Effect.ID, e.Effect.Agent, e.Effect.Instance, e.Effect.BegunAt.UTC().Format(time.RFC3339), e.Effect.Key)
}

// HawserCode returns [CodeEffectUnknown] or [CodeEffectSkipped].
func (e *UnknownEffectError) HawserCode() Code {
	if e.Skipped {
		return CodeEffectSkipped
	}
	return CodeEffectUnknown
}

// Is reports whether target is [ErrEffectUnknown], or [ErrEffectSkipped] of one
// that is skipped.
func (e *UnknownEffectError) Is(target error) bool {
	if e.Skipped {
		return target == ErrEffectSkipped
	}
	return target == ErrEffectUnknown
}

// FailedEffectError is an effect that is known not to have happened. It matches
// [ErrEffectFailed]. It is not run again under this id, unless somebody resolves
// it to be.
type FailedEffectError struct{ Effect Effect }

// Error implements error.
func (e *FailedEffectError) Error() string {
	return fmt.Sprintf("effect %q of agent %q: failed: %s", e.Effect.ID, e.Effect.Agent, e.Effect.Reason)
}

// HawserCode returns [CodeEffectFailed].
func (e *FailedEffectError) HawserCode() Code { return CodeEffectFailed }

// Is reports whether target is [ErrEffectFailed].
func (e *FailedEffectError) Is(target error) bool { return target == ErrEffectFailed }
