// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"math/rand/v2"
	"testing"

	"github.com/hashicorp/raft"
)

// The tail answers what a plain map of the same entries would, or nothing, and
// stays within its bound, whatever is added and removed.
func TestTail_AgreesWithAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	tl := &tail{max: 20 * (entryOverhead + 10)}
	model := map[uint64]uint64{} // index to term
	first, last, term := uint64(1), uint64(0), uint64(0)
	for range 20_000 {
		switch k := rng.IntN(10); {
		case k < 7:
			term++
			n := uint64(rng.IntN(5) + 1)
			var logs []raft.Log
			for range n {
				last++
				logs = append(logs, raft.Log{Index: last, Term: term, Data: make([]byte, rng.IntN(20))})
				model[last] = term
			}
			tl.add(logs)
		case k == 7 && last > first:
			cut := first + rng.Uint64N(last-first)
			tl.remove(first, cut)
			for ; first <= cut; first++ {
				delete(model, first)
			}
		case k == 8 && last > first:
			cut := max(first+1, last-min(last-1, rng.Uint64N(8)))
			tl.remove(cut, last)
			for ; last >= cut; last-- {
				delete(model, last)
			}
		case k == 9 && rng.IntN(50) == 0 && last >= first:
			tl.remove(first, last)
			clear(model)
			first, last = last+10, last+9
		}
		var l raft.Log
		for range 5 {
			i := rng.Uint64N(last + 5)
			if tl.get(i, &l) && (l.Index != i || l.Term != model[i]) {
				t.Fatalf("entry %d is %d of term %d, want %d", i, l.Index, l.Term, model[i])
			}
		}
		if last >= first && len(model) > 0 && !tl.get(last, &l) && len(tl.entries) > 0 {
			t.Fatalf("the newest entry %d is not held", last)
		}
		if tl.bytes > tl.max || tl.bytes < 0 {
			t.Fatalf("%d bytes", tl.bytes)
		}
	}
}

// At least the bytes asked for lie at and after the index answered, and not
// many more than that.
func TestSizes_From(t *testing.T) {
	s := &sizes{step: 1000}
	s.reset(1, 100, 10_000) // 100 bytes each, all in one piece
	for i := uint64(101); i <= 1000; i++ {
		s.add(i, 100)
	}
	for _, c := range []struct {
		bytes  int64
		lo, hi uint64
	}{{1, 980, 1001}, {10_000, 880, 901}, {80_000, 180, 201}, {90_000, 1, 101}, {100_000, 0, 0}, {1 << 40, 0, 0}} {
		if got := s.from(c.bytes); got < c.lo || got > c.hi {
			t.Errorf("from(%d) is %d, want [%d, %d]", c.bytes, got, c.lo, c.hi)
		}
	}
	s.removePrefix(500)
	if got := s.from(10_000); got < 880 || got > 901 {
		t.Errorf("after a prefix: %d", got)
	}
	if got := s.from(90_000); got > 501 {
		t.Errorf("all that is left begins at %d", got)
	}
	s.removeSuffix(901)
	if total := s.total(900); total < 89_000 || total > 91_000 {
		t.Errorf("total is %d after a suffix", total)
	}
	if got := s.from(10_000); got < 780 || got > 801 {
		t.Errorf("after a suffix: %d", got)
	}
	s.reset(0, 0, 0)
	if s.from(1) != 0 || s.total(5) != 0 {
		t.Error("an empty log has a size")
	}
}
