// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"crypto/sha256"
	"sync"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/delta"
	"github.com/hawserdb/hawser/internal/frame"
)

// minPacked is the shortest state that is worth packing: below it the header
// of a frame eats the gain.
const minPacked = 200

// maxWholly is the largest state of which a delta may insert all. Of larger
// ones it may insert three quarters: with more it is as long as the keyframe,
// and making it takes more time and memory.
const maxWholly = 256

// EncodeKeyframe packs a whole state. The result may alias state, which must
// not be changed while it is in use.
func EncodeKeyframe(state []byte) Content {
	c := Content{Kind: Keyframe, Encoding: Raw, Size: uint64(len(state)), Data: state}
	if len(state) > minPacked {
		packed := frame.Pack(make([]byte, 0, len(state)/4+64), state, frame.Fast)
		if len(packed) < len(state) {
			c.Encoding, c.Data = Zstd, packed
		}
	}
	c.CRC32C = Checksum(c.Data)
	return c
}

// EncodeDelta makes the delta from base to target, applies it and compares. It
// returns false, for save a keyframe, if target has little in common with base,
// and instead of a delta that does not give the target back, which would be a
// defect of the codec.
func EncodeDelta(base, target []byte) (Content, bool) {
	maxLiterals := len(target)
	if maxLiterals > maxWholly {
		maxLiterals = maxLiterals / 4 * 3
	}
	d, ok := delta.EncodeWithin(base, target, maxLiterals)
	if !ok {
		return Content{}, false
	}
	if !gives(base, d, target) {
		return Content{}, false
	}
	return Content{Kind: Delta, Encoding: Raw, Size: uint64(len(d)), CRC32C: Checksum(d), Data: d}, true
}

// keepRebuilt is the largest rebuilt state whose memory is kept for the next.
const keepRebuilt = 4 << 20

// rebuilt holds the memory of states that were rebuilt to be compared. New
// memory for each costs as much as making the delta.
var rebuilt = sync.Pool{New: func() any { return &[]byte{} }}

// gives reports whether the delta d makes target of base.
func gives(base, d, target []byte) bool {
	memory := rebuilt.Get().(*[]byte)
	defer rebuilt.Put(memory)
	got, err := delta.ApplyInto(*memory, base, d, int64(len(target)))
	if err == nil && cap(got) <= keepRebuilt {
		*memory = got[:0]
	}
	return err == nil && bytes.Equal(got, target)
}

// Decode checks and unpacks c. It takes no more memory than the declared
// size, which may be at most limit. The result aliases c.Data when that is
// not packed. Errors match hawser.ErrCorrupt and hawser.ErrTooLarge, and
// hawser.ErrInternal while the parts are not loaded.
func (c Content) Decode(limit int64) ([]byte, error) {
	if err := c.Check(limit); err != nil {
		return nil, err
	}
	if c.Encoding == Raw {
		return c.Data, nil
	}
	out := make([]byte, c.Size)
	if err := frame.Unpack(out, c.Data); err != nil {
		return nil, corruptFrame(err)
	}
	return out, nil
}

// Verify unpacks the keyframe c and compares its SHA-256. Errors match
// hawser.ErrCorrupt and hawser.ErrTooLarge.
func Verify(c Content, sha hawser.Hash, limit int64) error {
	if c.Kind != Keyframe {
		return corrupt("a %s cannot be verified without its base", c.Kind)
	}
	state, err := c.Decode(limit)
	if err != nil {
		return err
	}
	if got := hawser.Hash(sha256.Sum256(state)); got != sha {
		return corrupt("SHA-256 is %s, expected %s", got, sha)
	}
	return nil
}
