// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// follower is what b of the voters a, b and c sees while a leads in term 7 and
// all is well.
func follower(changes ...func(*Electorate)) Electorate {
	e := Electorate{
		Sight: Sight{
			Self: "b", Leader: "a", Term: 7, Line: LineUp, Gossip: Alive, Heard: true, Silent: 100 * time.Millisecond,
		},
		Voters: []string{"a", "b", "c"}, Log: Log{7, 100}, Jitter: 0.5,
	}
	for _, change := range changes {
		change(&e)
	}
	return e
}

func refused(e *Electorate)   { e.Line = LineRefused }
func restarted(e *Electorate) { e.Line = LineRestarted }

// poor is a leader that has answered half of the probes.
func poor(e *Electorate) { e.Answered, e.OthersAnswer, e.Falters = 0.6, true, true }

// frozen is a leader that has stopped to do anything, its connections open.
func frozen(e *Electorate) {
	e.Gossip, e.Silent, e.Mute = Dead, 900*time.Millisecond, 300*time.Millisecond
}

// answered adds an answer in term 7.
func answered(voter string, suspects bool, log Log) func(*Electorate) {
	return answeredBy(Answer{Voter: voter, Term: 7, Suspects: suspects, Log: log, MayLead: true, Reason: "sees what it sees"})
}

func answeredBy(a Answer) func(*Electorate) {
	return func(e *Electorate) { e.Asked, e.Answers = true, append(e.Answers, a) }
}

// five makes it five voters.
func five(e *Electorate) { e.Voters = []string{"a", "b", "c", "d", "e"} }

func attempted(ago time.Duration) func(*Electorate) {
	return func(e *Electorate) { e.Attempted, e.SinceAttempt = true, ago }
}

func agreed(d time.Duration) func(*Electorate) { return func(e *Electorate) { e.Agreed = d } }

var same = Log{7, 100}

// Claim: a leader is voted out when, and only when, the signs agree at a
// majority of the voters and this voter is the one to go.
func TestElect(t *testing.T) {
	type changes = []func(*Electorate)
	set := func(f func(*Electorate)) func(*Electorate) { return f }
	for name, c := range map[string]struct {
		changes changes
		move    Move
		note    string // part of a note; "" demands that there is none
	}{
		"all is well":               {},
		"no leader":                 {changes: changes{refused, set(func(e *Electorate) { e.Leader = "" })}},
		"it leads itself":           {changes: changes{refused, set(func(e *Electorate) { e.Leader, e.Role = "b", Leader })}},
		"crashed, nobody was asked": {changes: changes{refused}, move: Ask, note: "its process is gone"},
		"crashed, the other agrees": {changes: changes{refused, answered("c", true, same)}, move: Campaign, note: "is refused"},
		"crashed, the other does not answer": {
			changes: changes{refused, set(func(e *Electorate) { e.Asked = true })}, note: "1 of 3 voters take the leader for gone, 2 are needed",
		},
		"restarted within 100 ms": {changes: changes{restarted, answered("c", true, same)}, move: Campaign, note: "restarted"},
		"restarted, it says so itself, the other is dead": {
			changes: changes{restarted, answeredBy(Answer{Voter: "a", Term: 7, Suspects: true, Log: same})}, move: Campaign, note: "restarted",
		},
		"closed, and dialled again": {changes: changes{set(func(e *Electorate) { e.Line = LineNone })}},
		"frozen":                    {changes: changes{frozen, answered("c", true, same)}, move: Campaign, note: "gossip says it is dead, raft has had no contact for 900ms, and it does not answer"},
		"it said good-bye":          {changes: changes{frozen, set(func(e *Electorate) { e.Gossip = Left }), answered("c", true, same)}, move: Campaign, note: "gossip says it is left"},
		"frozen, not pinged long enough": {
			changes: changes{frozen, set(func(e *Electorate) { e.Mute = 299 * time.Millisecond })}, note: "it is asked directly",
		},

		// Gossip and raft that disagree; one slow node.
		"gossip cut, raft has contact":         {changes: changes{set(func(e *Electorate) { e.Gossip = Dead })}, note: "but raft had contact"},
		"gossip cut, raft slow, ping answered": {changes: changes{frozen, set(func(e *Electorate) { e.Mute = 0 })}, note: "it is asked directly"},
		"raft cut, gossip alive":               {changes: changes{frozen, set(func(e *Electorate) { e.Gossip = Alive })}, note: "raft's own timeout decides"},
		"leader's disk stalls for a second":    {changes: changes{set(func(e *Electorate) { e.Silent = time.Second })}},
		"nobody gossips, raft silent":          {changes: changes{frozen, set(func(e *Electorate) { e.Gossip = Unknown })}, note: "raft's own timeout decides"},
		"never heard of, gossip has forgotten": {changes: changes{set(func(e *Electorate) { e.Heard, e.Gossip = false, Unknown })}},

		// A leader that loses packets, and so many that it is not alone with that.
		"poor":                          {changes: changes{poor, answered("c", true, same)}, move: Campaign, note: "it has answered 60 % of the probes"},
		"poor, the other sees it well":  {changes: changes{poor, answered("c", false, same)}, note: "1 of 3 voters"},
		"not that poor":                 {changes: changes{poor, set(func(e *Electorate) { e.Answered = 0.7 })}},
		"short of processor":            {changes: changes{poor, set(func(e *Electorate) { e.Falters = false })}},
		"poor, as the other voters are": {changes: changes{poor, set(func(e *Electorate) { e.OthersAnswer = false })}},

		// Asymmetric cuts: this node alone cannot reach the leader.
		"cut off alone": {changes: changes{frozen, answered("c", false, same)}, note: "1 of 3 voters take the leader for gone, 2 are needed: c sees what it sees"},
		"cut off alone, of five": {
			changes: changes{frozen, five, answered("c", false, same), answered("d", false, same), answered("e", true, same)},
			note:    "2 of 5 voters",
		},
		"three of five": {
			changes: changes{frozen, five, answered("c", true, same), answered("d", false, same), answered("e", true, same)},
			move:    Campaign, note: "dead",
		},

		// Two suspects at once.
		"the other's log goes further, in index": {changes: changes{refused, answered("c", true, Log{7, 101})}, note: "goes further than its own"},
		"the other's log goes further, in term":  {changes: changes{refused, answered("c", true, Log{8, 1})}, note: "goes further than its own"},
		"the other's log ends before":            {changes: changes{refused, answered("c", true, Log{6, 900})}, move: Campaign, note: "refused"},
		"equal logs, the smaller id goes first":  {changes: changes{refused, set(func(e *Electorate) { e.Self = "c" }), answered("b", true, same)}, move: Yield, note: "1 voters go first"},
		"equal logs, waited":                     {changes: changes{refused, set(func(e *Electorate) { e.Self = "c" }), answered("b", true, same), agreed(75 * time.Millisecond)}, move: Campaign, note: "refused"},
		"the better one may not lead": {
			changes: changes{refused, set(func(e *Electorate) { e.Self = "c" }), answeredBy(Answer{Voter: "b", Term: 7, Suspects: true, Log: same})},
			move:    Campaign, note: "refused",
		},
		"best of five, one ahead": {
			changes: changes{refused, five, answered("c", true, Log{7, 101}), answered("d", true, same), answered("e", true, same)},
			move:    Yield, note: "1 voters go first",
		},
		"the other stands already": {changes: changes{refused, answeredBy(Answer{Voter: "c", Term: 8})}, note: "c is in term 8 already"},
		"the other is behind":      {changes: changes{refused, answeredBy(Answer{Voter: "c", Term: 6, Suspects: true, Reason: "is in term 6, not 7"})}, note: "1 of 3 voters"},
		"one answers twice": {
			changes: changes{refused, five, answered("c", true, same), answered("c", true, same)}, note: "2 of 5 voters",
		},
		"strangers and itself do not count": {
			changes: changes{refused, answered("x", true, same), answered("b", true, same)}, note: "1 of 3 voters",
		},

		// Who never stands.
		"a standby":                  {changes: changes{refused, set(func(e *Electorate) { e.Self = "s" }), answered("c", true, same)}, note: "not a voter"},
		"a removed node":             {changes: changes{refused, set(func(e *Electorate) { e.Voters = []string{"a", "c", "d"} }), answered("c", true, same)}, note: "not a voter"},
		"it installs a snapshot":     {changes: changes{refused, set(func(e *Electorate) { e.Installing = true }), answered("c", true, same)}, note: "receiving the state"},
		"raft stands already":        {changes: changes{refused, set(func(e *Electorate) { e.Role = Candidate }), answered("c", true, same)}, note: "raft does already"},
		"a second ago, almost":       {changes: changes{refused, attempted(999 * time.Millisecond), answered("c", true, same)}, note: "it did 999ms ago"},
		"a second ago":               {changes: changes{refused, attempted(time.Second), answered("c", true, same)}, move: Campaign, note: "refused"},
		"two voters, the other gone": {changes: changes{refused, set(func(e *Electorate) { e.Voters = []string{"a", "b"}; e.Asked = true })}, note: "1 of 2 voters"},
	} {
		t.Run(name, func(t *testing.T) {
			d := Elect(follower(c.changes...))
			if d.Move != c.move {
				t.Errorf("move %d, want %d; notes %q", d.Move, c.move, d.Notes)
			}
			notes := strings.Join(d.Notes, "\n")
			if (c.note == "") != (notes == "") || !strings.Contains(notes, c.note) {
				t.Errorf("notes %q, want one with %q", notes, c.note)
			}
			if (d.Move == Yield) != (d.After > 0) || d.After > 150*time.Millisecond {
				t.Errorf("move %d after %v", d.Move, d.After)
			}
		})
	}
}

// Claim: an asked voter agrees only about the leader and the term in question,
// as far as it knows.
func TestSight_Shares(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Electorate)
		agrees bool
		reason string
	}{
		"sees it well":               {func(*Electorate) {}, false, "nothing wrong"},
		"sees it gone":               {refused, true, "process is gone"},
		"not sure":                   {func(e *Electorate) { frozen(e); e.Mute = 0 }, false, "asked directly"},
		"a later term":               {func(e *Electorate) { refused(e); e.Term = 8 }, false, "is in term 8, not 7"},
		"an earlier term":            {func(e *Electorate) { refused(e); e.Term = 6 }, false, "is in term 6, not 7"},
		"follows another":            {func(e *Electorate) { e.Leader = "c" }, false, "follows c"},
		"is the leader":              {func(e *Electorate) { e.Self, e.Role = "a", Leader }, false, "leads"},
		"was the leader":             {func(e *Electorate) { e.Self, e.Leader = "a", "" }, true, "does not lead any more"},
		"lost it, stands":            {func(e *Electorate) { e.Leader, e.Role = "", Candidate }, true, "lost the leader"},
		"lost it a while ago":        {func(e *Electorate) { e.Leader, e.Silent = "", 700*time.Millisecond }, true, "lost the leader"},
		"lost it just now":           {func(e *Electorate) { e.Leader = "" }, false, "not heard"},
		"started, heard nothing yet": {func(e *Electorate) { e.Leader, e.Heard = "", false }, false, "not heard"},
	} {
		t.Run(name, func(t *testing.T) {
			agrees, reason := follower(c.change).Shares("a", 7)
			if agrees != c.agrees || !strings.Contains(reason, c.reason) {
				t.Errorf("%v, %q; want %v, %q", agrees, reason, c.agrees, c.reason)
			}
		})
	}
}

// world is a random moment of a cluster in which a leads in term 7.
type world struct {
	voters []string
	nodes  []Electorate
}

func randomWorld(r *rand.Rand) world {
	var w world
	for i := range 3 + 2*r.IntN(3) {
		w.voters = append(w.voters, string(rune('a'+i)))
	}
	for _, id := range append(slices.Clone(w.voters), "standby") {
		e := Electorate{
			Sight: Sight{
				Self: id, Leader: "a", Term: 7, Line: Line(r.IntN(4)), Gossip: Liveness(r.IntN(5)), Heard: r.IntN(9) > 0,
				Silent: time.Duration(r.IntN(1200)) * time.Millisecond, Mute: time.Duration(r.IntN(2)) * MuteAfter,
			},
			Voters: w.voters, Log: Log{7, uint64(100 + r.IntN(3))}, Installing: r.IntN(8) == 0,
			Attempted: r.IntN(4) == 0, SinceAttempt: time.Duration(r.IntN(2000)) * time.Millisecond,
			Agreed: time.Duration(r.IntN(2)) * time.Second, Jitter: r.Float64(),
		}
		switch r.IntN(10) {
		case 0:
			e.Leader, e.Role = "", Candidate
		case 1:
			e.Term, e.Leader = 8, ""
		case 2:
			e.Leader = "b"
		}
		w.nodes = append(w.nodes, e)
	}
	return w
}

// ask lets every voter that a coin spares answer e.
func (w world) ask(e Electorate, r *rand.Rand) Electorate {
	e.Asked = true
	for _, o := range w.nodes {
		if o.Self == e.Self || r.IntN(6) == 0 {
			continue
		}
		agrees, reason := o.Shares(e.Leader, e.Term)
		e.Answers = append(e.Answers, Answer{Voter: o.Self, Term: o.Term, Suspects: agrees, Reason: reason, Log: o.Log, MayLead: o.MayLead(), Stands: o.Stands()})
	}
	return e
}

// Claim: whatever is seen and answered, only a voter that follows, is not
// installing and has not stood within a second stands; a majority of the voters
// agrees and has no better log; the decision changes nothing and is the same
// when it is made again.
func TestElect_RandomSafety(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	moves := map[Move]int{}
	for range 4_000 {
		w := randomWorld(r)
		for _, e := range w.nodes {
			if r.IntN(4) > 0 {
				e = w.ask(e, r)
			}
			before := fmt.Sprint(e)
			d := Elect(e)
			if again := Elect(e); fmt.Sprint(e) != before || fmt.Sprint(again) != fmt.Sprint(d) {
				t.Fatalf("decided %v, then %v on %v", d, again, e)
			}
			moves[d.Move]++
			if d.Move == Campaign || d.Move == Yield {
				checkCampaign(t, e)
			}
		}
	}
	for _, m := range []Move{Stay, Ask, Yield, Campaign} {
		if moves[m] < 20 {
			t.Errorf("move %d came up %d times: this shows nothing", m, moves[m])
		}
	}
}

func checkCampaign(t *testing.T, e Electorate) {
	t.Helper()
	agree, votes := 1, 1
	seen := map[string]bool{e.Self: true}
	for _, a := range e.Answers {
		if a.Suspects && a.Term == e.Term && slices.Contains(e.Voters, a.Voter) && !seen[a.Voter] {
			seen[a.Voter] = true
			agree++
			if a.Log.Compare(e.Log) <= 0 {
				votes++
			}
		}
	}
	need := len(e.Voters)/2 + 1
	suspects, _ := e.Suspects()
	if !suspects || agree < need || votes < need || !slices.Contains(e.Voters, e.Self) || e.Role != Follower || e.Installing ||
		e.Leader == e.Self || e.Attempted && e.SinceAttempt < time.Second {
		t.Fatalf("stands with %d agreeing and %d votes: %+v", agree, votes, e)
	}
}

// Claim: while the first has told raft to stand and its term has not risen yet,
// the others wait for it, for longer than they would yield to one that has not
// begun; two that stand in one term would elect nobody. Then they stand
// themselves.
func TestElect_WaitsForOneThatStands(t *testing.T) {
	for _, c := range []struct {
		since time.Duration
		want  Move
	}{{0, Yield}, {250 * time.Millisecond, Yield}, {350 * time.Millisecond, Campaign}} {
		first, second := follower(refused), follower(refused)
		first.Self, second.Self = "b", "c"
		first.Attempted, first.SinceAttempt = true, c.since
		second.Asked, second.Agreed = true, time.Second
		agrees, _ := first.Shares("a", 7)
		second.Answers = []Answer{{Voter: "b", Term: 7, Suspects: agrees, Log: first.Log, MayLead: first.MayLead(), Stands: first.Stands()}}
		if got := Elect(second); got.Move != c.want {
			t.Errorf("%v after the first began: %+v", c.since, got)
		}
	}
}

// Claim: voters that all see the same and ask each other send exactly one to
// stand at once, the one with the best log.
func TestElect_OneGoesFirst(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 1_000 {
		w := world{voters: []string{"a", "b", "c", "d", "e"}}
		for _, id := range w.voters[1:] {
			e := follower(five, refused)
			e.Self, e.Log, e.Jitter = id, Log{7, uint64(r.IntN(3))}, r.Float64()
			w.nodes = append(w.nodes, e)
		}
		best := w.nodes[0]
		var first []string
		for _, e := range w.nodes {
			if e.Log.Compare(best.Log) > 0 {
				best = e
			}
			e.Asked = true
			for _, o := range w.nodes {
				agrees, _ := o.Shares("a", 7)
				e.Answers = append(e.Answers, Answer{Voter: o.Self, Term: 7, Suspects: agrees, Log: o.Log, MayLead: o.MayLead(), Stands: o.Stands()})
			}
			if Elect(e).Move == Campaign {
				first = append(first, e.Self)
			}
		}
		if !slices.Equal(first, []string{best.Self}) {
			t.Fatalf("%v stand, the best is %s of %+v", first, best.Self, w.nodes)
		}
	}
}
