// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"github.com/hawserdb/hawser"
)

// digestStep is how many keys are hashed between two looks at the context.
const digestStep = 1000

// Digest returns a hash over the whole state but its place in the raft log
// (index, term and configuration). Replicas that applied the same commands
// have the same. It reads everything.
func (m *Machine) Digest(ctx context.Context) (hawser.Hash, error) {
	v, err := m.View()
	if err != nil {
		return hawser.Hash{}, err
	}
	sum, err := v.Digest(ctx)
	return sum, errors.Join(err, v.Close())
}

// Digest is [Machine.Digest] of the view's moment.
func (v *View) Digest(ctx context.Context) (hawser.Hash, error) {
	applied, configuration, _ := metaKeys()
	it, err := v.snap.Iter([]byte{0}, []byte{0xff})
	if err != nil {
		return hawser.Hash{}, err
	}
	h := sha256.New()
	var length [8]byte
	for n := 0; it.Next(); n++ {
		if n%digestStep == 0 && ctx.Err() != nil {
			return hawser.Hash{}, errors.Join(context.Cause(ctx), it.Close())
		}
		key := it.Key()
		if string(key) == string(applied) || string(key) == string(configuration) {
			continue
		}
		for _, part := range [...][]byte{key, it.Value()} {
			binary.BigEndian.PutUint64(length[:], uint64(len(part)))
			h.Write(length[:])
			h.Write(part)
		}
	}
	return hawser.Hash(h.Sum(nil)), it.Close()
}
