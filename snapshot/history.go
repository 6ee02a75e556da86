// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"sort"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/record"
)

// History is one agent of an archive with an index of the contents that its
// versions need. It is not safe for concurrent use.
type History struct {
	archive *Archive
	entry   Entry
	agent   *Agent // nil if it is damaged
	runs    []run  // by segment, then position

	segments, own uint64 // segments and contents in the section itself

	versions place // of the first version, 0 if there is none
	damage   error // the first; nil if all of it could be read
	state    rebuilt
	cache    *cache
}

// run is some consecutive contents of a segment, in one section.
type run struct {
	segment, parent uint64
	parentPosition  uint32
	first           uint32 // of the segment
	from            uint32 // position of the first one here
	end             int64  // of the section
	contents        []place
}

const (
	// maxContents bounds the index of a section, and of all those that an agent
	// needs beside its own: 256 MiB each. A segment counts as many contents.
	maxContents    = 1 << 25
	segmentWeight  = 8
	tooManyInIndex = "more than %d contents, of which a segment counts as %d,"
)

// History reads the agent's section and those that it shares contents with. A
// damaged section is an error that matches hawser.ErrCorrupt; what can still be
// read of it is in the history then. With any other error it is nil.
func (a *Archive) History(e Entry) (*History, error) {
	var first error
	h, err := a.history(e, newCache(), func(_ int64, err error) {
		if first == nil {
			first = err
		}
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("agent %q: %w", e.ID.String(), err)
	case first != nil:
		h.damage = fmt.Errorf("agent %q: %w", e.ID.String(), first)
		return h, h.damage
	}
	return h, nil
}

// history is History, but goes on behind damage as far as it can. damaged is
// called with each fault and the offset of its frame, but not again for a
// section that is in the cache. The error that it returns is one of the reader
// below.
func (a *Archive) history(e Entry, c *cache, damaged func(offset int64, err error)) (*History, error) {
	h := &History{archive: a, entry: e, cache: c}
	total := 0
	for _, s := range e.needs {
		runs, cached := c.sections[s.offset]
		if !cached {
			var err error
			if runs, err = h.index(s, false, damaged); err != nil {
				return h, err
			}
			c.keep(s.offset, runs)
		}
		h.runs = append(h.runs, runs...)
		if total += contentsIn(runs); total > maxContents {
			damaged(e.offset, corruptAt(e.offset, "the agent needs "+tooManyInIndex+" of others", maxContents, segmentWeight))
			break
		}
	}
	runs, err := h.index(span{e.offset, e.length}, true, damaged)
	if err != nil {
		return h, err
	}
	h.runs = append(h.runs, runs...)
	slices.SortStableFunc(h.runs, func(a, b run) int {
		return cmp.Or(cmp.Compare(a.segment, b.segment), cmp.Compare(a.from, b.from))
	})
	return h, nil
}

// index returns where the contents of a section are. Whether the items fit
// together is checked, too; of an own section also that none is missing.
func (h *History) index(s span, own bool, damaged func(int64, error)) ([]run, error) {
	scan := h.archive.scan(frameAgent, s.offset, s.offset+s.length)
	found := runs{end: s.offset + s.length}
	var check section
	for broken := false; ; {
		item, p, err := scan.parsed()
		switch {
		case errors.Is(err, io.EOF):
			if err := check.end(); own && !broken && err != nil {
				damaged(s.offset, inFrame(placeOf(s.offset, 0), err))
			}
			return found.list, nil
		case err != nil && hawser.CodeOf(err) == hawser.CodeInternal:
			return nil, err
		case err != nil:
			broken = true
			damaged(p.frame(), err)
			continue
		}
		if !broken {
			if err := check.take(item); err != nil {
				broken = true
				damaged(p.frame(), inFrame(p, err))
			}
		}
		if own {
			h.note(item, p)
		}
		if err := found.note(item, p); err != nil {
			damaged(p.frame(), inFrame(p, err))
			return found.list, nil
		}
	}
}

// note counts an item of the agent's own section.
func (h *History) note(item Item, p place) {
	switch item := item.(type) {
	case *Agent:
		if h.agent == nil {
			h.agent = item
		}
	case *Segment:
		h.segments++
	case *Content:
		h.own++
	case *Version:
		if h.versions == 0 {
			h.versions = p
		}
	}
}

// runs gathers those of one section.
type runs struct {
	end   int64 // of the section
	list  []run
	count int
}

func (r *runs) note(item Item, p place) error {
	switch item := item.(type) {
	case *Segment:
		r.count += segmentWeight
		if n := len(r.list); n > 0 && len(r.list[n-1].contents) == 0 {
			r.list = r.list[:n-1] // its contents are damaged: nothing is found in it
		}
		r.list = append(r.list, run{
			segment: item.ID, parent: item.Parent, parentPosition: item.ParentPosition, first: item.First, end: r.end,
		})
	case *Content:
		r.count++
		r.content(item, p)
	}
	if r.count > maxContents {
		return corruptItem(tooManyInIndex+" are in one section", maxContents, segmentWeight)
	}
	return nil
}

// content adds a content to the run that came last, or to one after it if
// damage lies between.
func (r *runs) content(c *Content, p place) {
	if len(r.list) == 0 || r.list[len(r.list)-1].segment != c.Segment {
		return // its segment is damaged: nobody can say what it follows
	}
	last := &r.list[len(r.list)-1]
	switch {
	case len(last.contents) == 0:
		last.from = c.Position
	case uint64(c.Position) != uint64(last.from)+uint64(len(last.contents)):
		next := *last
		next.from, next.contents = c.Position, nil
		r.count += segmentWeight
		r.list = append(r.list, next)
		last = &r.list[len(r.list)-1]
	}
	last.contents = append(last.contents, p)
}

// contentsIn counts what an index takes memory for.
func contentsIn(runs []run) int {
	n := len(runs) * segmentWeight
	for i := range runs {
		n += len(runs[i].contents)
	}
	return n
}

// find returns the run that has a content.
func (h *History) find(segment uint64, position uint32) (*run, bool) {
	i := sort.Search(len(h.runs), func(i int) bool {
		r := &h.runs[i]
		return r.segment > segment || r.segment == segment && r.from > position
	})
	if i == 0 {
		return nil, false
	}
	r := &h.runs[i-1]
	return r, r.segment == segment && int(position-r.from) < len(r.contents)
}

// step is a content on the path of a version.
type step struct {
	segment  uint64
	position uint32
	place    place
	end      int64
}

// path returns the contents from a keyframe to the given one. It goes back at
// most record.MaxChain times, wherever the numbers in the file point to.
func (h *History) path(segment uint64, position uint32) ([]step, error) {
	var path []step
	for len(path) < record.MaxChain {
		r, ok := h.find(segment, position)
		if !ok {
			return nil, corruptItem("content %d of segment %d is missing", position, segment)
		}
		path = append(path, step{segment, position, r.contents[position-r.from], r.end})
		switch {
		case position > r.first:
			position--
		case r.parent == 0:
			slices.Reverse(path)
			return path, nil
		default:
			segment, position = r.parent, r.parentPosition
		}
	}
	return nil, corruptItem("content %d of segment %d is not within %d of a keyframe", position, segment, record.MaxChain)
}

// Agent returns the agent's item, the zero value if that is damaged.
func (h *History) Agent() Agent {
	if h.agent == nil {
		return Agent{}
	}
	return *h.agent
}

// Versions returns the versions in the archive, oldest first. The sequence ends
// with its first error.
func (h *History) Versions() iter.Seq2[*Version, error] {
	return func(yield func(*Version, error) bool) {
		if h.versions == 0 {
			return
		}
		s := h.archive.scan(frameAgent, h.versions.frame(), h.entry.offset+h.entry.length)
		for {
			item, p, err := s.parsed()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			v, ok := item.(*Version)
			if !ok || p < h.versions {
				continue
			}
			if !yield(v, nil) {
				return
			}
		}
	}
}

// Version returns a version, the head for 0. One that is not there is
// hawser.ErrNotFound, or hawser.ErrCorrupt if it may have been where the
// archive is damaged; a deleted agent has none.
func (h *History) Version(number uint64) (*Version, error) {
	if number == 0 {
		number = h.entry.Live
	}
	for v, err := range h.Versions() {
		if err != nil {
			return nil, err
		}
		if v.Number == number {
			return v, nil
		}
	}
	if h.damage != nil {
		return nil, fmt.Errorf("version %d is not in what is left: %w", number, h.damage)
	}
	return nil, &hawser.Error{
		Code: hawser.CodeNotFound, Op: "version", Key: hawser.VersionRef{Agent: h.entry.ID, Number: number}.String(), Msg: "it is not in this archive",
	}
}
