// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package audit

// verdict is what a node finds about itself.
type verdict uint8

const (
	// undecided: no majority agrees, as far as is known.
	undecided verdict = iota
	// sound: a majority has this node's digest.
	sound
	// diverged: a majority has another one.
	diverged
)

// judge compares the node's own digest with what other voters answered, by
// node. Voters is how many there are, this node included if it is one, which
// voting says.
func judge(own uint64, others map[string]uint64, voters int, voting bool) verdict {
	votes := map[uint64]int{}
	if voting {
		votes[own]++
	}
	for _, digest := range others {
		votes[digest]++
	}
	for digest, n := range votes {
		switch { // of two digests one at most has a majority
		case n <= voters/2:
		case digest == own:
			return sound
		default:
			return diverged
		}
	}
	return undecided
}
