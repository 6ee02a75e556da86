// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/cluster/watch"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/wire"
)

// inboxPage and inboxBytes bound the messages of one answer.
const (
	inboxPage  = 100
	inboxBytes = restoreMessage
)

// OpenSession implements hawserv1.MessagesServer.
func (s *Service) OpenSession(ctx context.Context, r *hawserv1.OpenSessionRequest) (*hawserv1.OpenSessionResponse, error) {
	namespace, session, err := sessionOf(r.GetNamespace(), r.GetSession())
	if err != nil {
		return nil, err
	}
	deadline, why := deadlineOf(r.GetDeadline())
	if text := badText(r.GetInstance(), hawser.MaxInstance); text != "" {
		why = "the instance " + text
	}
	if why != "" {
		return nil, &hawser.Error{Code: hawser.CodeInvalid, Op: "open session", Key: session.String(), Msg: why}
	}
	c := &fsm.OpenSession{
		Namespace: namespace, Session: session, Instance: r.GetInstance(), Deadline: deadline, Generation: r.GetGeneration(),
	}
	return messaging(ctx, s, "open session", session.String(), 0, c, func(h *hawserv1.Header, _ fsm.Result) *hawserv1.OpenSessionResponse {
		return &hawserv1.OpenSessionResponse{Header: h}
	}, func(ctx context.Context, leader hawserv1.MessagesClient) (*hawserv1.OpenSessionResponse, error) {
		return leader.OpenSession(ctx, r)
	})
}

// CloseSession implements hawserv1.MessagesServer.
func (s *Service) CloseSession(ctx context.Context, r *hawserv1.CloseSessionRequest) (*hawserv1.CloseSessionResponse, error) {
	namespace, session, err := sessionOf(r.GetNamespace(), r.GetSession())
	if err != nil {
		return nil, err
	}
	c := &fsm.CloseSession{Namespace: namespace, Session: session, Generation: r.GetGeneration()}
	return messaging(ctx, s, "close session", session.String(), 0, c, func(h *hawserv1.Header, _ fsm.Result) *hawserv1.CloseSessionResponse {
		return &hawserv1.CloseSessionResponse{Header: h}
	}, func(ctx context.Context, leader hawserv1.MessagesClient) (*hawserv1.CloseSessionResponse, error) {
		return leader.CloseSession(ctx, r)
	})
}

func sessionOf(namespace string, session []byte) (string, hawser.SessionID, error) {
	namespace, _, err := scopeOf(namespace, "")
	if err != nil {
		return "", hawser.SessionID{}, err
	}
	id, err := wire.SessionFromProto(session)
	return namespace, id, err
}

// Send implements hawserv1.MessagesServer.
func (s *Service) Send(ctx context.Context, r *hawserv1.SendRequest) (*hawserv1.SendResponse, error) {
	agent, err := wire.AgentFromProto(r.GetAgent())
	if err != nil {
		return nil, err
	}
	session, err := wire.SessionFromProto(r.GetSession())
	if err != nil {
		return nil, err
	}
	if r.GetSequence() == 0 {
		return nil, &hawser.Error{Code: hawser.CodeInvalid, Op: "send", Key: agent.String(), Msg: "the message has no sequence, which counts from 1"}
	}
	if err := badMessage("send", agent, r.GetLabels(), r.GetPayload()); err != nil {
		return nil, err
	}
	c := &fsm.SendMessage{
		Agent: agent, ID: hawser.MessageID{Session: session, Sequence: r.GetSequence()},
		Labels: r.GetLabels(), Payload: r.GetPayload(), Generation: r.GetGeneration(),
	}
	return messaging(ctx, s, "send", agent.String(), len(r.GetPayload()), c, func(h *hawserv1.Header, result fsm.Result) *hawserv1.SendResponse {
		return &hawserv1.SendResponse{
			Header: h, Number: result.Message.Number, SentAt: timestamppb.New(result.Message.SentAt), Repeated: result.Repeated,
		}
	}, func(ctx context.Context, leader hawserv1.MessagesClient) (*hawserv1.SendResponse, error) {
		return leader.Send(ctx, r)
	})
}

// badMessage is what is wrong with a message, nil for nothing.
func badMessage(op string, to hawser.AgentID, labels map[string]string, payload []byte) error {
	refuse := func(code hawser.Code, format string, args ...any) error {
		return &hawser.Error{Code: code, Op: op, Key: to.String(), Msg: fmt.Sprintf(format, args...)}
	}
	if len(payload) > hawser.MaxMessage {
		return refuse(hawser.CodeTooLarge, "the message has %d bytes, at most %d are allowed", len(payload), hawser.MaxMessage)
	}
	if why := badLabels(labels); why != "" {
		return refuse(hawser.CodeInvalid, "the message %s", why)
	}
	return nil
}

// moved checks what a save consumes and sends, and takes it over.
func moved(command *fsm.Save, r *hawserv1.SaveRequest) error {
	if n := len(r.GetConsume()); n > hawser.MaxConsumed {
		return invalidSave(command.Agent, "it consumes %d messages, at most %d are allowed", n, hawser.MaxConsumed)
	}
	if n := len(r.GetEmit()); n > hawser.MaxEmitted {
		return invalidSave(command.Agent, "it sends %d messages, at most %d are allowed", n, hawser.MaxEmitted)
	}
	command.Consume = slices.Sorted(slices.Values(r.GetConsume()))
	for i, n := range command.Consume {
		if n == 0 || i > 0 && n == command.Consume[i-1] {
			return invalidSave(command.Agent, "it consumes message %d, which is none, or twice", n)
		}
	}
	size := 0
	for _, e := range r.GetEmit() {
		to, err := wire.AgentFromProto(e.GetAgent())
		if err != nil {
			return err
		}
		if to.Namespace != command.Agent.Namespace {
			return invalidSave(command.Agent, "it sends a message to %q, which is of another namespace", to)
		}
		if err := badMessage("emit", to, e.GetLabels(), e.GetPayload()); err != nil {
			return err
		}
		size += len(e.GetPayload()) + len(to.Name)
		for key, value := range e.GetLabels() {
			size += len(key) + len(value)
		}
		command.Emit = append(command.Emit, fsm.Emission{Agent: to, Labels: e.GetLabels(), Payload: e.GetPayload()})
	}
	if size > hawser.MaxEmittedBytes {
		return &hawser.Error{
			Code: hawser.CodeTooLarge, Op: "save", Key: command.Agent.String(),
			Msg: fmt.Sprintf("it sends %d bytes of messages, at most %d are allowed in one save", size, hawser.MaxEmittedBytes),
		}
	}
	return nil
}

// messaging takes a command about messages to the leader. All of them are
// recognised when they come again.
func messaging[T any](
	ctx context.Context, s *Service, op, key string, size int, c fsm.Command, answer func(*hawserv1.Header, fsm.Result) T,
	remote func(context.Context, hawserv1.MessagesClient) (T, error),
) (T, error) {
	return routeCommand(ctx, s, command[T]{
		op: op, key: key, Command: c, size: size, answer: answer,
		remote: func(ctx context.Context, conn *grpc.ClientConn) (T, error) {
			return remote(ctx, hawserv1.NewMessagesClient(conn))
		},
		settles: func(err error) bool { return errors.Is(err, hawser.ErrRequestMismatch) },
		advice:  "repeat it unchanged",
	})
}

// Inbox implements hawserv1.MessagesServer. The node that is asked serves it.
func (s *Service) Inbox(r *hawserv1.InboxRequest, stream grpc.ServerStreamingServer[hawserv1.InboxResponse]) error {
	ctx := stream.Context()
	agent, b, view, err := s.agentView(ctx, r.GetAgent(), r.GetRead())
	if err != nil {
		return err
	}
	sub, err := b.Hub.Subscribe(watch.Filter{
		Namespace: agent.Namespace, Name: agent.Name, Kinds: []hawser.EventKind{hawser.EventMessageSent},
	}, view.Info().Revision)
	if err != nil {
		closeView(view)
		return err
	}
	defer sub.Close()
	after, begun := r.GetAfter(), false
	news := news{sub: sub, every: lookEvery}
	for {
		info := view.Info()
		resp, more, err := b.inbox(view, agent, after)
		closeView(view)
		if err != nil {
			return err
		}
		if n := len(resp.GetMessages()); n > 0 || !begun {
			if err := stream.Send(resp); err != nil {
				return wire.FromStatus(err)
			}
			if begun = true; n > 0 {
				after = resp.GetMessages()[n-1].GetNumber()
			}
		}
		if more {
			b, view, err = s.look()
		} else {
			b, view, err = s.await(ctx, &news, info)
		}
		if err != nil {
			return err
		}
	}
}

func (b *Backend) inbox(view *fsm.View, agent hawser.AgentID, after uint64) (resp *hawserv1.InboxResponse, more bool, err error) {
	in, err := view.Inbox(agent, after, inboxPage, inboxBytes)
	if err != nil {
		return nil, false, err
	}
	info := view.Info()
	resp = &hawserv1.InboxResponse{Header: b.header(info, info.Revision), Messages: messagesToProto(in.Messages)}
	return resp, in.More, nil
}

func messagesToProto(messages []hawser.Message) []*hawserv1.Message {
	out := make([]*hawserv1.Message, len(messages))
	for i, m := range messages {
		out[i] = wire.MessageToProto(m)
	}
	return out
}

// ListMessages implements hawserv1.MessagesServer.
func (s *Service) ListMessages(ctx context.Context, r *hawserv1.ListMessagesRequest) (*hawserv1.ListMessagesResponse, error) {
	agent, b, view, err := s.agentView(ctx, r.GetAgent(), r.GetRead())
	if err != nil {
		return nil, err
	}
	defer closeView(view)
	info := view.Info()
	list := page{kind: pageMessages, generation: info.Generation, scope: agent.String()}
	last, err := list.parse(r.GetPageToken())
	if err != nil {
		return nil, err
	}
	after, err := numberOf(last)
	if err != nil {
		return nil, err
	}
	in, err := view.Inbox(agent, after, pageLimit(r.GetLimit()), maxPageBytes/2)
	if err != nil {
		return nil, err
	}
	resp := &hawserv1.ListMessagesResponse{
		Header: b.header(info, info.Revision), Messages: messagesToProto(in.Messages), Count: in.Count, Bytes: in.Bytes,
	}
	if in.More {
		resp.NextPageToken = list.token(numberText(in.Messages[len(in.Messages)-1].Number))
	}
	return resp, nil
}
