// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import "time"

// Summary counts what an archive holds.
type Summary struct {
	// Agents have a live version, Deleted are the agents that have none.
	Agents, Deleted uint64
	// Versions are all versions; BadVersions are those that the cluster had
	// marked as bad.
	Versions, BadVersions uint64
	// ContentBytes are the sizes of all versions together, StoredBytes what the
	// agents take in the file.
	ContentBytes, StoredBytes int64
	// Oldest and Newest are when versions were made, to the millisecond; zero
	// when there is none.
	Oldest, Newest time.Time
	// Segments and Contents are what the versions are stored in.
	Segments, Contents uint64
	Policies, Floors   uint64
	// Transactions are those in flight.
	Transactions, Locks, Leases uint64
}

// numbers gives each count of a summary its tag. Tags are stored: append
// only. A number that is 0 is left out, and tags that a reader does not know
// are skipped, so that later ones can be added.
func (s *Summary) numbers() map[uint64]*uint64 {
	return map[uint64]*uint64{
		1: &s.Agents, 2: &s.Deleted, 3: &s.Versions, 4: &s.BadVersions, 9: &s.Segments, 10: &s.Contents,
		11: &s.Policies, 12: &s.Floors, 13: &s.Transactions, 14: &s.Locks, 15: &s.Leases,
	}
}

// Tags of the numbers that are no counts.
const (
	tagContentBytes = 5
	tagStoredBytes  = 6
	tagOldest       = 7
	tagNewest       = 8
	tagLast         = 15
)

func encodeSummary(s Summary) []byte {
	var dst []byte
	numbers := s.numbers()
	for tag := uint64(1); tag <= tagLast; tag++ {
		var value uint64
		switch tag {
		case tagContentBytes:
			value = uint64(s.ContentBytes)
		case tagStoredBytes:
			value = uint64(s.StoredBytes)
		case tagOldest:
			value = uint64(millis(s.Oldest))
		case tagNewest:
			value = uint64(millis(s.Newest))
		default:
			value = *numbers[tag]
		}
		if value != 0 {
			dst = appendUvarints(dst, tag, value)
		}
	}
	return appendUvarints(dst, 0, 0)
}

// parseSummary reads pairs of tag and value in ascending order of tags, ended
// by two zeros.
func parseSummary(b []byte, offset int64) (Summary, error) {
	var s Summary
	numbers := s.numbers()
	r := &itemReader{b: b}
	for last := uint64(0); ; {
		tag := r.uvarint()
		if tag == 0 {
			break
		}
		r.check(tag > last, "its numbers are not in order")
		last = tag
		switch tag {
		case tagContentBytes:
			s.ContentBytes = r.int63()
		case tagStoredBytes:
			s.StoredBytes = r.int63()
		case tagOldest:
			s.Oldest = r.millis()
		case tagNewest:
			s.Newest = r.millis()
		default:
			value := r.uvarint()
			if field := numbers[tag]; field != nil {
				*field = value
			}
		}
	}
	r.check(r.uvarint() == 0 && len(r.b) == 0, "bytes follow it")
	if r.fault != "" {
		return Summary{}, corruptAt(offset, "the summary: %s", r.fault)
	}
	return s, nil
}

// add counts an agent in.
func (s *Summary) add(e *Entry) {
	if e.Live == 0 {
		s.Deleted++
	} else {
		s.Agents++
	}
	s.Versions += e.Versions
	s.ContentBytes += e.ContentBytes
	s.StoredBytes += e.length
	if e.Versions == 0 {
		return
	}
	if s.Oldest.IsZero() || e.Oldest.Before(s.Oldest) {
		s.Oldest = e.Oldest
	}
	if e.Newest.After(s.Newest) {
		s.Newest = e.Newest
	}
}

// millis returns unix milliseconds, 0 for the zero time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// maxMillis is the last time that fits into 64 bits of nanoseconds.
const maxMillis = 1<<63/1_000_000 - 1

func (r *itemReader) millis() time.Time {
	v := r.int63()
	if v == 0 || v > maxMillis {
		r.check(v == 0, "it holds an absurd time")
		return time.Time{}
	}
	return time.UnixMilli(v).UTC()
}
