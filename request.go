// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawser

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// RequestKind is the kind of mutating call that a request id belongs to.
// Kinds are stored and printed: append only.
type RequestKind uint8

const (
	// RequestSave is a save.
	RequestSave RequestKind = iota + 1
	// RequestDelete is a delete of an agent.
	RequestDelete
	// RequestRollback appends a version equal to an older one.
	RequestRollback
	// RequestFork makes an agent from a version of another one.
	RequestFork
	// RequestTxn is the vote that staged what a transaction then committed.
	RequestTxn
	// RequestCutRollback rolls several agents back to a cut: Agent is the name of
	// the cut, Expect the revision at which it was made, and Seen how often agents
	// had been rolled back to it.
	RequestCutRollback
)

// String returns the kind in words.
func (k RequestKind) String() string {
	switch k {
	case RequestSave:
		return "save"
	case RequestDelete:
		return "delete"
	case RequestRollback:
		return "rollback"
	case RequestFork:
		return "fork"
	case RequestTxn:
		return "transaction"
	case RequestCutRollback:
		return "cut rollback"
	}
	return fmt.Sprintf("request kind %d", uint8(k))
}

// MakesVersion reports whether such a call appends a version when it is
// executed; a delete takes a number and makes none.
func (k RequestKind) MakesVersion() bool { return k != RequestDelete }

// Nonce is the random part of a request id.
type Nonce [16]byte

// RequestID identifies one mutating call, however often it is sent. It holds
// all that is needed to repeat the call or to ask for its outcome; its
// printed form holds it all too. Fixed at the first attempt.
type RequestID struct {
	Nonce Nonce
	Kind  RequestKind
	// Agent is what the call changes.
	Agent AgentID
	// Generation that the client knew, 0 when it knew none.
	Generation Generation
	// Seen is the newest number of the agent's chain that the client had seen.
	Seen uint64
	// Expect is the version condition; nil for none.
	Expect *uint64
}

// NewNonce returns 16 random bytes.
func NewNonce() Nonce {
	var n Nonce
	_, _ = rand.Read(n[:]) // documented never to fail
	return n
}

const requestIDFormat = 1

var requestIDEncoding = base64.RawURLEncoding.Strict()

// String returns the printed form, which [ParseRequestID] reads.
func (r RequestID) String() string {
	b := []byte{requestIDFormat, byte(r.Kind)}
	b = append(b, r.Nonce[:]...)
	b = binary.AppendUvarint(b, uint64(r.Generation))
	b = binary.AppendUvarint(b, r.Seen)
	if r.Expect == nil {
		b = append(b, 0)
	} else {
		b = binary.AppendUvarint(append(b, 1), *r.Expect)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Agent.Namespace)))
	b = append(b, r.Agent.Namespace...)
	b = append(b, r.Agent.Name...)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return requestIDEncoding.EncodeToString(b)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ParseRequestID reads the printed form of a request id. Errors match
// [ErrInvalid].
func ParseRequestID(s string) (RequestID, error) {
	bad := func(why string) (RequestID, error) {
		return RequestID{}, &Error{Code: CodeInvalid, Op: "request id", Key: shorten(s), Msg: why + "; copy it whole"}
	}
	b, err := requestIDEncoding.DecodeString(s)
	if err != nil || len(b) < 2+16+4 {
		return bad("is not a printed request id")
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return bad("has a wrong checksum")
	}
	if body[0] != requestIDFormat {
		return bad(fmt.Sprintf("has format %d, this program knows %d", body[0], requestIDFormat))
	}
	r := RequestID{Kind: RequestKind(body[1])}
	if (r.Kind < RequestSave || r.Kind > RequestFork) && r.Kind != RequestCutRollback {
		return bad("is of an unknown kind")
	}
	copy(r.Nonce[:], body[2:])
	rest := body[18:]
	ok := true
	uvarint := func() uint64 {
		v, n := binary.Uvarint(rest)
		if n <= 0 {
			ok, rest = false, nil
			return 0
		}
		rest = rest[n:]
		return v
	}
	r.Generation = Generation(uvarint())
	r.Seen = uvarint()
	switch uvarint() {
	case 0:
	case 1:
		expect := uvarint()
		r.Expect = &expect
	default:
		ok = false
	}
	n := uvarint()
	if !ok || n > uint64(len(rest)) {
		return bad("is cut short")
	}
	r.Agent, err = NewAgentID(string(rest[:n]), string(rest[n:]))
	if err != nil {
		return RequestID{}, fmt.Errorf("request id: %w", err)
	}
	return r, nil
}

func shorten(s string) string {
	if len(s) > 24 {
		return s[:24] + "..."
	}
	return s
}
