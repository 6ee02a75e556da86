// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"hash/crc32"

	"github.com/hawserdb/hawser/internal/frame"
)

// sampled is how much of a large state decides whether packing is worth it.
const sampled = 1 << 20

// Pack packs a whole state and hands it to emit in parts as it goes, each
// PartSize long but the last. It never holds more packed bytes than the sample
// and one part, so it does for states of any size. A part is valid only until emit
// returns. The content that it returns has no Data and no Upload; an empty state
// has no parts. An error is that of emit.
func Pack(state []byte, emit func(part []byte) error) (Content, error) {
	head := EncodeKeyframe(state[:min(len(state), sampled)])
	w := partWriter{emit: emit}
	c := Content{Kind: Keyframe, Encoding: head.Encoding, Size: uint64(len(state))}
	var err error
	switch {
	case c.Encoding == Raw:
		err = w.cut(state)
	case len(state) <= sampled:
		err = w.cut(head.Data)
	default:
		if err = frame.PackTo(&w, state, frame.Fast); err == nil {
			err = w.flush()
		}
	}
	if err != nil {
		return Content{}, err
	}
	c.CRC32C, c.Parts = w.crc, w.parts
	return c, nil
}

// PackEncoding returns the encoding that [Pack] chooses for the state, for
// those who must say it before the first part.
func PackEncoding(state []byte) Encoding {
	return EncodeKeyframe(state[:min(len(state), sampled)]).Encoding
}

// partWriter makes parts of what is written.
type partWriter struct {
	emit  func(part []byte) error
	part  []byte
	parts uint32
	crc   uint32
}

// Write implements io.Writer.
func (w *partWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if w.part == nil {
			w.part = make([]byte, 0, PartSize)
		}
		k := min(PartSize-len(w.part), len(p))
		w.part = append(w.part, p[:k]...)
		p = p[k:]
		if len(w.part) == PartSize {
			if err := w.flush(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// flush hands out what was written since the last part.
func (w *partWriter) flush() error {
	if len(w.part) == 0 {
		return nil
	}
	err := w.one(w.part)
	w.part = w.part[:0]
	return err
}

// cut hands out data that are here as a whole.
func (w *partWriter) cut(data []byte) error {
	for _, part := range PartsOf(data) {
		if err := w.one(part); err != nil {
			return err
		}
	}
	return nil
}

func (w *partWriter) one(part []byte) error {
	w.parts++
	w.crc = crc32.Update(w.crc, castagnoli, part)
	return w.emit(part)
}
