// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawser

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"
)

// EventKind says what happened. Values are stored and cross the network: append
// only.
type EventKind uint8

const (
	// EventVersionSaved is a version that was made: by a save, rollback, fork.
	EventVersionSaved EventKind = iota + 1
	// EventVersionPruned is a range of versions that retention removed.
	EventVersionPruned
	// EventVersionBad is a version that was found corrupt.
	EventVersionBad
	// EventAgentDeleted is an agent that was deleted.
	EventAgentDeleted
	// EventClaimGranted is an agent that was given to an instance.
	EventClaimGranted
	// EventClaimEnded is the end of that, for Reason.
	EventClaimEnded
	// EventLockGranted is a lock that was given to an instance.
	EventLockGranted
	// EventLockEnded is the end of that, for Reason.
	EventLockEnded
	// EventTxnBegun is a transaction that an agent takes part in.
	EventTxnBegun
	// EventTxnPrepared is one that has all votes and that its initiator is to
	// decide; it is told of its first participant only.
	EventTxnPrepared
	// EventTxnCommitted is one that an agent takes part in and that was committed.
	EventTxnCommitted
	// EventTxnAborted is one that was aborted, for Reason.
	EventTxnAborted
	// EventTxnResolved is a decision that somebody acknowledged in the place of
	// the agent, for Reason.
	EventTxnResolved
	// EventMessageSent is a message that an agent got, by its Number in the
	// inbox.
	EventMessageSent
	// EventMessageConsumed is a range of messages that a save of the agent has
	// consumed.
	EventMessageConsumed
	// EventCutMade is a cut of Number agents that was made.
	EventCutMade
	// EventCutRolledBack is Number agents that were rolled back to a cut, for
	// Reason. What happened to each of them is told too.
	EventCutRolledBack
	// EventEffectBegun is an effect that somebody was let run.
	EventEffectBegun
	// EventEffectDone is an effect of which it is recorded how it ended: Reason is
	// "failed" if it did not happen.
	EventEffectDone
	// EventEffectResolved is an effect that somebody resolved by hand, for Reason.
	EventEffectResolved
	// EventHealthChanged is the owner of an agent that does otherwise than before, as
	// the leader judges it: Number is the [HealthState], Reason why.
	EventHealthChanged
	// EventRuntimeStateBad is a version, Number, that the agent's program cannot go on
	// with, for Reason.
	EventRuntimeStateBad
	// EventRuntimeRecovery is a decision of what supervises an agent: Reason says what
	// is done and on which evidence.
	EventRuntimeRecovery
)

var eventNames = [...]string{
	EventVersionSaved: "VERSION_SAVED", EventVersionPruned: "VERSION_PRUNED", EventVersionBad: "VERSION_BAD",
	EventAgentDeleted: "AGENT_DELETED", EventClaimGranted: "CLAIM_GRANTED", EventClaimEnded: "CLAIM_ENDED",
	EventLockGranted: "LOCK_GRANTED", EventLockEnded: "LOCK_ENDED",
	EventTxnBegun: "TXN_BEGUN", EventTxnPrepared: "TXN_PREPARED", EventTxnCommitted: "TXN_COMMITTED",
	EventTxnAborted: "TXN_ABORTED", EventTxnResolved: "TXN_RESOLVED",
	EventMessageSent: "MESSAGE_SENT", EventMessageConsumed: "MESSAGE_CONSUMED",
	EventCutMade: "CUT_MADE", EventCutRolledBack: "CUT_ROLLED_BACK",
	EventEffectBegun: "EFFECT_BEGUN", EventEffectDone: "EFFECT_DONE", EventEffectResolved: "EFFECT_RESOLVED",
	EventHealthChanged: "HEALTH_CHANGED", EventRuntimeStateBad: "RUNTIME_STATE_BAD", EventRuntimeRecovery: "RUNTIME_RECOVERY",
}

// EventKinds returns every kind, in order.
func EventKinds() []EventKind {
	kinds := make([]EventKind, 0, len(eventNames)-1)
	for k := range EventKind(len(eventNames) - 1) {
		kinds = append(kinds, k+1)
	}
	return kinds
}

// String returns the kind as the command line prints it, such as
// "VERSION_SAVED".
func (k EventKind) String() string {
	if k > 0 && int(k) < len(eventNames) {
		return eventNames[k]
	}
	return fmt.Sprintf("EVENT_%d", uint8(k))
}

// Event is one thing that happened, without content.
type Event struct {
	Kind     EventKind
	Revision Revision
	// Time is the cluster's clock.
	Time time.Time
	// Name is the agent, lock or cut.
	Name AgentID
	// Number is the version that was saved, that a transaction made or that is
	// bad, or the first one pruned; Last is the last one pruned. Of messages they
	// are numbers of the inbox, of a cut it is how many agents,
	// of an effect the version with which it was finished, of an owner whose health
	// has changed the [HealthState].
	Number, Last uint64
	// Size is the length of the state that was saved or of the message, in bytes.
	Size int64
	// Token is the fence of the claim or lock; of a save or vote that of the
	// claim under which it was made, 0 for none.
	Token uint64
	// Instance saved, was granted, held, or sent.
	Instance string
	// Reason says why a hold ended, why a transaction was aborted or
	// resolved, what a cut is for, or why an owner does as it does.
	Reason string
	// Lease is the holder's, of grants and ends.
	Lease LeaseID
	// Txn is the id of the transaction, in the agent's namespace: of what
	// happened to one, and of a version that it made.
	Txn string
	// Effect is the id of the effect, of what happened to one.
	Effect string
}

// Cursor is a place between the events of a cluster: after all of Revision. The
// zero value is no place.
type Cursor struct {
	Generation Generation
	Revision   Revision
}

// IsZero reports whether c is no place.
func (c Cursor) IsZero() bool { return c == Cursor{} }

const cursorFormat = 1

// String returns the printed form, which [ParseCursor] reads. It is opaque:
// only Hawser knows what is in it. The zero value is "".
func (c Cursor) String() string {
	if c.IsZero() {
		return ""
	}
	b := []byte{cursorFormat, 0} // the second byte is the shard
	b = binary.AppendUvarint(b, uint64(c.Generation))
	b = binary.AppendUvarint(b, uint64(c.Revision))
	return requestIDEncoding.EncodeToString(binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)))
}

// ParseCursor reads the printed form of a cursor; "" is the zero value. Errors
// match [ErrInvalid].
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	bad := func(why string) (Cursor, error) {
		return Cursor{}, &Error{Code: CodeInvalid, Op: "cursor", Key: shorten(s), Msg: why + "; copy it whole"}
	}
	b, err := requestIDEncoding.DecodeString(s)
	if err != nil || len(b) < 2+2+4 {
		return bad("is not a cursor")
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	switch {
	case crc32.Checksum(body, castagnoli) != sum:
		return bad("has a wrong checksum")
	case body[0] != cursorFormat || body[1] != 0:
		return bad("is of a format or shard that this program does not know")
	}
	generation, n := binary.Uvarint(body[2:])
	if n <= 0 {
		return bad("is cut short")
	}
	revision, m := binary.Uvarint(body[2+n:])
	if m <= 0 || 2+n+m != len(body) {
		return bad("is cut short")
	}
	c := Cursor{Generation: Generation(generation), Revision: Revision(revision)}
	if c.String() != s { // a line break in the middle, or a longer form of a number
		return bad("is not as it was printed")
	}
	return c, nil
}
