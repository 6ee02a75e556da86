// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"cmp"
	"fmt"
	"math"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/internal/wire"
)

// saveCommand checks everything about r that needs neither state nor content
// and returns the command that it makes, whose content says what it is and has
// no data yet, with the id.
func saveCommand(r *hawserv1.SaveRequest) (*fsm.Save, hawser.RequestID, error) {
	var none hawser.RequestID
	agent, err := wire.AgentFromProto(r.GetAgent())
	if err != nil {
		return nil, none, err
	}
	id, err := wire.RequestFromProto(r.GetRequest(), hawser.RequestSave, agent, r.ExpectVersion)
	if err != nil {
		return nil, none, err
	}
	if why := badSave(r); why != "" {
		return nil, none, invalidSave(agent, "%s", why)
	}
	command := &fsm.Save{
		Agent:    agent,
		Request:  requestOf(id, r.GetRequest().GetAttempt()),
		Expect:   id.Expect,
		Instance: r.GetInstance(),
		Fence:    r.GetFence(), Force: r.GetForce(),
		Labels:      r.GetLabels(),
		ContentType: r.GetContentType(),
		Schema:      r.GetSchema(),
		SHA256:      hawser.Hash(r.GetSha256()),
	}
	if command.Effects, err = effectEnds("save", agent, r.GetEffects()); err != nil {
		return nil, none, err
	}
	for _, ref := range r.GetDerivedFrom() {
		from, err := wire.RefFromProto(ref)
		if err != nil {
			return nil, none, fmt.Errorf("derived from: %w", err)
		}
		command.DerivedFrom = append(command.DerivedFrom, from)
	}
	if err := moved(command, r); err != nil {
		return nil, none, err
	}
	return command, id, declare(command, r)
}

// badSave returns what is wrong with the small fields of r, or "".
func badSave(r *hawserv1.SaveRequest) string {
	for _, f := range []struct {
		name, value string
		limit       int
	}{
		{"content type", r.GetContentType(), hawser.MaxContentType},
		{"schema", r.GetSchema(), hawser.MaxSchema},
		{"instance", r.GetInstance(), hawser.MaxInstance},
	} {
		if why := badText(f.value, f.limit); why != "" {
			return f.name + " " + why
		}
	}
	if why := badLabels(r.GetLabels()); why != "" {
		return why
	}
	if n := len(r.GetDerivedFrom()); n > hawser.MaxDerivedFrom {
		return fmt.Sprintf("is derived from %d versions, at most %d are allowed", n, hawser.MaxDerivedFrom)
	}
	if n := len(r.GetSha256()); n != len(hawser.Hash{}) {
		return fmt.Sprintf("needs the SHA-256 of the state, 32 bytes, and has %d", n)
	}
	return ""
}

// badLabels returns what is wrong with labels, or "".
func badLabels(labels map[string]string) string {
	if n := len(labels); n > hawser.MaxLabels {
		return fmt.Sprintf("has %d labels, at most %d are allowed", n, hawser.MaxLabels)
	}
	for key, value := range labels {
		if key == "" {
			return "a label has no key"
		}
		if why := badText(key, hawser.MaxLabelKey); why != "" {
			return "label key " + why
		}
		if why := badText(value, hawser.MaxLabelValue); why != "" {
			return fmt.Sprintf("the value of label %q %s", key, why)
		}
	}
	return ""
}

// declare takes over what r's payload says of itself: whether it is a keyframe
// or a delta, to which base, its encoding and size, and that of the state.
func declare(command *fsm.Save, r *hawserv1.SaveRequest) error {
	payload := r.GetPayload()
	isDelta := payload.GetBase() != nil
	content, err := wire.ContentFromProto(payload, isDelta)
	if err != nil {
		return invalidSave(command.Agent, "%w", err)
	}
	command.Content = record.Content{Kind: content.Kind, Encoding: content.Encoding, Size: content.Size}
	command.Size = r.GetStateSize()
	if !isDelta {
		command.Size = cmp.Or(command.Size, content.Size)
	}
	if size := max(command.Size, content.Size); size > hawser.MaxStateSize {
		return &hawser.Error{
			Code: hawser.CodeTooLarge, Op: "save", Key: command.Agent.String(),
			Msg: fmt.Sprintf("the state has %d bytes, at most %d are allowed", size, hawser.MaxStateSize),
		}
	}
	if !isDelta {
		if command.Size != content.Size {
			return invalidSave(command.Agent, "the state has %d bytes and its keyframe another size, %d", command.Size, content.Size)
		}
		return nil
	}
	number, sha, err := wire.BaseFromProto(payload.GetBase())
	switch {
	case err != nil:
		return invalidSave(command.Agent, "%w", err)
	case content.Encoding != record.Raw:
		return invalidSave(command.Agent, "a delta is never packed itself, and this one says that it is %s", content.Encoding)
	case content.Size > record.MaxDelta:
		return invalidSave(command.Agent, "a delta of %d bytes, at most %d are allowed; save the whole state", content.Size, record.MaxDelta)
	}
	command.Base = &fsm.Base{Number: number, SHA256: sha}
	return nil
}

func requestOf(id hawser.RequestID, attempt uint32) fsm.Request {
	return fsm.Request{Nonce: id.Nonce, Generation: uint64(id.Generation), Seen: id.Seen, Attempt: attempt}
}

// invalidSave makes the error of a save that no node would take. A cause that
// is given with %w gives its text only.
func invalidSave(agent hawser.AgentID, format string, args ...any) error {
	return &hawser.Error{Code: hawser.CodeInvalid, Op: "save", Key: agent.String(), Msg: fmt.Errorf(format, args...).Error()}
}

// badText returns what is wrong with a short text, or "".
func badText(s string, limit int) string {
	if len(s) > limit {
		return fmt.Sprintf("is longer than %d bytes", limit)
	}
	if !utf8.ValidString(s) {
		return "is not UTF-8"
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return "holds a control character"
		}
	}
	return ""
}

// deadlineOf returns a deadline on the cluster's clock, in unix nanoseconds, and
// what is wrong with it, "" for nothing.
func deadlineOf(m *timestamppb.Timestamp) (deadline int64, why string) {
	switch deadline = wire.TimeFromProto(m); {
	case m == nil:
		return 0, "it has no deadline"
	case deadline == 0:
		return 0, "its deadline is not a time between 1970 and 2200"
	}
	return deadline, ""
}

// enum returns a value of the protocol as ours; one that no byte can hold is
// zero, which nothing accepts.
func enum[T ~uint8, P ~int32](value P) T {
	if value < 0 || value > math.MaxUint8 {
		return 0
	}
	return T(value)
}
