// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/internal/wire"
)

// script is a stream of the messages in it.
type script struct {
	grpc.ClientStream
	messages []*hawserv1.RestoreResponse
}

func (s *script) Recv() (*hawserv1.RestoreResponse, error) {
	if len(s.messages) == 0 {
		return nil, io.EOF
	}
	m := s.messages[0]
	s.messages = s.messages[1:]
	return m, nil
}

// pack writes messages one after another, each after its length.
func pack(f *testing.F, messages ...*hawserv1.RestoreResponse) []byte {
	f.Helper()
	var b []byte
	for _, m := range messages {
		encoded, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		b = append(binary.AppendUvarint(b, uint64(len(encoded))), encoded...)
	}
	return b
}

func unpack(b []byte) []*hawserv1.RestoreResponse {
	var messages []*hawserv1.RestoreResponse
	for len(b) > 0 {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			break
		}
		m := &hawserv1.RestoreResponse{}
		if proto.Unmarshal(b[n:n+int(size)], m) != nil {
			break
		}
		messages = append(messages, m)
		b = b[n+int(size):]
	}
	return messages
}

// Whatever a node streams, it is read to an end or refused: nothing panics, the
// base is not written to, and no more is kept than what came and what its
// parts announced.
func FuzzIncoming(f *testing.F) {
	base := &held{state: bytes.Repeat([]byte("the state before "), 20)}
	target := append(bytes.Clone(base.state), "and what came"...)
	keyframe := wire.ContentToProto(record.EncodeKeyframe(base.state))
	delta, _ := record.EncodeDelta(base.state, target)
	deltas := []*hawserv1.Payload{wire.ContentToProto(delta)}
	header, version := &hawserv1.Header{}, &hawserv1.Version{Number: 2, Size: uint64(len(target))}
	parted := wire.ContentToProto(record.Content{Kind: record.Keyframe, Encoding: record.Raw, Size: 3, CRC32C: record.Checksum([]byte("abc")), Parts: 1})
	f.Add(pack(f, &hawserv1.RestoreResponse{Header: header, Version: version, Keyframe: keyframe, Deltas: deltas}))
	f.Add(pack(f, &hawserv1.RestoreResponse{Header: header, Version: version, Deltas: deltas}))
	f.Add(pack(f, &hawserv1.RestoreResponse{Header: header, Keyframe: parted}, &hawserv1.RestoreResponse{Part: []byte("abc")}))
	f.Add(pack(f, &hawserv1.RestoreResponse{Keyframe: &hawserv1.Payload{Encoding: 2, Parts: 2000, Size: 1 << 28}}, &hawserv1.RestoreResponse{Part: []byte("a")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := new(incoming)
		before := bytes.Clone(base.state)
		err := in.receive(&script{messages: unpack(b)}, func(int64) {})
		if err != nil || in.damage != nil {
			return
		}
		var kept int
		for _, c := range in.chain {
			kept += cap(c.Data)
		}
		if len(in.chain) > record.MaxChain || in.left != 0 || kept > 2*len(b)+len(in.chain)*firstParts {
			t.Fatalf("%d contents, %d parts missing, %d bytes kept of %d", len(in.chain), in.left, kept, len(b))
		}
		state, err := in.state(base)
		if err == nil && len(state) > 0 {
			state[0] ^= 1 // the caller's own
		}
		if !bytes.Equal(base.state, before) {
			t.Fatal("the base changed")
		}
	})
}
