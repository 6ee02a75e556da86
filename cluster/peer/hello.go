// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

// kind is what a connection is for. Values go over the wire: append only.
type kind uint8

const (
	kindRaft kind = 1
	kindRPC  kind = 2
	kindLine kind = 3
)

// String returns the kind in words.
func (k kind) String() string {
	switch k {
	case kindRaft:
		return "raft"
	case kindRPC:
		return "rpc"
	case kindLine:
		return "line"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// helloSize is the length of every hello, of any format: both sides can read
// one whole before they know whether they understand it.
const (
	helloSize   = 108
	helloFormat = 1
	helloMagic  = "HAWSERpp"
)

// hello is what each side says first, inside TLS.
type hello struct {
	kind     kind
	identity Identity
}

// encode returns the wire form. The identity's node id must be valid.
func (h hello) encode() [helloSize]byte {
	var b [helloSize]byte
	copy(b[0:8], helloMagic)
	binary.BigEndian.PutUint16(b[8:10], helloFormat)
	b[10] = byte(h.kind)
	copy(b[12:28], h.identity.ClusterID[:])
	copy(b[28:92], h.identity.NodeID)
	binary.BigEndian.PutUint64(b[92:100], h.identity.BootID)
	return b
}

// decodeHello reads a hello. It ignores the reserved bytes, which later
// versions may fill: they are covered by the proof like all others.
func decodeHello(b [helloSize]byte) (hello, error) {
	if string(b[0:8]) != helloMagic {
		return hello{}, errNotHawser
	}
	if format := binary.BigEndian.Uint16(b[8:10]); format != helloFormat {
		return hello{}, fmt.Errorf("the other side speaks peer format %d, this binary format %d; run versions that understand each other", format, helloFormat)
	}
	h := hello{kind: kind(b[10])}
	if h.kind != kindRaft && h.kind != kindRPC && h.kind != kindLine {
		return hello{}, fmt.Errorf("unknown stream %s", h.kind)
	}
	copy(h.identity.ClusterID[:], b[12:28])
	name := b[28:92]
	end := bytes.IndexByte(name, 0)
	if end < 0 {
		end = len(name)
	}
	if strings.Trim(string(name[end:]), "\x00") != "" {
		return hello{}, fmt.Errorf("node id is not padded with zeros")
	}
	h.identity.NodeID = string(name[:end])
	h.identity.BootID = binary.BigEndian.Uint64(b[92:100])
	if err := checkNodeID(h.identity.NodeID); err != nil {
		return hello{}, err
	}
	return h, nil
}
