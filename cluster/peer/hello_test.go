// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"strings"
	"testing"
)

// Claim: every valid hello survives the wire, at the limits too.
func TestHello_RoundTrip(t *testing.T) {
	for _, h := range []hello{
		{kind: kindRaft, identity: Identity{NodeID: "a"}},
		{kind: kindRPC, identity: Identity{ClusterID: [16]byte{15: 1}, NodeID: strings.Repeat("~", MaxNodeID)}},
		{kind: kindLine, identity: Identity{NodeID: "a", BootID: 1<<64 - 1}},
	} {
		if got, err := decodeHello(h.encode()); err != nil || got != h {
			t.Errorf("%+v became %+v, %v", h, got, err)
		}
	}
}

// Claim: a later version may fill the reserved bytes.
func TestHello_IgnoresReservedBytes(t *testing.T) {
	b := goodHello.encode()
	b[11], b[100], b[107] = 1, 2, 3
	if got, err := decodeHello(b); err != nil || got != goodHello {
		t.Errorf("%+v, %v", got, err)
	}
}

// Claim: no input makes the decoder panic or accept an id that is not safe to
// print, and what it accepts encodes to the same meaning.
func FuzzHello(f *testing.F) {
	good := goodHello.encode()
	f.Add(good[:])
	f.Add(good[:50])
	f.Add([]byte(helloMagic))
	long := hello{kind: kindRaft, identity: Identity{NodeID: strings.Repeat("x", MaxNodeID)}}.encode()
	f.Add(long[:])
	f.Fuzz(func(t *testing.T, in []byte) {
		var b [helloSize]byte
		copy(b[:], in)
		h, err := decodeHello(b)
		if err != nil {
			return
		}
		if err := checkNodeID(h.identity.NodeID); err != nil {
			t.Fatal(err)
		}
		if again, err := decodeHello(h.encode()); err != nil || again != h {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
}
