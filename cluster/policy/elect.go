// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// attemptPause is the least time between two attempts of one node.
	attemptPause = time.Second
	// yieldStep is how long the second best waits at least, and twice that at
	// most; each one after it waits a step longer.
	yieldStep = 50 * time.Millisecond
	// standing is how long the others wait for one that has told raft to stand
	// and whose term has not risen yet: its disk is slow, or it is short of
	// processor. Two that stand in one term get a vote each, and then raft waits
	// for its own timeouts.
	standing = 300 * time.Millisecond
)

// Log is where a node's log ends. Raft elects nobody whose log ends before that
// of a majority.
type Log struct{ Term, Index uint64 }

// Compare orders logs as raft does.
func (l Log) Compare(o Log) int {
	return cmp.Or(cmp.Compare(l.Term, o.Term), cmp.Compare(l.Index, o.Index))
}

// Answer is what another voter says about the leader that was suspected.
type Answer struct {
	Voter string
	Term  uint64
	// Suspects: it takes that leader of that term for gone, too. Reason is why,
	// or why not.
	Suspects bool
	Reason   string
	Log      Log
	// MayLead: it would stand for election now. Stands: it has begun to.
	MayLead, Stands bool
}

// Electorate is what a decision about an election is made from.
type Electorate struct {
	Sight
	// Voters are those of the latest configuration in the node's log.
	Voters []string
	Log    Log
	// Installing: the node receives a snapshot, or fetches the state.
	Installing bool
	// Asked: the voters have been asked about this leader of this term just
	// now; Answers are those that came.
	Asked   bool
	Answers []Answer
	// Attempted: the node has stood for election before, SinceAttempt ago.
	Attempted    bool
	SinceAttempt time.Duration
	// Agreed is for how long a majority has agreed.
	Agreed time.Duration
	// Jitter is random, in [0, 1), and stays the same while Agreed grows.
	Jitter float64
}

// Move is what to do about a leader.
type Move uint8

// The moves.
const (
	// Stay: nothing.
	Stay Move = iota
	// Ask: ask the other voters, then decide again.
	Ask
	// Yield: a majority agrees, but another voter goes first: decide again
	// after Election.After, with new answers.
	Yield
	// Campaign: stand for election now.
	Campaign
)

// Election is a decision about the leader.
type Election struct {
	Move  Move
	After time.Duration
	// Agreed: a majority of the voters takes the leader for gone.
	Agreed bool
	// Notes say what is seen, and why no more is done about it.
	Notes []string
}

// Elect decides whether the node stands for election. It does not change e.
//
// It is about speed only. Raft's rules of voting hold whatever it returns: a
// node that stands wrongly costs an election, never a write.
func Elect(e Electorate) Election {
	suspects, reason := e.Suspects()
	var d Election
	if reason != "" {
		d.note("leader %s: %s", e.Leader, reason)
	}
	if !suspects {
		return d
	}
	if why := e.barred(); why != "" {
		d.note("this node does not stand for election: %s", why)
		return d
	}
	if !e.Asked {
		d.Move = Ask
		return d
	}
	e.judge(&d)
	return d
}

func (d *Election) note(format string, args ...any) {
	d.Notes = append(d.Notes, fmt.Sprintf(format, args...))
}

// Majority reports whether so many of the voters are one.
func (e Electorate) Majority(n int) bool { return n >= quorum(len(e.Voters)) }

// MayLead reports whether the node would stand for election if the leader were
// gone.
func (e Electorate) MayLead() bool { return e.barred() == "" }

// Stands reports whether the node has begun to stand for election a moment ago.
func (e Electorate) Stands() bool { return e.Attempted && e.SinceAttempt < standing }

// barred says why the node must not stand, "" if it may.
func (e Electorate) barred() string {
	switch {
	case !slices.Contains(e.Voters, e.Self):
		return "it is not a voter of the latest configuration"
	case e.Installing:
		return "it is receiving the state"
	case e.Role != Follower:
		return "raft does already"
	case e.Attempted && e.SinceAttempt < attemptPause:
		return fmt.Sprintf("it did %s ago", short(e.SinceAttempt))
	}
	return ""
}

// judge counts who agrees, who would vote for this node and who goes first.
func (e Electorate) judge(d *Election) {
	agree, votes, better := 1, 1, 0
	var against, stands []string
	for _, a := range e.counted() {
		switch {
		case a.Term > e.Term:
			d.note("%s is in term %d already: another one stands for election, or leads", a.Voter, a.Term)
			return
		case a.Term < e.Term || !a.Suspects:
			against = append(against, a.Voter+" "+a.Reason)
			continue
		}
		agree++
		if a.Log.Compare(e.Log) <= 0 {
			votes++
		}
		if a.Stands {
			stands = append(stands, a.Voter)
		}
		if a.MayLead && cmp.Or(a.Log.Compare(e.Log), strings.Compare(e.Self, a.Voter)) > 0 {
			better++
		}
	}
	majority := quorum(len(e.Voters))
	if agree < majority {
		d.note("%d of %d voters take the leader for gone, %d are needed%s", agree, len(e.Voters), majority, listed(against))
		return
	}
	d.Agreed = true
	if votes < majority {
		d.note("this node does not stand for election: the log of too many voters goes further than its own")
		return
	}
	if len(stands) > 0 {
		d.Move, d.After = Yield, standing
		d.note("%s stands for election", strings.Join(stands, ", "))
		return
	}
	if wait := e.yield(better); e.Agreed < wait {
		d.Move, d.After = Yield, wait-e.Agreed
		d.note("%d voters go first", better)
		return
	}
	d.Move = Campaign
}

// yield returns for how long a node leaves it to others that are better.
func (e Electorate) yield(better int) time.Duration {
	if better == 0 {
		return 0
	}
	return time.Duration(better)*yieldStep + time.Duration(e.Jitter*float64(yieldStep))
}

// counted returns the answers that count: one of each other voter.
func (e Electorate) counted() []Answer {
	var counted []Answer
	for _, a := range e.Answers {
		if a.Voter != e.Self && slices.Contains(e.Voters, a.Voter) &&
			!slices.ContainsFunc(counted, func(c Answer) bool { return c.Voter == a.Voter }) {
			counted = append(counted, a)
		}
	}
	return counted
}

func listed(against []string) string {
	if len(against) == 0 {
		return ""
	}
	return ": " + strings.Join(against, ", ")
}
