// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/internal/wire"
)

// firstParts is the memory that the first part of a content takes in bytes.
const firstParts = 8 * record.PartSize

// maxIncomingEffects is more than any agent can have.
const maxIncomingEffects = 2 * hawser.MaxEffects

// incoming is a version on its way from a node.
type incoming struct {
	header  *hawserv1.Header
	version hawser.Version
	stored  record.Chain
	// messages are of the inbox.
	messages     []hawser.Message
	moreMessages bool
	// chain is a keyframe and the deltas after it, or if based, the deltas
	// after the version that the client named.
	chain []record.Content
	based bool
	// last is the index of the newest content with parts, of which left are
	// still to come.
	last int
	left uint32
	// effects are those that came with it.
	effects []hawser.Effect
	// damage is what was wrong with what arrived; asking again would not help.
	damage error
}

// receive reads the stream to its end, or to where it makes no sense, which it
// leaves in damage. Its error is that of the stream.
func (in *incoming) receive(stream grpc.ServerStreamingClient[hawserv1.RestoreResponse], begun func(size int64)) error {
	for in.damage == nil {
		m, err := stream.Recv()
		switch {
		case err != nil && in.header == nil:
			return endOf(err)
		case errors.Is(err, io.EOF) && in.left > 0:
			in.damaged("%d parts are missing", in.left)
			return nil
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case in.header == nil:
			in.begin(m)
			begun(min(in.version.Size, hawser.MaxStateSize))
		}
		in.add(m)
	}
	return nil
}

func (in *incoming) begin(m *hawserv1.RestoreResponse) {
	in.header, in.version, in.stored = m.GetHeader(), wire.VersionFromProto(m.GetVersion()), wire.ChainFromProto(m.GetChain())
	if in.header == nil {
		in.header = &hawserv1.Header{}
	}
	in.messages, in.moreMessages = convert(m.GetMessages(), wire.MessageFromProto), m.GetMoreMessages()
	if in.based = m.GetKeyframe() == nil; !in.based {
		in.content(record.Keyframe, m.GetKeyframe(), record.MaxParts)
	}
}

func (in *incoming) add(m *hawserv1.RestoreResponse) {
	for _, delta := range m.GetDeltas() {
		in.content(record.Delta, delta, record.MaxDelta/record.PartSize+1)
	}
	if len(m.GetPart()) > 0 {
		in.part(m.GetPart())
	}
	for _, e := range m.GetEffects() {
		if len(in.effects) == maxIncomingEffects {
			in.damaged("more than %d effects", maxIncomingEffects)
			return
		}
		in.effects = append(in.effects, wire.EffectFromProto(e))
	}
}

// content takes note of a payload, of which most parts may follow.
func (in *incoming) content(kind record.Kind, p *hawserv1.Payload, most uint32) {
	switch {
	case in.left > 0:
		in.damaged("a %s begins before the content before it ends", kind)
		return
	case len(in.chain) == record.MaxChain || p.GetParts() > most || p.GetParts() > 0 && len(p.GetData()) > 0:
		in.damaged("a %s of %d parts after %d contents", kind, p.GetParts(), len(in.chain))
		return
	}
	c, err := wire.ContentFromProto(p, kind == record.Delta)
	if err != nil {
		in.damaged("%v", err)
		return
	}
	if c.Parts > 0 {
		in.last, in.left = len(in.chain), c.Parts
		c.Data = nil
	}
	in.chain = append(in.chain, c)
}

// part takes the next part of the newest content that has parts.
func (in *incoming) part(part []byte) {
	if in.left == 0 || len(part) > record.PartSize || in.left > 1 && len(part) < record.PartSize {
		in.damaged("a part of %d bytes where %d parts are expected", len(part), in.left)
		return
	}
	in.left--
	c := &in.chain[in.last]
	if len(c.Data)+len(part) > cap(c.Data) {
		// Twice what has come, never more than what was announced: memory that
		// only an announcement asks for is not taken.
		c.Data = append(make([]byte, 0, min(max(2*len(c.Data), firstParts), int(c.Parts)*record.PartSize)), c.Data...)
	}
	c.Data = append(c.Data, part...)
}

func (in *incoming) damaged(format string, args ...any) {
	if in.damage == nil {
		in.damage = &hawser.Error{Code: hawser.CodeCorrupt, Op: "restore", Msg: fmt.Sprintf(format, args...)}
	}
}

// state puts the chain together, after base if the node sent only what follows
// it. The caller may keep the result.
func (in *incoming) state(base *held) ([]byte, error) {
	if !in.based {
		return record.Materialise(in.chain, hawser.MaxStateSize)
	}
	if base == nil {
		return nil, &hawser.Error{Code: hawser.CodeCorrupt, Op: "restore", Msg: "the node sent no keyframe, and was named no base"}
	}
	if len(in.chain) == 0 {
		return bytes.Clone(base.state), nil
	}
	first := record.Content{
		Kind: record.Keyframe, Encoding: record.Raw, Size: uint64(len(base.state)),
		CRC32C: record.Checksum(base.state), Data: base.state,
	}
	return record.Materialise(append([]record.Content{first}, in.chain...), hawser.MaxStateSize)
}
