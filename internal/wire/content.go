// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/record"
)

// ContentToProto returns c as a message, with its data if they are inline and
// without a base.
func ContentToProto(c record.Content) *hawserv1.Payload {
	p := &hawserv1.Payload{Encoding: hawserv1.Encoding(c.Encoding), Crc32C: c.CRC32C, Size: c.Size, Parts: c.Parts}
	if c.Parts == 0 {
		p.Data = c.Data
	}
	return p
}

// ContentFromProto returns the content in m, which is a delta if delta says so;
// it aliases m. It checks nothing but the encoding: errors match
// hawser.ErrInvalid.
func ContentFromProto(m *hawserv1.Payload, delta bool) (record.Content, error) {
	c := record.Content{Kind: record.Keyframe, Size: m.GetSize(), CRC32C: m.GetCrc32C(), Parts: m.GetParts(), Data: m.GetData()}
	if delta {
		c.Kind = record.Delta
	}
	switch m.GetEncoding() {
	case hawserv1.Encoding_ENCODING_RAW:
		c.Encoding = record.Raw
	case hawserv1.Encoding_ENCODING_ZSTD:
		c.Encoding = record.Zstd
	case hawserv1.Encoding_ENCODING_UNSPECIFIED:
		return c, badPayload("the payload names no encoding")
	default:
		return c, badPayload(fmt.Sprintf("the payload's encoding %d is unknown", m.GetEncoding()))
	}
	return c, nil
}

// BaseToProto returns the message for the version that a delta starts from.
func BaseToProto(number uint64, sha hawser.Hash) *hawserv1.Base {
	return &hawserv1.Base{Number: number, Sha256: sha[:]}
}

// BaseFromProto returns number and hash of the version that a delta starts
// from. Errors match hawser.ErrInvalid.
func BaseFromProto(m *hawserv1.Base) (number uint64, sha hawser.Hash, err error) {
	if m.GetNumber() == 0 || len(m.GetSha256()) != len(sha) {
		return 0, sha, badPayload("the base needs a number from 1 and a SHA-256 of 32 bytes")
	}
	return m.GetNumber(), hawser.Hash(m.GetSha256()), nil
}

func badPayload(msg string) error {
	return &hawser.Error{Code: hawser.CodeInvalid, Op: "content", Msg: msg}
}

// ChainToProto returns c as a message, nil for the zero Chain.
func ChainToProto(c record.Chain) *hawserv1.Chain {
	if c == (record.Chain{}) {
		return nil
	}
	return &hawserv1.Chain{KeyframeBytes: uint64(c.Keyframe), Deltas: uint32(c.Deltas), DeltaBytes: uint64(c.DeltaBytes)}
}

// ChainFromProto returns the chain in a node's answer; nil gives the zero
// Chain, after which a keyframe is needed.
func ChainFromProto(m *hawserv1.Chain) record.Chain {
	return record.Chain{Keyframe: int64(m.GetKeyframeBytes()), Deltas: int(m.GetDeltas()), DeltaBytes: int64(m.GetDeltaBytes())}
}
