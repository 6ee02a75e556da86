// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/hawserdb/hawser"
)

// Rules of sessions that are frozen at the feature level that set them.
const (
	maxSessions = 10_000
	sessionTime = int64(24 * time.Hour)
	// maxOpening is how far the deadline of an opening may lie ahead.
	maxOpening        = int64(time.Hour)
	maxExpireSessions = 512
)

// OpenSession opens a session, in which a sender numbers its messages. A repeat
// changes nothing. It makes no revision.
type OpenSession struct {
	Namespace string
	Session   hawser.SessionID
	// Instance is the process that opens it.
	Instance string
	// Deadline is machine time, in unix nanoseconds. It is fixed at the first
	// attempt: one that comes later is refused, so that no straggler opens a
	// session that is over again, and with it the way for its messages.
	Deadline   int64
	Generation uint64
}

// CloseSession ends a session. One that is not there is closed. It makes no
// revision.
type CloseSession struct {
	Namespace  string
	Session    hawser.SessionID
	Generation uint64
}

// SessionRef names a session.
type SessionRef struct {
	Namespace string
	Session   hawser.SessionID
}

// ExpireSessions removes sessions that are closed and past the deadline of
// their opening, or were not used for a day of machine time; others are left
// alone. Result.Pruned counts them. It makes no revision.
type ExpireSessions struct {
	Sessions []SessionRef
}

func (*OpenSession) kind() commandKind    { return kindOpenSession }
func (*CloseSession) kind() commandKind   { return kindCloseSession }
func (*ExpireSessions) kind() commandKind { return kindExpireSessions }

func (o *OpenSession) appendBody(dst []byte) []byte {
	dst = appendBytes(append(appendBytes(dst, o.Namespace), o.Session[:]...), o.Instance)
	return binary.AppendUvarint(binary.AppendUvarint(dst, uint64(o.Deadline)), o.Generation)
}

func (o *OpenSession) parseBody(r *reader) {
	o.Namespace, o.Session, o.Instance = r.string(), r.session(), r.string()
	o.Deadline, o.Generation = r.int63(), r.uvarint()
}

func (o *CloseSession) appendBody(dst []byte) []byte {
	return binary.AppendUvarint(append(appendBytes(dst, o.Namespace), o.Session[:]...), o.Generation)
}

func (o *CloseSession) parseBody(r *reader) {
	o.Namespace, o.Session, o.Generation = r.string(), r.session(), r.uvarint()
}

func (e *ExpireSessions) appendBody(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(e.Sessions)))
	for _, s := range e.Sessions {
		dst = append(appendBytes(dst, s.Namespace), s.Session[:]...)
	}
	return dst
}

func (e *ExpireSessions) parseBody(r *reader) {
	for range r.count(17) {
		e.Sessions = append(e.Sessions, SessionRef{Namespace: r.string(), Session: r.session()})
	}
}

// sessionRecord is what the machine keeps of a session.
type sessionRecord struct {
	instance string
	// deadline is that of the opening, touched when the session was used last.
	deadline, touched int64
	ended             bool
	// sequence is that of the last message, 0 for none, digest what it was, and
	// the rest what became of it.
	sequence         uint64
	digest           hawser.Hash
	agent            string
	number, revision uint64
	sent             int64
}

func (s *sessionRecord) encode() []byte {
	dst := appendBool(appendBytes([]byte{storedFormat}, s.instance), s.ended)
	dst = append(dst, s.digest[:]...)
	for _, v := range [...]uint64{uint64(s.deadline), uint64(s.touched), s.sequence, s.number, s.revision, uint64(s.sent)} {
		dst = binary.AppendUvarint(dst, v)
	}
	return appendBytes(dst, s.agent)
}

func parseSession(b []byte) (*sessionRecord, error) {
	r := &reader{b: b}
	if r.byte() != storedFormat {
		return nil, errMalformed
	}
	s := &sessionRecord{instance: r.string(), ended: r.bool(), digest: r.hash(), deadline: r.int63(), touched: r.int63()}
	s.sequence, s.number, s.revision, s.sent, s.agent = r.uvarint(), r.uvarint(), r.uvarint(), r.int63(), r.string()
	return s, r.end()
}

// isOver reports whether the session can go.
func (s *sessionRecord) isOver(now int64) bool {
	return s.ended && now >= s.deadline || now-s.touched >= sessionTime
}

// sessionsKey is that of the number of sessions of a namespace.
func sessionsKey(namespace string) []byte { return append([]byte{prefixSession}, namespace...) }

func sessionKey(namespace string, id hawser.SessionID) []byte {
	return append(append(sessionsKey(namespace), 0), id[:]...)
}

// splitSessionKey is the reverse of sessionKey, and of sessionsKey, for which the
// session is zero.
func splitSessionKey(key []byte) (ref SessionRef, ok bool) {
	namespace, id, isSession := bytes.Cut(key[1:], []byte{0})
	ref.Namespace = string(namespace)
	if !isSession {
		return ref, true
	}
	if len(id) != len(ref.Session) {
		return ref, false
	}
	ref.Session = hawser.SessionID(id)
	return ref, true
}

// session returns a session, nil when there is none.
func (c *changes) session(namespace string, id hawser.SessionID) (*sessionRecord, error) {
	value, err := c.get(sessionKey(namespace, id))
	if err != nil || value == nil {
		return nil, err
	}
	s, err := parseSession(value)
	if err != nil {
		return nil, damaged("session "+id.String(), err)
	}
	return s, nil
}

func (c *changes) putSession(namespace string, id hawser.SessionID, s *sessionRecord) {
	c.put(sessionKey(namespace, id), s.encode())
}

func (c *changes) dropSession(namespace string, id hawser.SessionID) error {
	c.drop(sessionKey(namespace, id))
	return c.countSessions(namespace, -1)
}

func (c *changes) sessions(namespace string) (uint64, error) {
	value, err := c.get(sessionsKey(namespace))
	if err != nil || value == nil {
		return 0, err
	}
	n, err := parseInboxFloor(value) // a format and a number, too
	if err != nil {
		err = damaged(fmt.Sprintf("number of sessions of namespace %q", namespace), err)
	}
	return n, err
}

func (c *changes) countSessions(namespace string, change int64) error {
	n, err := c.sessions(namespace)
	if err != nil {
		return err
	}
	if n += uint64(change); n == 0 {
		c.drop(sessionsKey(namespace))
		return nil
	}
	c.put(sessionsKey(namespace), binary.AppendUvarint([]byte{storedFormat}, n))
	return nil
}

func sessionError(code hawser.Code, op string, id hawser.SessionID, format string, args ...any) error {
	return &hawser.Error{Code: code, Op: op, Key: id.String(), Msg: fmt.Sprintf(format, args...)}
}

// apply opens a session. What is checked, in this order: form, generation,
// repeat, deadline, limits.
func (o *OpenSession) apply(c *changes) (Result, error) {
	if !validPart(o.Namespace) || o.Session.IsZero() || len(o.Instance) > maxKeyPart {
		return c.refuse(invalidCommand("open session", "its id, its namespace or its instance is not valid"))
	}
	if g := o.Generation; g != 0 && g != c.state.generation {
		return c.refuse(otherGeneration("open session", o.Session.String(), g, c.state.generation))
	}
	s, err := c.session(o.Namespace, o.Session)
	switch {
	case err != nil:
		return Result{}, err
	case s != nil && s.ended:
		return c.refuse(sessionError(hawser.CodeRequestExpired, "open session", o.Session, "it was closed"))
	case s != nil:
		res := c.result()
		res.Repeated = true
		return res, nil
	case c.state.time >= o.Deadline:
		return c.refuse(sessionError(hawser.CodeRequestExpired, "open session", o.Session, "it came after its deadline"))
	case o.Deadline > c.state.time+maxOpening:
		return c.refuse(sessionError(hawser.CodeInvalid, "open session", o.Session, "its deadline is more than %s ahead", time.Duration(maxOpening)))
	}
	n, err := c.sessions(o.Namespace)
	if err != nil {
		return Result{}, err
	}
	if n >= maxSessions {
		return c.refuse(sessionError(hawser.CodeOverloaded, "open session", o.Session, "%d sessions of the namespace are open; close some", n))
	}
	c.putSession(o.Namespace, o.Session, &sessionRecord{instance: o.Instance, deadline: o.Deadline, touched: c.state.time})
	return c.result(), c.countSessions(o.Namespace, 1)
}

// apply closes a session. Before its deadline it could be opened again by a
// straggler: until then it is known as closed.
func (o *CloseSession) apply(c *changes) (Result, error) {
	if !validPart(o.Namespace) || o.Session.IsZero() {
		return c.refuse(invalidCommand("close session", "its id or its namespace is not valid"))
	}
	if g := o.Generation; g != 0 && g != c.state.generation {
		return c.refuse(otherGeneration("close session", o.Session.String(), g, c.state.generation))
	}
	s, err := c.session(o.Namespace, o.Session)
	if err != nil || s == nil {
		return c.result(), err
	}
	if s.ended = true; s.isOver(c.state.time) {
		return c.result(), c.dropSession(o.Namespace, o.Session)
	}
	c.putSession(o.Namespace, o.Session, s)
	return c.result(), nil
}

func (e *ExpireSessions) apply(c *changes) (Result, error) {
	if len(e.Sessions) > maxExpireSessions {
		return c.refuse(invalidCommand("expire sessions", fmt.Sprintf("more than %d sessions", maxExpireSessions)))
	}
	for _, ref := range e.Sessions {
		if !validPart(ref.Namespace) || ref.Session.IsZero() {
			return c.refuse(invalidCommand("expire sessions", "a session's id or namespace is not valid"))
		}
	}
	res := c.result()
	for _, ref := range e.Sessions {
		s, err := c.session(ref.Namespace, ref.Session)
		if err != nil {
			return Result{}, err
		}
		if s == nil || !s.isOver(c.state.time) {
			continue
		}
		if err := c.dropSession(ref.Namespace, ref.Session); err != nil {
			return Result{}, err
		}
		res.Pruned++
	}
	return res, nil
}
