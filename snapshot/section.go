// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"fmt"
	"hash/crc32"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/record"
)

// section checks that the items of one agent, in order, fit together: all that
// can be said without what other agents have. It keeps the last of each.
type section struct {
	agent    *Agent
	segment  *Segment
	content  *Content // the last
	contents uint64   // of the segment
	parts    uint32   // of the content
	bytes    int64    // of those
	crc      uint32   // of those
	version  *Version // the last
	versions uint64
}

// take checks the next item. Errors match hawser.ErrCorrupt.
func (s *section) take(item Item) error {
	if part, ok := item.(*Part); ok {
		return s.takePart(part)
	}
	if err := s.endContent(); err != nil {
		return err
	}
	switch item := item.(type) {
	case *Agent:
		if s.agent != nil {
			return corruptItem("a second agent, %s, where the items of %s are", item.ID, s.agent.ID)
		}
		s.agent = item
		return nil
	case *Segment:
		return s.takeSegment(item)
	case *Content:
		return s.takeContent(item)
	case *Version:
		return s.takeVersion(item)
	}
	return corruptItem("a %s among the items of an agent", item.itemType())
}

func (s *section) takeSegment(g *Segment) error {
	switch {
	case s.agent == nil || s.versions > 0:
		return corruptItem("segment %d is not between an agent and its versions", g.ID)
	case s.segment != nil && g.ID <= s.segment.ID:
		return corruptItem("segment %d comes after segment %d", g.ID, s.segment.ID)
	}
	if err := s.endSegment(); err != nil {
		return err
	}
	s.segment, s.content, s.contents = g, nil, 0
	return nil
}

func (s *section) takeContent(c *Content) error {
	g := s.segment
	switch {
	case g == nil || s.versions > 0 || c.Segment != g.ID:
		return corruptItem("content %d of segment %d does not follow its segment", c.Position, c.Segment)
	case s.content != nil && c.Position != s.content.Position+1, s.content == nil && c.Position < g.First,
		s.content == nil && c.Position > g.First && !g.Shared:
		return corruptItem("content %d of segment %d is not the next one", c.Position, c.Segment)
	case (c.Kind == record.Keyframe) != (c.Position == g.First && g.Parent == 0):
		return corruptItem("content %d of segment %d is a %s there", c.Position, c.Segment, c.Kind)
	}
	if c.Parts == 0 {
		if err := c.Check(hawser.MaxStateSize); err != nil {
			return fmt.Errorf("content %d of segment %d: %w", c.Position, c.Segment, err)
		}
	}
	s.content, s.parts, s.bytes, s.crc = c, 0, 0, 0
	s.contents++
	return nil
}

func (s *section) takePart(p *Part) error {
	c := s.content
	switch {
	case c == nil || s.versions > 0 || s.parts >= c.Parts || p.Index != s.parts:
		return corruptItem("part %d does not follow its content", p.Index)
	case s.parts+1 < c.Parts && len(p.Data) != record.PartSize:
		return corruptItem("part %d of content %d of segment %d has %d bytes", p.Index, c.Position, c.Segment, len(p.Data))
	}
	s.parts++
	s.bytes += int64(len(p.Data))
	s.crc = crc32.Update(s.crc, castagnoli, p.Data)
	return nil
}

// endContent checks that the parts of the last content are complete.
func (s *section) endContent() error {
	c := s.content
	if c == nil || c.Parts == 0 || s.versions > 0 {
		return nil
	}
	where := fmt.Sprintf("content %d of segment %d", c.Position, c.Segment)
	switch {
	case s.parts != c.Parts:
		return corruptItem("%s has %d of %d parts", where, s.parts, c.Parts)
	case s.crc != c.CRC32C:
		return corruptItem("the parts of %s have checksum %08x, expected %08x", where, s.crc, c.CRC32C)
	case c.Encoding == record.Raw && c.Size != uint64(s.bytes):
		return corruptItem("the parts of %s have %d bytes, but it has %d", where, s.bytes, c.Size)
	case c.Size > hawser.MaxStateSize:
		return &hawser.Error{Code: hawser.CodeTooLarge, Op: "archive item", Msg: where + " is longer than a state can be"}
	}
	return nil
}

func (s *section) endSegment() error {
	if s.segment != nil && s.contents == 0 {
		return corruptItem("segment %d has no content", s.segment.ID)
	}
	return nil
}

func (s *section) takeVersion(v *Version) error {
	switch {
	case s.agent == nil:
		return corruptItem("version %d is of no agent", v.Number)
	case v.Number <= s.agent.Floor || v.Number > s.agent.Live || s.version != nil && v.Number <= s.version.Number:
		return corruptItem("version %d of %s is not the next one", v.Number, s.agent.ID)
	case v.Size > hawser.MaxStateSize:
		return &hawser.Error{Code: hawser.CodeTooLarge, Op: "archive item", Msg: fmt.Sprintf("version %d has %d bytes", v.Number, v.Size)}
	}
	if err := s.endSegment(); err != nil {
		return err
	}
	s.version = v
	s.versions++
	return nil
}

// end checks that nothing is missing.
func (s *section) end() error {
	if err := s.endContent(); err != nil {
		return err
	}
	switch {
	case s.agent == nil:
		return corruptItem("an agent is missing")
	case s.versions != s.agent.Versions:
		return corruptItem("%s has %d of %d versions", s.agent.ID, s.versions, s.agent.Versions)
	case s.version != nil && s.version.Number != s.agent.Live:
		return corruptItem("the head of %s is version %d, but the last one is %d", s.agent.ID, s.agent.Live, s.version.Number)
	}
	return s.endSegment()
}
