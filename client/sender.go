// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// Sender sends messages, one after the other: they stand in the inboxes of all
// agents in the order in which they were sent. Safe for concurrent use; calls take
// turns. Make one with [Client.Sender].
//
// It opens a session with its first message, in which messages are numbered, so
// that the cluster tells a repeat from another message. A session that is not used
// for a day is forgotten, and the next message opens another. [Sender.Close] ends
// one that is not needed any more.
type Sender struct {
	client *Client
	// turn holds one token while a call is under way; what follows is its.
	turn chan struct{}

	session    hawser.SessionID // zero before it was opened
	generation uint64
	// sequence is that of the last message that was sent.
	sequence uint64
	// open is what a message was of which it is unknown whether it was sent as the
	// next one; zero for none.
	open hawser.Hash
}

// Sender returns a new sender. Nothing is sent.
func (c *Client) Sender() *Sender { return &Sender{client: c, turn: make(chan struct{}, 1)} }

const (
	// openingTime is how long the opening of a session may be repeated.
	openingTime = 30 * time.Second
	// maxOpenings bounds how often one Send opens another session.
	maxOpenings = 3
)

// Send appends a message to an agent's inbox, and returns what it became, without
// labels and payload, which is not retained. It is there, on a majority of disks,
// when Send returns.
//
// Errors: hawser.ErrNotFound for an agent that has no version and is not claimed,
// hawser.ErrOverloaded when its inbox stays full, hawser.ErrTooLarge above
// hawser.MaxMessage, *hawser.UnknownMessageError when it may or may not have been
// sent. After that one, the same message given to Send again is sent once in all;
// another message takes its place, if it was not sent, and follows it, if it was.
func (s *Sender) Send(ctx context.Context, agent string, payload []byte, opts ...MessageOption) (hawser.Message, error) {
	var o messageOptions
	for _, opt := range opts {
		opt.applyMessage(&o)
	}
	to, err := hawser.NewAgentID(s.client.cfg.Namespace, agent)
	if err == nil {
		err = checkMessage(to, o.labels, payload)
	}
	if err != nil {
		return hawser.Message{}, err
	}
	m := &outgoingMessage{to: to, labels: o.labels, payload: payload}
	ctx, cancel := s.client.budget(ctx, len(payload))
	defer cancel()
	if o.id != nil {
		return s.client.sendMessage(ctx, m, *o.id, s.client.generation.Load(), true)
	}
	if err := s.take(ctx, to.String()); err != nil {
		return hawser.Message{}, err
	}
	defer func() { <-s.turn }()
	return s.send(ctx, m)
}

func (s *Sender) take(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return notStarted("send", key, err)
	}
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return notStarted("send", key, ctx.Err())
	}
}

// outgoingMessage is a message on its way.
type outgoingMessage struct {
	to      hawser.AgentID
	labels  map[string]string
	payload []byte
}

// digest tells whether two messages are the same to the cluster.
func (m *outgoingMessage) digest() hawser.Hash {
	b, _ := proto.MarshalOptions{Deterministic: true}.Marshal(&hawserv1.SendRequest{
		Agent: wire.AgentToProto(m.to), Labels: m.labels, Payload: m.payload,
	}) // fails for text that is not UTF-8, which is refused anyway
	return sha256.Sum256(b)
}

// send sends m as the next message of the session. The caller has the turn.
func (s *Sender) send(ctx context.Context, m *outgoingMessage) (hawser.Message, error) {
	digest := m.digest()
	for openings := 0; ; {
		if s.session.IsZero() {
			openings++
			if err := s.openSession(ctx); err != nil {
				return hawser.Message{}, err
			}
		}
		repeat := s.open == digest
		id := hawser.MessageID{Session: s.session, Sequence: s.sequence + 1}
		sent, err := s.client.sendMessage(ctx, m, id, s.generation, repeat)
		switch {
		case err == nil:
			s.sequence, s.open = id.Sequence, hawser.Hash{}
			return sent, nil
		case errors.Is(err, hawser.ErrRequestMismatch) && s.open != hawser.Hash{}:
			s.sequence, s.open = id.Sequence, hawser.Hash{} // the one of which it was unknown was sent
			continue
		case errors.Is(err, hawser.ErrRequestExpired) || errors.Is(err, hawser.ErrWrongGeneration):
			// The session is over. What was certainly not sent goes in another one.
			s.session, s.sequence, s.open = hawser.SessionID{}, 0, hawser.Hash{}
			if !repeat && openings < maxOpenings && !errors.Is(err, hawser.ErrOutcomeUnknown) {
				continue
			}
		case errors.Is(err, hawser.ErrOutcomeUnknown):
			s.open = digest
		}
		return hawser.Message{}, err
	}
}

// openSession opens a session. The caller has the turn.
func (s *Sender) openSession(ctx context.Context) error {
	c := s.client
	for openings := 0; ; openings++ {
		if openings > 0 || c.clock.now().IsZero() {
			if err := c.askTime(ctx); err != nil {
				return err
			}
		}
		session, generation := hawser.NewSessionID(), c.generation.Load()
		req := &hawserv1.OpenSessionRequest{
			Namespace: c.cfg.Namespace, Session: session[:], Instance: c.cfg.Instance,
			Deadline: timestamppb.New(c.clock.now().Add(openingTime)), Generation: generation,
		}
		err := c.do(ctx, &call{
			op: "open session", key: session.String(), write: true, harmless: true, leader: true,
			send: func(ctx context.Context, at sending) (*hawserv1.Header, error) {
				resp, err := hawserv1.NewMessagesClient(at.conn).OpenSession(ctx, req, at.options...)
				return resp.GetHeader(), err
			},
		})
		switch {
		case err == nil:
			s.session, s.generation, s.sequence, s.open = session, generation, 0, hawser.Hash{}
			return nil
		case openings < maxOpenings && (errors.Is(err, hawser.ErrRequestExpired) || errors.Is(err, hawser.ErrWrongGeneration)):
			continue // its idea of the clock or of the generation was old
		case errors.Is(err, hawser.ErrOutcomeUnknown): // of the session; nothing was sent
			return &hawser.Error{Code: hawser.CodeUnavailable, Op: "send", Key: session.String(), Msg: "nothing was sent: no session could be opened", Err: errors.New(err.Error())}
		}
		return err
	}
}

// sendMessage sends a message under its id.
func (c *Client) sendMessage(
	ctx context.Context, m *outgoingMessage, id hawser.MessageID, generation uint64, repeat bool,
) (hawser.Message, error) {
	req := &hawserv1.SendRequest{
		Agent: wire.AgentToProto(m.to), Session: id.Session[:], Sequence: id.Sequence, Labels: m.labels, Payload: m.payload, Generation: generation,
	}
	var resp *hawserv1.SendResponse
	err := c.do(ctx, &call{
		op: "send", key: m.to.String(), write: true, harmless: true, repeat: repeat, leader: true, bytes: len(m.payload),
		settles: func(err error) bool { return errors.Is(err, hawser.ErrRequestMismatch) },
		send: func(ctx context.Context, at sending) (*hawserv1.Header, error) {
			var err error
			resp, err = hawserv1.NewMessagesClient(at.conn).Send(ctx, req, at.options...)
			return resp.GetHeader(), err
		},
	})
	if errors.Is(err, hawser.ErrOutcomeUnknown) {
		err = &hawser.UnknownMessageError{Agent: m.to, ID: id, Err: err}
	}
	if err != nil {
		return hawser.Message{}, err
	}
	return hawser.Message{
		Agent: m.to, Number: resp.GetNumber(), ID: id, Instance: c.cfg.Instance,
		SentAt: resp.GetSentAt().AsTime(), Revision: hawser.Revision(resp.GetHeader().GetRevision()),
	}, nil
}

// Close ends the session, if one is open. A Send after it opens another.
func (s *Sender) Close(ctx context.Context) error {
	ctx, cancel := s.client.budget(ctx, 0)
	defer cancel()
	if err := s.take(ctx, "session"); err != nil {
		return err
	}
	defer func() { <-s.turn }()
	if s.session.IsZero() {
		return nil
	}
	req := &hawserv1.CloseSessionRequest{Namespace: s.client.cfg.Namespace, Session: s.session[:], Generation: s.generation}
	err := s.client.do(ctx, &call{
		op: "close session", key: s.session.String(), write: true, harmless: true, leader: true,
		send: func(ctx context.Context, at sending) (*hawserv1.Header, error) {
			resp, err := hawserv1.NewMessagesClient(at.conn).CloseSession(ctx, req, at.options...)
			return resp.GetHeader(), err
		},
	})
	if err == nil || errors.Is(err, hawser.ErrWrongGeneration) {
		s.session, s.sequence, s.open = hawser.SessionID{}, 0, hawser.Hash{}
		return nil
	}
	return err
}

// maxSenders is how many messages [Client.Send] sends at a time.
const maxSenders = 8

// senders lends senders to calls, the one that was used last first.
type senders struct {
	client *Client
	// lent holds a token for each that is lent.
	lent chan struct{}

	mu   sync.Mutex
	idle []*Sender // guarded by mu
}

func newSenders(c *Client) *senders {
	return &senders{client: c, lent: make(chan struct{}, maxSenders)}
}

func (s *senders) take() *Sender {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) == 0 {
		return s.client.Sender()
	}
	last := len(s.idle) - 1
	sender := s.idle[last]
	s.idle = slices.Delete(s.idle, last, last+1)
	return sender
}

func (s *senders) give(sender *Sender) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = append(s.idle, sender)
}

// Send sends one message, as [Sender.Send] does. Calls at the same time go side by
// side, 8 of them; only what was sent by one Sender keeps its order whatever
// happens. The client's sessions are forgotten a day after they were used last.
func (c *Client) Send(ctx context.Context, agent string, payload []byte, opts ...MessageOption) (hawser.Message, error) {
	select {
	case c.senders.lent <- struct{}{}:
	case <-ctx.Done():
		return hawser.Message{}, notStarted("send", agent, ctx.Err())
	}
	defer func() { <-c.senders.lent }()
	sender := c.senders.take()
	defer c.senders.give(sender)
	return sender.Send(ctx, agent, payload, opts...)
}
