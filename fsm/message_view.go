// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"bytes"
	"time"

	"github.com/hawserdb/hawser"
)

// Inbox is a page of an agent's inbox.
type Inbox struct {
	// Messages are the oldest first.
	Messages []hawser.Message
	// More is set when there are others after them.
	More bool
	// Count and Bytes sum up all that the inbox has.
	Count, Bytes uint64
}

// Inbox returns the messages of an agent with numbers above after: at most limit,
// and no more than so many bytes, but one if there is any. An agent that is not
// there has none.
func (v *View) Inbox(id hawser.AgentID, after uint64, limit, size int) (Inbox, error) {
	if !validAgent(id) {
		return Inbox{}, invalidCommand("inbox", "the agent's name is not valid")
	}
	if v.state.importing {
		return Inbox{}, errImporting()
	}
	value, ok, err := v.snap.Get(inboxKey(id))
	if err != nil || !ok {
		return Inbox{}, err
	}
	box, err := parseInbox(value)
	if err != nil {
		return Inbox{}, damagedKey("inbox", id, 0)
	}
	in := Inbox{Count: box.count, Bytes: box.bytes}
	if box.count == 0 || after >= box.last {
		return in, nil
	}
	err = v.scan(messageKey(id, max(box.first, after+1)), messageKey(id, box.last+1), func(key, value []byte) (bool, error) {
		_, number, isMessage, ok := splitInboxKey(key)
		m, err := parseMessage(bytes.Clone(value))
		if err != nil || !isMessage || !ok {
			return false, damagedKey("message", id, number)
		}
		if size -= int(m.size()); len(in.Messages) > 0 && (len(in.Messages) >= limit || size < 0) {
			in.More = true
			return false, nil
		}
		in.Messages = append(in.Messages, m.message(id, number))
		return true, nil
	})
	return in, err
}

// ExpiredSessions lists sessions that [ExpireSessions] removes at a moment of the
// cluster's clock, at most limit. It looks at all sessions.
func (v *View) ExpiredSessions(now time.Time, limit int) ([]SessionRef, error) {
	var refs []SessionRef
	err := v.scan([]byte{prefixSession}, []byte{prefixSession + 1}, func(key, value []byte) (bool, error) {
		ref, ok := splitSessionKey(key)
		if !ok {
			return false, damaged("session", errMalformed)
		}
		if ref.Session.IsZero() { // how many there are
			return true, nil
		}
		s, err := parseSession(value)
		if err != nil {
			return false, damaged("session "+ref.Session.String(), err)
		}
		if s.isOver(now.UnixNano()) {
			refs = append(refs, ref)
		}
		return len(refs) < limit, nil
	})
	return refs, err
}
