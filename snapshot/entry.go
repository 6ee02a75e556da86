// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/hawserdb/hawser"
)

// Entry is an agent in the table of an archive.
type Entry struct {
	ID hawser.AgentID
	// Head is the newest number of the chain, Live that of the head version,
	// 0 for a deleted agent.
	Head, Live uint64
	// Versions counts the versions in the archive.
	Versions uint64
	// ContentBytes are the sizes of the versions together.
	ContentBytes int64
	// Oldest and Newest are when the versions with the lowest and the highest
	// number were made, to the millisecond; zero when there is none.
	Oldest, Newest time.Time
	// Fingerprint is the beginning of the head version's SHA-256.
	Fingerprint [8]byte

	offset, length int64  // of the section
	needs          []span // sections of other agents with contents that this one needs
}

// span is a part of the file.
type span struct{ offset, length int64 }

// StoredBytes is what the agent's section takes in the file. Contents that it
// shares with an agent before it are in that one's.
func (e Entry) StoredBytes() int64 { return e.length }

// Offset is where the agent's section begins in the file.
func (e Entry) Offset() int64 { return e.offset }

const (
	// A block of the table is closed when it has so many bytes, unpacked.
	blockTarget = 48 << 10
	// maxNeeds is the most sections of others that an agent may need: more
	// than contents on the path of a version, because only a fork shares.
	maxNeeds = 1024
	maxKey   = 2*maxName + 1
	// maxBlockKeys is the most bytes of all keys of a block. They are told apart
	// by what they do not share, so that a short block may have long ones.
	maxBlockKeys = 8 << 20
	// maxIndex is the most bytes of the index, unpacked.
	maxIndex = 64 << 20
)

// key orders agents as the items are: by namespace, then name.
func key(id hawser.AgentID) string { return id.Namespace + "\x00" + id.Name }

func splitKey(key string) (hawser.AgentID, bool) {
	namespace, name, found := strings.Cut(key, "\x00")
	return hawser.AgentID{Namespace: namespace, Name: name}, found && len(key) <= maxKey && validName(namespace) && validName(name)
}

// appendEntry appends e; before is the key of the entry before it in the
// block and newest its Newest, in milliseconds.
func appendEntry(dst []byte, e *Entry, before string, newest int64) []byte {
	k := key(e.ID)
	shared := commonPrefix(before, k)
	dst = binary.AppendUvarint(dst, uint64(shared))
	dst = appendString(dst, k[shared:])
	dst = appendUvarints(dst, uint64(e.length), e.Head, e.Head-e.Live, e.Versions)
	if e.Versions > 0 {
		dst = appendUvarints(dst, uint64(e.ContentBytes))
		dst = binary.AppendVarint(dst, millis(e.Newest)-newest)
		dst = binary.AppendVarint(dst, millis(e.Newest)-millis(e.Oldest))
		dst = append(dst, e.Fingerprint[:]...)
	}
	dst = appendUvarints(dst, uint64(len(e.needs)))
	for _, s := range e.needs {
		dst = appendUvarints(dst, uint64(e.offset-s.offset), uint64(s.length))
	}
	return append(dst, 0) // further numbers: none yet
}

// entry reads what appendEntry wrote; offset is where the section begins and
// first where the first section of all does.
func (r *itemReader) entry(before string, newest, offset, first int64) (e Entry, k string) {
	shared := r.below(maxKey)
	suffix := r.string()
	if int(shared) > len(before) {
		r.fail("a name is longer than the one that it continues")
		return e, ""
	}
	k = before[:shared] + suffix
	var ok bool
	e.ID, ok = splitKey(k)
	r.check(ok, "a name is not valid")
	r.check(k > before, "its names are not in order")
	e.offset, e.length = offset, r.int63()
	e.Head = r.uvarint()
	below := r.uvarint()
	r.check(e.Head > 0 && below <= e.Head, "the numbers of an agent are not in order")
	e.Live, e.Versions = e.Head-below, r.uvarint()
	r.check((e.Live == 0) == (e.Versions == 0) && e.Versions <= e.Live, "an agent cannot have so many versions")
	if e.Versions > 0 {
		e.ContentBytes = r.int63()
		at := newest + r.varint()
		e.Newest, e.Oldest = r.between(at), r.between(at-r.varint())
		copy(e.Fingerprint[:], r.take(len(e.Fingerprint)))
	}
	e.needs = r.needs(offset, first)
	for range r.below(maxFurther) {
		r.uvarint() // a tag, and a number that a later version understands
		r.uvarint()
	}
	return e, k
}

const maxFurther = 64

func (r *itemReader) needs(offset, first int64) []span {
	n := r.below(maxNeeds)
	if n == 0 || int(n) > len(r.b)/2 {
		r.check(n == 0, "it is cut short")
		return nil
	}
	spans := make([]span, n)
	end := first
	for i := range spans {
		back, length := r.int63(), r.int63()
		at := offset - back
		r.check(back > 0 && at >= end && length >= minFrame && length <= back, "what an agent needs is not before it")
		spans[i], end = span{at, length}, at+length
	}
	return spans
}

func (r *itemReader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 || n > 1 && r.b[n-1] == 0 {
		r.fail("it holds a malformed number")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// between returns the time at so many unix milliseconds.
func (r *itemReader) between(millis int64) time.Time {
	if millis < 0 || millis > maxMillis {
		r.fail("it holds an absurd time")
		return time.Time{}
	}
	return time.UnixMilli(millis).UTC()
}

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
