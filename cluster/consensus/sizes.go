// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"slices"
	"sync"
)

// sizes knows roughly how many bytes of log lie after an index, so that what
// is kept can be bounded in bytes although raft counts entries. It samples:
// one point for each step bytes. It is safe for concurrent use.
type sizes struct {
	step int64

	mu     sync.Mutex
	points []point // ascending in both fields; the last is the end of the log
}

// point: total bytes appended up to and with entry index.
type point struct {
	index uint64
	total int64
}

// reset starts anew with a log of entries [first, last] of bytes in all. Both
// are 0 for an empty log.
func (s *sizes) reset(first, last uint64, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.points = s.points[:0]
	if last > 0 {
		s.points = append(s.points, point{first - 1, 0}, point{last, bytes})
	}
}

// add counts entries up to index, of bytes in all.
func (s *sizes) add(index uint64, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.points)
	if n == 0 {
		s.points = append(s.points, point{index, bytes})
		return
	}
	next := point{index, s.points[n-1].total + bytes}
	if n >= 2 && next.total-s.points[n-2].total < s.step {
		s.points[n-1] = next
		return
	}
	s.points = append(s.points, next)
}

// removePrefix forgets what lies at or before index.
func (s *sizes) removePrefix(index uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, _ := slices.BinarySearchFunc(s.points, index, func(p point, x uint64) int { return cmpIndex(p.index, x) })
	// Keep one point before, to measure from.
	if i > 1 {
		s.points = slices.Delete(s.points, 0, i-1)
	}
}

// removeSuffix forgets what lies at or after index.
func (s *sizes) removeSuffix(index uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.points) == 0 {
		return
	}
	total := s.totalLocked(index - 1)
	i, _ := slices.BinarySearchFunc(s.points, index, func(p point, x uint64) int { return cmpIndex(p.index, x) })
	s.points = append(s.points[:i], point{index - 1, total})
}

// total returns the bytes counted up to and with entry index.
func (s *sizes) total(index uint64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.totalLocked(index)
}

// totalLocked interpolates between the points around index.
func (s *sizes) totalLocked(index uint64) int64 {
	i, exact := slices.BinarySearchFunc(s.points, index, func(p point, x uint64) int { return cmpIndex(p.index, x) })
	switch {
	case len(s.points) == 0:
		return 0
	case i == len(s.points):
		return s.points[i-1].total
	case exact || i == 0:
		return s.points[i].total
	}
	a, b := s.points[i-1], s.points[i]
	part := float64(index-a.index) / float64(b.index-a.index)
	return a.total + int64(part*float64(b.total-a.total))
}

// from returns the lowest index such that about bytes lie at and after it: 0
// if that is the whole log.
func (s *sizes) from(bytes int64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.points) == 0 {
		return 0
	}
	want := s.points[len(s.points)-1].total - bytes
	if want <= s.points[0].total {
		return 0
	}
	i, _ := slices.BinarySearchFunc(s.points, want, func(p point, x int64) int {
		switch {
		case p.total < x:
			return -1
		case p.total > x:
			return 1
		}
		return 0
	})
	// The point before is at or below want, so at least bytes lie after it.
	return s.points[max(i-1, 0)].index + 1
}

func cmpIndex(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
