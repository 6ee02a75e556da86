// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"time"
)

// What has to agree before a silent leader is suspected. Raft's own timeouts
// are longer: they decide where these see nothing.
const (
	// SilentAfter is the age of the last raft contact from which on a leader
	// counts as silent. A stalled fsync keeps a healthy leader silent for
	// longer than that, which is why silence alone is nothing.
	SilentAfter = 600 * time.Millisecond
	// MuteAfter is for how long pings must have gone unanswered.
	MuteAfter = 300 * time.Millisecond
	// WellAnswered is the part of gossip's probes from which on a node counts as
	// well connected.
	WellAnswered = 0.8
	// PoorlyAnswered is the part up to which a leader counts as badly connected: a
	// fifth of the packets is lost each way, and what TCP makes of that serves
	// nobody, though heartbeats arrive sooner or later.
	PoorlyAnswered = 0.6
	// FaltersAfter is for how long a ping of one with a poor network goes unanswered
	// now and then, and one of a leader that is short of processor does not: that
	// answers late, too, but by less than the time after which TCP sends again what was
	// lost, and then once more.
	FaltersAfter = 500 * time.Millisecond
)

// Line is what a node's idle connection to the leader shows.
type Line uint8

// The states of a line.
const (
	// LineNone: there is none, or it was closed and is being dialled again.
	LineNone Line = iota
	// LineUp: it is open, to the process that has led since it was opened.
	LineUp
	// LineRefused: it was closed, and a new dial was refused: nobody listens.
	LineRefused
	// LineRestarted: another process of that node answers than the one that led.
	LineRestarted
)

// Role is what raft does on a node.
type Role uint8

// The roles. Follower includes a node without a leader.
const (
	Follower Role = iota
	Candidate
	Leader
)

// Sight is what a node sees of the leader that its raft follows.
type Sight struct {
	Self string
	Role Role
	// Leader is whom raft follows, "" for nobody; Term is raft's.
	Leader string
	Term   uint64
	Line   Line
	Gossip Liveness
	// Silent is the age of the last raft contact; Heard is false if there never
	// was one.
	Silent time.Duration
	Heard  bool
	// Mute is for how long all pings have gone unanswered; 0 after an answer,
	// and when none was sent.
	Mute time.Duration
	// Answered is the part of gossip's probes of late that the leader has answered,
	// OthersAnswer that this node and voters that answer them well are a majority
	// without it.
	Answered     float64
	OthersAnswer bool
	// Falters: of late pings went unanswered for longer than FaltersAfter.
	Falters bool
}

// Poor reports whether the leader answers few probes, and others well. It is asked
// directly then.
func (s Sight) Poor() bool {
	return s.Leader != "" && s.Leader != s.Self && s.OthersAnswer && s.Answered <= PoorlyAnswered
}

// Suspects reports whether the node takes the leader of its term for gone, and
// what it goes by. The reason is set too where some signs are there but not
// enough, and empty where there is none.
func (s Sight) Suspects() (suspects bool, reason string) {
	gossipGone := s.Gossip == Dead || s.Gossip == Left
	switch silent := !s.Heard || s.Silent > SilentAfter; {
	case s.Leader == "" || s.Leader == s.Self:
		return false, ""
	case s.Line == LineRefused:
		return true, "its process is gone: the connection to it was closed and a new one is refused"
	case s.Line == LineRestarted:
		return true, "its process was restarted"
	case s.Poor() && s.Falters:
		return true, fmt.Sprintf("its network is poor: it has answered %.0f %% of the probes of late, the others have, and pings wait for longer than %v", 100*s.Answered, FaltersAfter)
	case gossipGone && silent && s.Mute >= MuteAfter:
		return true, fmt.Sprintf("gossip says it is %s, %s, and it does not answer", s.Gossip, s.contact())
	case gossipGone && silent:
		return false, fmt.Sprintf("gossip says it is %s, %s; it is asked directly", s.Gossip, s.contact())
	case gossipGone:
		return false, fmt.Sprintf("gossip says it is %s, but raft had contact %s ago", s.Gossip, short(s.Silent))
	case silent && s.Mute >= MuteAfter:
		return false, fmt.Sprintf("%s and it does not answer, but gossip says it is %s: raft's own timeout decides", s.contact(), s.Gossip)
	}
	return false, ""
}

func (s Sight) contact() string {
	if !s.Heard {
		return "raft never had contact"
	}
	return fmt.Sprintf("raft has had no contact for %s", short(s.Silent))
}

// Shares reports whether the node agrees with another one that takes leader,
// who leads in term, for gone. The reason is for people.
func (s Sight) Shares(leader string, term uint64) (agrees bool, reason string) {
	switch {
	case s.Term != term:
		return false, fmt.Sprintf("is in term %d, not %d", s.Term, term)
	case leader == s.Self && s.Role == Leader:
		return false, "leads"
	case leader == s.Self:
		return true, "does not lead any more"
	case s.Leader == leader:
		if agrees, reason = s.Suspects(); reason == "" {
			reason = "sees nothing wrong with the leader"
		}
		return agrees, reason
	case s.Leader != "":
		return false, "follows " + s.Leader
	case s.Role == Candidate || s.Heard && s.Silent > SilentAfter:
		return true, "has lost the leader"
	}
	return false, "has not heard from a leader yet"
}
