// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Role is what a node does in its cluster. Values go over the wire: append only.
type Role uint8

const (
	// RoleNone is a node that is not a member yet.
	RoleNone Role = iota
	// RoleStandby is a node that replicates without a vote.
	RoleStandby
	// RoleVoter is a node that votes.
	RoleVoter
)

// String returns the role in words.
func (r Role) String() string {
	switch r {
	case RoleNone:
		return "none"
	case RoleStandby:
		return "standby"
	case RoleVoter:
		return "voter"
	}
	return fmt.Sprintf("role %d", uint8(r))
}

// Limits of metadata. They keep the encoding below memberlist's 512 bytes
// whatever the values are; a test holds them to it.
const (
	// MaxAddress is the longest address in bytes.
	MaxAddress = 128
	// MaxVersion is the longest version text in bytes.
	MaxVersion = 32
)

// Meta is what a node says about itself.
type Meta struct {
	// PeerAddress, ClientAddress and HTTPAddress are where the node listens
	// (host:port), at most [MaxAddress] bytes each; empty for unknown.
	PeerAddress   string
	ClientAddress string
	HTTPAddress   string
	// ClusterID is the start of the cluster's id; zero for none yet.
	ClusterID [8]byte
	Role      Role
	// Leader says that the node led in Term when it sent this.
	Leader bool
	Term   uint64
	// AppliedIndex is the last log index that the node's machine applied.
	AppliedIndex uint64
	// FreeBytes is the free space of the data directory's disk.
	FreeBytes uint64
	// FeatureLevel is the highest level that the binary knows.
	FeatureLevel uint32
	// BootID is a random number of the process.
	BootID uint64
	// Version is the binary's version, at most [MaxVersion] bytes.
	Version string
}

const (
	metaFormat = 1
	// maxMeta is the size of the longest encoding: format, flags, role, ids,
	// four varints and four texts.
	maxMeta = 3 + 8 + 8 + 3*binary.MaxVarintLen64 + binary.MaxVarintLen32 + 3*(1+MaxAddress) + 1 + MaxVersion

	flagLeader  = 1 << 0
	flagLeaving = 1 << 1
)

// appendMeta encodes m. A text above its limit is left out, so that the
// result is never longer than maxMeta.
func appendMeta(dst []byte, m Meta, leaving bool) []byte {
	var flags byte
	if m.Leader {
		flags |= flagLeader
	}
	if leaving {
		flags |= flagLeaving
	}
	dst = append(dst, metaFormat, flags, byte(m.Role))
	dst = append(dst, m.ClusterID[:]...)
	dst = binary.BigEndian.AppendUint64(dst, m.BootID)
	dst = binary.AppendUvarint(dst, m.Term)
	dst = binary.AppendUvarint(dst, m.AppliedIndex)
	dst = binary.AppendUvarint(dst, m.FreeBytes)
	dst = binary.AppendUvarint(dst, uint64(m.FeatureLevel))
	dst = appendText(dst, m.PeerAddress, MaxAddress)
	dst = appendText(dst, m.ClientAddress, MaxAddress)
	dst = appendText(dst, m.HTTPAddress, MaxAddress)
	return appendText(dst, m.Version, MaxVersion)
}

// appendText appends length and text; limit is below 256.
func appendText(dst []byte, s string, limit int) []byte {
	if len(s) > limit {
		s = ""
	}
	return append(append(dst, byte(len(s))), s...)
}

var (
	errMetaFormat = errors.New("metadata of another format")
	errMetaShort  = errors.New("metadata is cut short")
	errMetaValue  = errors.New("metadata holds an impossible value")
)

// decodeMeta reads what appendMeta wrote, retaining nothing of b. Bytes that
// follow the known fields are left to later versions.
func decodeMeta(b []byte) (m Meta, leaving bool, err error) {
	if len(b) == 0 || b[0] != metaFormat {
		return Meta{}, false, errMetaFormat
	}
	if len(b) < 3+8+8 {
		return Meta{}, false, errMetaShort
	}
	leaving = b[1]&flagLeaving != 0
	m = Meta{Leader: b[1]&flagLeader != 0, Role: Role(b[2]), ClusterID: [8]byte(b[3:11]), BootID: binary.BigEndian.Uint64(b[11:19])}
	r := metaReader{rest: b[19:]}
	m.Term = r.uvarint()
	m.AppliedIndex = r.uvarint()
	m.FreeBytes = r.uvarint()
	level := r.uvarint()
	m.FeatureLevel = uint32(level)
	m.PeerAddress = r.text(MaxAddress)
	m.ClientAddress = r.text(MaxAddress)
	m.HTTPAddress = r.text(MaxAddress)
	m.Version = r.text(MaxVersion)
	if uint64(m.FeatureLevel) != level && r.err == nil {
		r.err = errMetaValue
	}
	if r.err != nil {
		return Meta{}, false, r.err
	}
	return m, leaving, nil
}

// metaReader reads fields until the first error.
type metaReader struct {
	rest []byte
	err  error
}

func (r *metaReader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.rest = nil
}

func (r *metaReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail(errMetaShort)
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// text reads a text of at most limit bytes, all printable ASCII: it ends up
// in logs and on terminals.
func (r *metaReader) text(limit int) string {
	if len(r.rest) == 0 || int(r.rest[0]) >= len(r.rest) {
		r.fail(errMetaShort)
		return ""
	}
	n := int(r.rest[0])
	s := r.rest[1 : 1+n]
	r.rest = r.rest[1+n:]
	if n > limit {
		r.fail(errMetaValue)
	}
	for _, c := range s {
		if c <= ' ' || c > '~' {
			r.fail(errMetaValue)
			return ""
		}
	}
	return string(s)
}
