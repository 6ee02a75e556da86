// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawser

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// SessionID names a session, in which one sender numbers its messages. Whoever
// opens it makes the id, at random.
type SessionID [16]byte

// NewSessionID returns 16 random bytes.
func NewSessionID() SessionID { return SessionID(NewNonce()) }

// IsZero reports whether s names no session.
func (s SessionID) IsZero() bool { return s == SessionID{} }

// String returns the id in hexadecimal.
func (s SessionID) String() string { return hex.EncodeToString(s[:]) }

// MessageID is the identity that a sender gives to a message, by which a repeat
// of it is recognised. What an agent's save sends needs none: it has the save's.
type MessageID struct {
	Session SessionID
	// Sequence counts the messages of the session, from 1.
	Sequence uint64
}

// IsZero reports whether m is none.
func (m MessageID) IsZero() bool { return m == MessageID{} }

// String returns the printed form, which [ParseMessageID] reads; "" for none.
func (m MessageID) String() string {
	if m.IsZero() {
		return ""
	}
	return m.Session.String() + "-" + strconv.FormatUint(m.Sequence, 10)
}

// ParseMessageID reads the printed form of an id. Errors match [ErrInvalid].
func ParseMessageID(s string) (MessageID, error) {
	session, sequence, _ := strings.Cut(s, "-")
	b, err := hex.DecodeString(session)
	n, numErr := strconv.ParseUint(sequence, 10, 64)
	var id MessageID
	if err == nil && numErr == nil && len(b) == len(id.Session) {
		id = MessageID{Session: SessionID(b), Sequence: n}
	}
	if id.Session.IsZero() || id.Sequence == 0 || id.String() != s {
		return MessageID{}, &Error{Code: CodeInvalid, Op: "message id", Key: shorten(s), Msg: "is not as it was printed; copy it whole"}
	}
	return id, nil
}

// Message is a durable input of an agent. It stays in the agent's inbox until a
// save of the agent consumes it.
type Message struct {
	// Agent is whose inbox it is in.
	Agent AgentID
	// Number is its place there: consecutive, never given again, also when the
	// agent is deleted and made anew.
	Number uint64
	// From is the version with whose save it was sent; zero for one that was sent
	// in a session, which has an ID instead.
	From VersionRef
	ID   MessageID
	// Instance is the process that sent it.
	Instance string
	Labels   map[string]string
	Payload  []byte
	// SentAt is the cluster's clock.
	SentAt   time.Time
	Revision Revision
}

// Sender names who sent it: an agent, or a process.
func (m Message) Sender() string {
	if !m.From.IsZero() {
		return m.From.Agent.Name
	}
	return m.Instance
}

// UnknownMessageError is a message of which the sender cannot tell whether it
// was sent. It matches [ErrOutcomeUnknown] and its cause. The same message sent
// again under its id is sent once.
type UnknownMessageError struct {
	Agent AgentID
	ID    MessageID
	Err   error
}

// Error says to whom, and why it is unknown.
func (e *UnknownMessageError) Error() string {
	msg := fmt.Sprintf("send to %q: outcome unknown: it may have been sent", e.Agent)
	if e.Err != nil {
		msg += ": " + e.Err.Error()
	}
	return msg
}

// HawserCode returns [CodeOutcomeUnknown].
func (e *UnknownMessageError) HawserCode() Code { return CodeOutcomeUnknown }

// Is reports whether target is [ErrOutcomeUnknown].
func (e *UnknownMessageError) Is(target error) bool { return target == ErrOutcomeUnknown }

// Unwrap returns the cause.
func (e *UnknownMessageError) Unwrap() error { return e.Err }
