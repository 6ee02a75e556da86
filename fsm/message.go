// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/hawserdb/hawser"
)

// SendMessage appends a message to an agent's inbox. Its identity is its place in
// a session: a repeat of the last one changes nothing, one before that is refused
// with hawser.ErrRequestExpired, one that leaves a gap with hawser.ErrInvalid. So
// the messages of a session stand in all inboxes in the order of its sequence.
type SendMessage struct {
	Agent hawser.AgentID
	// ID is in a session of the agent's namespace.
	ID         hawser.MessageID
	Labels     map[string]string
	Payload    []byte
	Generation uint64
}

// Emission is a message that a [Save] sends.
type Emission struct {
	// Agent is one of the saver's namespace.
	Agent   hawser.AgentID
	Labels  map[string]string
	Payload []byte
}

func (*SendMessage) kind() commandKind { return kindSendMessage }

func (s *SendMessage) appendBody(dst []byte) []byte {
	dst = append(appendAgent(dst, s.Agent), s.ID.Session[:]...)
	dst = appendLabels(binary.AppendUvarint(dst, s.ID.Sequence), s.Labels)
	return binary.AppendUvarint(appendBytes(dst, s.Payload), s.Generation)
}

func (s *SendMessage) parseBody(r *reader) {
	s.Agent = r.agent()
	s.ID = hawser.MessageID{Session: r.session(), Sequence: r.uvarint()}
	s.Labels, s.Payload, s.Generation = r.labels(), r.bytes(), r.uvarint()
}

// digest is of what the message is.
func (s *SendMessage) digest() hawser.Hash {
	return sha256.Sum256(appendBytes(appendLabels(appendAgent(nil, s.Agent), s.Labels), s.Payload))
}

func (s *SendMessage) check() error {
	switch {
	case !validAgent(s.Agent):
		return invalidCommand("send", "the agent's name is not valid")
	case s.ID.Session.IsZero() || s.ID.Sequence == 0:
		return invalidCommand("send", "the message has no session or no sequence")
	}
	return checkMessage("send", s.Agent, s.Labels, s.Payload)
}

func checkMessage(op string, to hawser.AgentID, labels map[string]string, payload []byte) error {
	switch {
	case len(labels) > maxMessageLabel:
		return invalidCommand(op, fmt.Sprintf("the message has %d labels, %d are possible", len(labels), maxMessageLabel))
	case len(payload) > maxMessage:
		return &hawser.Error{
			Code: hawser.CodeTooLarge, Op: op, Key: to.String(), Msg: fmt.Sprintf("the message has %d bytes, %d are possible", len(payload), maxMessage),
		}
	}
	return nil
}

// apply sends a message. What is checked, in this order: form, generation, that
// there is the session, repeat, order, that there is the agent, room.
func (s *SendMessage) apply(c *changes) (Result, error) {
	if err := s.check(); err != nil {
		return c.refuse(err)
	}
	if g := s.Generation; g != 0 && g != c.state.generation {
		return c.refuse(otherGeneration("send", s.Agent.String(), g, c.state.generation))
	}
	session, err := c.session(s.Agent.Namespace, s.ID.Session)
	if err != nil {
		return Result{}, err
	}
	digest := s.digest()
	refuse := func(code hawser.Code, format string, args ...any) (Result, error) {
		return c.refuse(sessionError(code, "send", s.ID.Session, format, args...))
	}
	switch {
	case session == nil:
		return refuse(hawser.CodeRequestExpired, "there is no such session, or not any more; nobody can tell whether message %d of it was sent", s.ID.Sequence)
	case s.ID.Sequence == session.sequence && digest == session.digest:
		return c.sentBefore(s, session), nil
	case s.ID.Sequence == session.sequence:
		return refuse(hawser.CodeRequestMismatch, "message %d of it was another one", s.ID.Sequence)
	case s.ID.Sequence < session.sequence:
		return refuse(hawser.CodeRequestExpired, "message %d was sent after message %d, of which nobody can tell any more what it was", session.sequence, s.ID.Sequence)
	case s.ID.Sequence > session.sequence+1:
		return refuse(hawser.CodeInvalid, "message %d would leave a gap after message %d", s.ID.Sequence, session.sequence)
	case session.ended:
		return refuse(hawser.CodeRefused, "it is closed")
	}
	if refusal, err := c.mayDeliver("send", s.Agent, 1, messageSize(s.Labels, s.Payload)); err != nil || refusal != nil {
		return c.refuseOr(refusal, err)
	}
	c.revise()
	m := &messageRecord{id: s.ID, instance: session.instance, labels: s.Labels, payload: s.Payload}
	number, err := c.deliver(s.Agent, m)
	if err != nil {
		return Result{}, err
	}
	session.sequence, session.digest, session.touched = s.ID.Sequence, digest, c.state.time
	session.agent, session.number, session.revision, session.sent = s.Agent.Name, number, c.state.revision, c.state.time
	c.putSession(s.Agent.Namespace, s.ID.Session, session)
	return c.sent(s, session), nil
}

// refuseOr refuses, or stops the replica.
func (c *changes) refuseOr(refusal, err error) (Result, error) {
	if err != nil {
		return Result{}, err
	}
	return c.refuse(refusal)
}

func (c *changes) sent(s *SendMessage, session *sessionRecord) Result {
	res := c.result()
	res.Revision = hawser.Revision(session.revision)
	res.Message = &hawser.Message{
		Agent: s.Agent, Number: session.number, ID: s.ID, Instance: session.instance, SentAt: unix(session.sent), Revision: res.Revision,
	}
	return res
}

func (c *changes) sentBefore(s *SendMessage, session *sessionRecord) Result {
	res := c.sent(s, session)
	res.Repeated = true
	return res
}

// appendMoved appends what a save consumes and sends.
func (s *Save) appendMoved(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s.Consume)))
	for _, n := range s.Consume {
		dst = binary.AppendUvarint(dst, n)
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.Emit)))
	for _, e := range s.Emit {
		dst = appendBytes(appendLabels(appendAgent(dst, e.Agent), e.Labels), e.Payload)
	}
	return dst
}

func (s *Save) parseMoved(r *reader) {
	for range r.count(1) {
		s.Consume = append(s.Consume, r.uvarint())
	}
	for range r.count(4) {
		s.Emit = append(s.Emit, Emission{Agent: r.agent(), Labels: r.labels(), Payload: r.bytes()})
	}
}

// Moved identifies what s consumes and sends: empty for nothing, else 16 bytes.
func (s *Save) Moved() []byte {
	if len(s.Consume) == 0 && len(s.Emit) == 0 {
		return nil
	}
	sum := sha256.Sum256(s.appendMoved(nil))
	return sum[:16]
}

// checkMoved refuses what no node proposes.
func (s *Save) checkMoved() error {
	if len(s.Consume) > maxConsumed || len(s.Emit) > maxEmitted {
		return invalidCommand("save", fmt.Sprintf("it consumes %d messages and sends %d, %d and %d are possible", len(s.Consume), len(s.Emit), maxConsumed, maxEmitted))
	}
	for i, n := range s.Consume {
		if n == 0 || i > 0 && n <= s.Consume[i-1] {
			return invalidCommand("save", "the messages that it consumes are not in ascending order")
		}
	}
	size := 0
	for _, e := range s.Emit {
		if !validAgent(e.Agent) || e.Agent.Namespace != s.Agent.Namespace {
			return invalidCommand("save", "it sends a message to a name that is not valid, or of another namespace")
		}
		if err := checkMessage("save", e.Agent, e.Labels, e.Payload); err != nil {
			return err
		}
		size += int(messageSize(e.Labels, e.Payload)) + len(e.Agent.Name)
	}
	if size > maxEmittedBytes {
		return &hawser.Error{
			Code: hawser.CodeTooLarge, Op: "save", Key: s.Agent.String(), Msg: fmt.Sprintf("it sends %d bytes of messages, %d are possible", size, maxEmittedBytes),
		}
	}
	return nil
}

// mayMove is why a save cannot consume or send what it wants to: that it is
// consumed already, that there is no such agent, that an inbox has no room.
func (c *changes) mayMove(s *Save) (refusal, err error) {
	if refusal, err = c.mayConsume(s.Agent, s.Consume); err != nil || refusal != nil {
		return refusal, err
	}
	for i := range s.Emit {
		e := &s.Emit[i]
		var count, size uint64
		for _, other := range s.Emit[:i+1] {
			if other.Agent == e.Agent {
				count, size = count+1, size+messageSize(other.Labels, other.Payload)
			}
		}
		if e.Agent == s.Agent { // which is there once it is saved
			refusal, err = c.mayKeep(s, count, size)
		} else {
			refusal, err = c.mayDeliver("emit", e.Agent, count, size)
		}
		if err != nil || refusal != nil {
			return refusal, err
		}
	}
	return nil, nil
}

// mayKeep is mayDeliver for what an agent sends to itself.
func (c *changes) mayKeep(s *Save, count, size uint64) (refusal, err error) {
	box, err := c.inbox(s.Agent)
	if err != nil {
		return nil, err
	}
	if box.count+count > maxInbox+uint64(len(s.Consume)) || box.bytes+size > maxInboxBytes {
		return &hawser.Error{Code: hawser.CodeOverloaded, Op: "emit", Key: s.Agent.String(), Msg: "its own inbox is full; consume first"}, nil
	}
	return nil, nil
}

// move consumes and sends what rec, the version that s has made, says.
func (c *changes) move(s *Save, rec *chainRecord) error {
	var token uint64
	if rec.epoch != 0 {
		token = c.token(rec.epoch)
	}
	if err := c.consume(s.Agent, s.Consume, token); err != nil {
		return err
	}
	for _, e := range s.Emit {
		m := &messageRecord{from: s.Agent.Name, version: rec.number, instance: s.Instance, labels: e.Labels, payload: e.Payload}
		if _, err := c.deliver(e.Agent, m); err != nil {
			return err
		}
	}
	return nil
}

// sameMoved reports whether rec consumed and sent what s does.
func (s *Save) sameMoved(rec *chainRecord) bool { return bytes.Equal(rec.moved, s.Moved()) }
