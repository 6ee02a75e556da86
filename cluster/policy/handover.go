// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"time"
)

const (
	// handOverAfter is how long a command waits until its leader counts as being in
	// poor shape: more than a disk that stalls for a second.
	handOverAfter = 2 * time.Second
	// handOverPause is how long a leader leads at least, so that the leadership does
	// not go round while all are in poor shape.
	handOverPause = 3 * time.Second
	// slowAppend is how long a log takes for an entry that is too slow to lead.
	slowAppend = 500 * time.Millisecond
	// freshContact is how old an answer may be of a voter that counts as well, and
	// gossipedContact that of one that gossip, which has other ways, sees alive.
	freshContact, gossipedContact = 5 * time.Second, time.Minute
)

// Tenure is what a leader knows of how it does, and how the other voters do.
type Tenure struct {
	// Leading is how long it has led, Waiting how long the oldest of the commands
	// that are under way has been.
	Leading, Waiting time.Duration
	// Append is how long its log takes to write an entry.
	Append time.Duration
	// Voters counts them, the leader included.
	Voters int
	Others []Successor
}

// Successor is another voter.
type Successor struct {
	ID string
	// Contact is how long ago it last answered.
	Contact time.Duration
	// Alive: gossip sees it.
	Alive bool
	// LastIndex is where its log ends.
	LastIndex uint64
	// Append is how long its log takes to write an entry.
	Append time.Duration
}

// HandOver decides whether a leader hands the leadership on because it does badly:
// its disk is slow, or the network between it and the others is, and they would do
// better without it. It names the voter that is furthest, who
// is to stand for election at once, and says why; "" is to go on. Raft alone keeps a leader whose heartbeats arrive, however slow it is
// (hashicorp/raft#503 is the extreme of it).
func HandOver(t Tenure) (to, reason string) {
	if t.Waiting < handOverAfter || t.Leading < handOverPause {
		return "", ""
	}
	well, furthest := 0, uint64(0)
	for _, s := range t.Others {
		reached := s.Contact <= freshContact || s.Alive && s.Contact <= gossipedContact
		if !reached || s.Append >= slowAppend {
			continue
		}
		well++
		if to == "" || s.LastIndex > furthest {
			to, furthest = s.ID, s.LastIndex
		}
	}
	if well <= t.Voters/2 { // without this node they are no majority
		return "", ""
	}
	why := "the network to the other voters is slow"
	if t.Append >= slowAppend {
		why = fmt.Sprintf("its log takes %v for an entry", t.Append.Round(time.Millisecond))
	}
	return to, fmt.Sprintf("a command has waited for %v, and %s", t.Waiting.Round(time.Millisecond), why)
}
