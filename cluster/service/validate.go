// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/internal/wire"
)

// saveCommand checks everything about r that needs no state and returns the
// command and the id that it makes. It unpacks and hashes the content unless
// another node has done that.
func saveCommand(r *hawserv1.SaveRequest, verified bool) (*fsm.Save, hawser.RequestID, error) {
	var none hawser.RequestID
	agent, err := wire.AgentFromProto(r.GetAgent())
	if err != nil {
		return nil, none, err
	}
	id, err := wire.RequestFromProto(r.GetRequest(), hawser.RequestSave, agent, r.ExpectVersion)
	if err != nil {
		return nil, none, err
	}
	bad := func(format string, args ...any) (*fsm.Save, hawser.RequestID, error) {
		return nil, none, &hawser.Error{Code: hawser.CodeInvalid, Op: "save", Key: agent.String(), Msg: fmt.Sprintf(format, args...)}
	}
	for _, f := range []struct {
		name, value string
		limit       int
	}{
		{"content type", r.GetContentType(), hawser.MaxContentType},
		{"schema", r.GetSchema(), hawser.MaxSchema},
		{"instance", r.GetInstance(), hawser.MaxInstance},
	} {
		if why := badText(f.value, f.limit); why != "" {
			return bad("%s %s", f.name, why)
		}
	}
	if len(r.GetLabels()) > hawser.MaxLabels {
		return bad("has %d labels, at most %d are allowed", len(r.GetLabels()), hawser.MaxLabels)
	}
	for key, value := range r.GetLabels() {
		if key == "" {
			return bad("a label has no key")
		}
		if why := badText(key, hawser.MaxLabelKey); why != "" {
			return bad("label key %s", why)
		}
		if why := badText(value, hawser.MaxLabelValue); why != "" {
			return bad("the value of label %q %s", key, why)
		}
	}
	if len(r.GetSha256()) != len(hawser.Hash{}) {
		return bad("needs the SHA-256 of the state, 32 bytes, and has %d", len(r.GetSha256()))
	}
	content, err := contentFromProto(agent, r.GetPayload())
	if err != nil {
		return nil, none, err
	}
	sum := hawser.Hash(r.GetSha256())
	if !verified {
		if err := record.Verify(content, sum, hawser.MaxStateSize); err != nil {
			return bad("the payload is not what its size, checksum and SHA-256 say: %v", err)
		}
	}
	return &fsm.Save{
		Agent:       agent,
		Request:     requestOf(id, r.GetRequest().GetAttempt()),
		Expect:      id.Expect,
		Instance:    r.GetInstance(),
		Labels:      r.GetLabels(),
		ContentType: r.GetContentType(),
		Schema:      r.GetSchema(),
		SHA256:      sum,
		Content:     content,
	}, id, nil
}

func requestOf(id hawser.RequestID, attempt uint32) fsm.Request {
	return fsm.Request{Nonce: id.Nonce, Generation: uint64(id.Generation), Seen: id.Seen, Attempt: attempt}
}

func contentFromProto(agent hawser.AgentID, p *hawserv1.Payload) (record.Content, error) {
	c := record.Content{Kind: record.Keyframe, Size: p.GetSize(), CRC32C: p.GetCrc32C(), Data: p.GetData()}
	fail := func(code hawser.Code, msg string) (record.Content, error) {
		return c, &hawser.Error{Code: code, Op: "save", Key: agent.String(), Msg: msg}
	}
	switch p.GetEncoding() {
	case hawserv1.Encoding_ENCODING_RAW:
		c.Encoding = record.Raw
	case hawserv1.Encoding_ENCODING_ZSTD:
		c.Encoding = record.Zstd
	case hawserv1.Encoding_ENCODING_UNSPECIFIED:
		return fail(hawser.CodeInvalid, "the payload names no encoding")
	default:
		return fail(hawser.CodeInvalid, fmt.Sprintf("the payload's encoding %d is unknown to this node", p.GetEncoding()))
	}
	if c.Size > hawser.MaxStateSize || len(c.Data) > hawser.MaxStateSize {
		return fail(hawser.CodeTooLarge, fmt.Sprintf("the state has %d bytes, at most %d are allowed", max(c.Size, uint64(len(c.Data))), hawser.MaxStateSize))
	}
	return c, nil
}

func contentToProto(c record.Content) *hawserv1.Payload {
	encoding := hawserv1.Encoding_ENCODING_RAW
	if c.Encoding == record.Zstd {
		encoding = hawserv1.Encoding_ENCODING_ZSTD
	}
	return &hawserv1.Payload{Encoding: encoding, Data: c.Data, Crc32C: c.CRC32C, Size: c.Size}
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
