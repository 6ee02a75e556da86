// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

const (
	// cachedFrames is how many unpacked frames are kept: a path may go through
	// the frames of several agents, back and forth.
	cachedFrames = 4
	// cachedContents bounds the index entries that are kept of sections which
	// several agents need: 32 MiB.
	cachedContents = 1 << 22
)

// cache keeps what one agent after another needs: many agents may be forks of
// one, and each needs that one's section. It is not safe for concurrent use.
type cache struct {
	sections map[int64][]run // by offset; never changed once they are here
	contents int             // in sections
	frames   [cachedFrames]cachedFrame
	oldest   int // in frames
}

// cachedFrame is an unpacked frame.
type cachedFrame struct {
	offset  int64 // 0 for none
	next    int64 // offset of the frame after it
	payload []byte
}

func newCache() *cache { return &cache{sections: map[int64][]run{}} }

// frame returns a frame of an agent, which ends at end or before.
func (c *cache) frame(a *Archive, offset, end int64) (cachedFrame, error) {
	for _, f := range c.frames {
		if f.offset == offset && f.next <= end {
			return f, nil
		}
	}
	payload, next, err := readFrame(a.r, frameAgent, offset, end)
	if err != nil {
		return cachedFrame{}, err
	}
	f := cachedFrame{offset, next, payload}
	c.frames[c.oldest] = f
	c.oldest = (c.oldest + 1) % len(c.frames)
	return f, nil
}

// keep remembers the index of a section. When there is no room it forgets all
// others first.
func (c *cache) keep(offset int64, runs []run) {
	n := contentsIn(runs)
	if n > cachedContents {
		return
	}
	if c.contents+n > cachedContents {
		clear(c.sections)
		c.contents = 0
	}
	c.sections[offset] = runs
	c.contents += n
}
