// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package scrub

import (
	"sync"
	"time"

	"github.com/hawserdb/hawser"
)

const (
	// maxSuspects bounds the versions that are looked into; the pass over
	// everything finds those that are left out.
	maxSuspects = 1000
	// againAfter is the time until a version that could not be decided on is
	// looked into again, at first; it doubles up to againAtMost.
	againAfter  = 2 * time.Second
	againAtMost = time.Minute
)

// suspects are versions that do not verify here, or not at another node. The
// zero value is empty.
type suspects struct {
	mu   sync.Mutex
	list []suspect
}

type suspect struct {
	version hawser.VersionRef
	due     time.Time
	again   time.Duration
	// repairs counts the repairs after which it still did not verify.
	repairs int
}

// add adds a version, unless it is there or there are too many. It reports
// whether it did.
func (s *suspects) add(version hawser.VersionRef, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, have := range s.list {
		if have.version == version {
			return false
		}
	}
	if len(s.list) >= maxSuspects {
		return false
	}
	s.list = append(s.list, suspect{version: version, due: now, again: againAfter})
	return true
}

// next returns the version that has been due for longest, which is due again
// later unless it is settled before.
func (s *suspects) next(now time.Time) (hawser.VersionRef, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var first *suspect
	for i := range s.list {
		if have := &s.list[i]; !have.due.After(now) && (first == nil || have.due.Before(first.due)) {
			first = have
		}
	}
	if first == nil {
		return hawser.VersionRef{}, false
	}
	first.due = now.Add(first.again)
	first.again = min(2*first.again, againAtMost)
	return first.version, true
}

// settle removes a version.
func (s *suspects) settle(version hawser.VersionRef) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, have := range s.list {
		if have.version == version {
			s.list = append(s.list[:i], s.list[i+1:]...)
			return
		}
	}
}

// repaired counts a repair that did not help and returns how many there were.
func (s *suspects) repaired(version hawser.VersionRef) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.list {
		if have := &s.list[i]; have.version == version {
			have.repairs++
			return have.repairs
		}
	}
	return 0
}

func (s *suspects) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.list)
}
