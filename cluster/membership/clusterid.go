// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"time"
)

// ClusterID names a cluster: 8 random bytes, then 8 bytes that order the ids
// by when they were minted (unix milliseconds, or more). The zero value is no
// cluster.
type ClusterID [16]byte

// mintClusterID returns a new id above floor.
func mintClusterID(now time.Time, floor ClusterID) (ClusterID, error) {
	order := uint64(max(now.UnixMilli(), 1))
	if f := floor.order(); f >= order {
		if f == math.MaxUint64 {
			return ClusterID{}, errors.New("no cluster id is left above " + floor.String())
		}
		order = f + 1
	}
	var id ClusterID
	_, _ = rand.Read(id[:8]) // never fails
	binary.BigEndian.PutUint64(id[8:], order)
	return id, nil
}

// clusterIDFrom returns the id in b, and whether b is one and not zero.
func clusterIDFrom(b []byte) (ClusterID, bool) {
	if len(b) != len(ClusterID{}) {
		return ClusterID{}, false
	}
	id := ClusterID(b)
	return id, !id.IsZero()
}

func (c ClusterID) order() uint64 { return binary.BigEndian.Uint64(c[8:]) }

// Compare orders ids: first by when they were minted, then by their random
// part. It returns -1, 0 or 1.
func (c ClusterID) Compare(d ClusterID) int {
	if by := cmp.Compare(c.order(), d.order()); by != 0 {
		return by
	}
	return bytes.Compare(c[:8], d[:8])
}

// IsZero reports whether c is no cluster.
func (c ClusterID) IsZero() bool { return c == ClusterID{} }

// String returns 32 hex digits.
func (c ClusterID) String() string { return hex.EncodeToString(c[:]) }

// Short returns the first 8 hex digits, enough for people to tell clusters apart.
func (c ClusterID) Short() string { return hex.EncodeToString(c[:4]) }

// MarshalText implements encoding.TextMarshaler.
func (c ClusterID) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *ClusterID) UnmarshalText(text []byte) error {
	var id ClusterID
	if len(text) != 2*len(id) {
		return fmt.Errorf("cluster id has %d characters, not %d", len(text), 2*len(id))
	}
	if _, err := hex.Decode(id[:], text); err != nil {
		return fmt.Errorf("cluster id: %w", err)
	}
	*c = id
	return nil
}
