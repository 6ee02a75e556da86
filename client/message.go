// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"
	"slices"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// MessageOption adjusts one [Sender.Send], [Client.Send] or [Emit].
type MessageOption interface{ applyMessage(o *messageOptions) }

type messageOptions struct {
	labels map[string]string
	id     *hawser.MessageID // of Send only
}

type messageOption func(o *messageOptions)

func (f messageOption) applyMessage(o *messageOptions) { f(o) }

// WithMessageID repeats a Send whose outcome was unknown, under the id in its
// *hawser.UnknownMessageError, in whichever process; agent, labels and payload
// must be the same. It is sent once. hawser.ErrRequestExpired means that it is too
// late to tell, hawser.ErrRequestMismatch that it was not sent and will not be. It
// means nothing to [Emit].
func WithMessageID(id hawser.MessageID) MessageOption {
	return messageOption(func(o *messageOptions) { o.id = &id })
}

// emission is a message that a save sends.
type emission struct {
	agent   string
	labels  map[string]string
	payload []byte
}

// Consume has a save take messages out of the agent's inbox, by their numbers:
// they are consumed if and when the version is made. All must be there: one that
// another save has consumed is hawser.ErrMessageGone, one that never was
// hawser.ErrInvalid, and nothing is executed. At most hawser.MaxConsumed; given
// more than once, they add up.
func Consume(numbers ...uint64) SaveOption {
	return saveOption(func(o *saveOptions) { o.consume = append(o.consume, numbers...) })
}

// Emit has a save send a message to an agent of the same namespace, if and when
// the version is made; a repeat of the save does not send it again. The agent must
// have a version or be claimed (hawser.ErrNotFound), and its inbox must have room
// (hawser.ErrOverloaded), or nothing is executed. A save sends hawser.MaxEmitted
// messages at most, of hawser.MaxEmittedBytes together. Payload is not retained
// once the save has returned.
func Emit(agent string, payload []byte, opts ...MessageOption) SaveOption {
	var m messageOptions
	for _, opt := range opts {
		opt.applyMessage(&m)
	}
	return saveOption(func(o *saveOptions) {
		o.emit = append(o.emit, emission{agent: agent, labels: m.labels, payload: payload})
	})
}

// checkMessages refuses what no node would take.
func (o *saveOptions) checkMessages(agent hawser.AgentID) error {
	refuse := func(code hawser.Code, format string, args ...any) error {
		return &hawser.Error{Code: code, Op: "save", Key: agent.String(), Msg: fmt.Sprintf(format, args...)}
	}
	if len(o.consume) > hawser.MaxConsumed || len(o.emit) > hawser.MaxEmitted {
		return refuse(hawser.CodeInvalid, "%d messages consumed and %d sent, the limits are %d and %d", len(o.consume), len(o.emit), hawser.MaxConsumed, hawser.MaxEmitted)
	}
	sorted := slices.Sorted(slices.Values(o.consume))
	for i, n := range sorted {
		if n == 0 || i > 0 && n == sorted[i-1] {
			return refuse(hawser.CodeInvalid, "message %d is consumed, which is none, or twice", n)
		}
	}
	size := 0
	for _, e := range o.emit {
		to, err := hawser.NewAgentID(agent.Namespace, e.agent)
		if err != nil {
			return err
		}
		if err := checkMessage(to, e.labels, e.payload); err != nil {
			return err
		}
		size += len(e.payload) + len(to.Name)
		for key, value := range e.labels {
			size += len(key) + len(value)
		}
	}
	if size > hawser.MaxEmittedBytes {
		return refuse(hawser.CodeTooLarge, "%d bytes of messages are sent, the limit is %d", size, hawser.MaxEmittedBytes)
	}
	return nil
}

// checkMessage refuses what no node would take, without a round trip.
func checkMessage(to hawser.AgentID, labels map[string]string, payload []byte) error {
	refuse := func(code hawser.Code, format string, args ...any) error {
		return &hawser.Error{Code: code, Op: "send", Key: to.String(), Msg: fmt.Sprintf(format, args...)}
	}
	switch {
	case len(payload) > hawser.MaxMessage:
		return refuse(hawser.CodeTooLarge, "the message has %d bytes, the limit is %d", len(payload), hawser.MaxMessage)
	case len(labels) > hawser.MaxLabels:
		return refuse(hawser.CodeInvalid, "%d labels, the limit is %d", len(labels), hawser.MaxLabels)
	}
	for key, value := range labels {
		if key == "" || len(key) > hawser.MaxLabelKey || len(value) > hawser.MaxLabelValue {
			return refuse(hawser.CodeInvalid, "label %.40q needs a key of 1 to %d bytes and a value of at most %d",
				key, hawser.MaxLabelKey, hawser.MaxLabelValue)
		}
	}
	return nil
}

func (o *saveOptions) emissions(namespace string) []*hawserv1.Emission {
	var emissions []*hawserv1.Emission
	for _, e := range o.emit {
		to, _ := hawser.NewAgentID(namespace, e.agent) // checked
		emissions = append(emissions, &hawserv1.Emission{Agent: wire.AgentToProto(to), Labels: e.labels, Payload: e.payload})
	}
	return emissions
}

// WithoutMessages leaves the inbox out of a restore.
func WithoutMessages() RestoreOption {
	return restoreOption(func(o *readOptions) { o.noMessages = true })
}

type restoreOption func(o *readOptions)

func (f restoreOption) applyRestore(o *readOptions) { f(o) }
