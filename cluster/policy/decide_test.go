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

// The nodes of the tables, in a short form: "n1" leads, "n2" and so on are live
// voters, with a state after a colon.
func nodes(short ...string) []Node {
	var all []Node
	for i, s := range short {
		id, state, _ := strings.Cut(s, ":")
		n := Node{ID: id, Name: id[:2], Voter: true, Self: i == 0, Silent: 400 * time.Millisecond, CloseFor: time.Hour, Gossip: Alive}
		for word := range strings.FieldsSeq(state) {
			switch word {
			case "standby":
				n.Voter = false
			case "dead": // both agree
				n.Silent, n.Gossip, n.CloseFor = time.Minute, Dead, 0
			case "forgotten": // dead, and gossip does not list it any more
				n.Silent, n.Gossip, n.CloseFor = 2*time.Minute, Unknown, 0
			case "silent": // no raft contact
				n.Silent, n.CloseFor = time.Minute, 0
			case "rebooting":
				n.Silent, n.Gossip, n.CloseFor = 20*time.Second, Dead, 0
			case "gossip-dead":
				n.Gossip = Dead
			case "suspect":
				n.Gossip = Suspect
			case "new":
				n.CloseFor = 5 * time.Second
			case "lags":
				n.CloseFor, n.Lag = 0, 90000
			case "behind":
				n.Lag = 7
			case "long-dead":
				n.Silent, n.Gossip, n.CloseFor = 2*time.Hour, Dead, 0
			default:
				panic(word)
			}
		}
		all = append(all, n)
	}
	return all
}

func input(wanted int, short ...string) Input {
	return Input{
		Nodes: nodes(short...), Settled: true, LeaderFor: 3 * time.Hour, Wanted: wanted, MinVoters: wanted/2 + 1,
		Stabilise: 30 * time.Second, Fresh: 3 * time.Second, ForgetStandby: time.Hour,
	}
}

// Each rule, and the cases that a simpler rule would get wrong.
func TestDecide(t *testing.T) {
	for _, tc := range []struct {
		name   string
		nodes  []string
		wanted int // 0: 3
		change func(*Input)
		want   string // "promote n4", "remove n3", "" for nothing
		says   string // in the reason or a note
	}{
		{name: "all well", nodes: []string{"n1", "n2", "n3", "n4:standby"}},
		{name: "dead voter is replaced", nodes: []string{"n1", "n2", "n3:dead", "n4:standby"}, want: "promote n4", says: "n3 has been dead for 1m0s"},
		{name: "and then removed", nodes: []string{"n1", "n2", "n3:dead", "n4"}, want: "remove n3", says: "3 voters remain"},
		{name: "no standby: the dead voter stays", nodes: []string{"n1", "n2", "n3:dead"}, says: "no standby is ready"},
		{name: "rolling reboot", nodes: []string{"n1", "n2", "n3:rebooting", "n4:standby"}, says: "taken for dead after 30s"},
		{name: "gossip alone kills nobody", nodes: []string{"n1", "n2", "n3:gossip-dead", "n4:standby"}, says: "nothing is done on gossip alone"},
		{name: "nor raft alone", nodes: []string{"n1", "n2", "n3:silent", "n4:standby"}, says: "gossip says it is alive"},
		{name: "nor with a suspicion", nodes: []string{"n1", "n2", "n3:silent suspect", "n4:standby"}, says: "gossip says it is suspect"},
		{name: "gossip forgot it", nodes: []string{"n1", "n2", "n3:forgotten", "n4:standby"}, want: "promote n4"},
		{name: "standby lags", nodes: []string{"n1", "n2", "n3:dead", "n4:standby lags"}, says: "90000 entries behind"},
		{name: "standby is new", nodes: []string{"n1", "n2", "n3:dead", "n4:standby new"}, says: "close for 5s of 30s"},
		{name: "standby is cut off", nodes: []string{"n1", "n2", "n3:dead", "n4:standby silent"}, says: "standby n4 has had no raft contact"},
		{name: "standby dead by gossip alone is not promoted", nodes: []string{"n1", "n2", "n3:dead", "n4:standby gossip-dead"}, says: "no standby is ready"},
		{name: "of two standbys the closest", nodes: []string{"n1", "n2", "n3:dead", "n4:standby behind", "n5:standby"}, want: "promote n5"},
		{name: "of equal ones the first", nodes: []string{"n1", "n2", "n3:dead", "n5:standby", "n4:standby"}, want: "promote n4"},
		{name: "wiped node with the same name goes first", nodes: []string{"n1", "n2", "n3-old:dead", "n4:standby", "n3-new:standby behind"}, want: "promote n3-new", says: "n3-old returned as n3-new"},
		{name: "its old id goes next", nodes: []string{"n1", "n2", "n3-old:dead", "n4:standby", "n3-new"}, want: "remove n3-old"},
		{name: "one dead at a time, longest first", nodes: []string{"n1", "n2", "n3", "n4:dead", "n5:forgotten"}, want: "remove n5"},
		{name: "two dead of five, one standby", wanted: 5, nodes: []string{"n1", "n2", "n3", "n4:dead", "n5:dead", "n6:standby"}, want: "promote n6"},
		{name: "then one goes", wanted: 5, nodes: []string{"n1", "n2", "n3", "n4:dead", "n5:dead", "n6"}, want: "remove n4"},
		{name: "and the other stays", wanted: 5, nodes: []string{"n1", "n2", "n3", "n5:dead", "n6"}, says: "no standby is ready"},
		{name: "dead fifth voter of three wanted may return", nodes: []string{"n1", "n2", "n3", "n4", "n5:dead"}, says: "it may return"},
		{name: "growing from one waits for two", nodes: []string{"n1", "n2:standby"}, says: "waits for a second one"},
		{name: "growing from one with two", nodes: []string{"n1", "n2:standby", "n3:standby"}, want: "promote n2"},
		{name: "growing from two", nodes: []string{"n1", "n2", "n3:standby"}, want: "promote n3"},
		{name: "one is wanted", wanted: 1, nodes: []string{"n1", "n2:standby", "n3:standby"}},
		{name: "four live voters are only noted", nodes: []string{"n1", "n2", "n3", "n4"}, says: "tolerate no more failures than 3"},
		{name: "dead returned after its successor", nodes: []string{"n1", "n2", "n3", "n4", "n5:standby"}, says: "4 voters"},
		{name: "promotion that would lose the quorum", nodes: []string{"n1", "n2:silent", "n3:dead", "n4:standby"}, says: "would stop the cluster"},
		{name: "removal that would lose the quorum", nodes: []string{"n1", "n2:silent", "n3:dead", "n4:silent"}, says: "can be reached"},
		{name: "minimum of voters", nodes: []string{"n1", "n2", "n3:dead", "n4"}, change: func(in *Input) { in.MinVoters = 4 }, says: "dead"},
		{name: "configuration under way", nodes: []string{"n1", "n2", "n3:dead", "n4:standby"}, change: func(in *Input) { in.Settled = false }, says: "under way"},
		{name: "new leader", nodes: []string{"n1", "n2", "n3:dead", "n4:standby"}, change: func(in *Input) { in.LeaderFor = 20 * time.Second }, says: "the leader is new"},
		{name: "dead standby is kept for a while", nodes: []string{"n1", "n2", "n3", "n4:standby dead"}, says: "removed after 1h0m0s"},
		{name: "and then forgotten", nodes: []string{"n1", "n2", "n3", "n4:standby long-dead"}, want: "remove n4"},
		{name: "silent standby that gossip sees is kept", nodes: []string{"n1", "n2", "n3", "n4:standby silent"}, says: "not taken for dead"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.wanted == 0 {
				tc.wanted = 3
			}
			in := input(tc.wanted, tc.nodes...)
			if tc.change != nil {
				tc.change(&in)
			}
			got := Decide(in)
			what := strings.TrimSpace(strings.TrimPrefix(got.Kind.String()+" "+got.Node, "none"))
			if what != tc.want {
				t.Errorf("decided %q (%s), want %q; notes %q", what, got.Reason, tc.want, got.Notes)
			}
			if all := got.Reason + "\n" + strings.Join(got.Notes, "\n"); !strings.Contains(all, tc.says) {
				t.Errorf("says %q, want %q in it", all, tc.says)
			}
		})
	}
}

// For random inputs: nothing touches the leader or a node that one of raft and
// gossip sees, no decision leaves fewer voters in reach than a majority, or
// fewer voters than wanted, and the order of the nodes does not matter.
func TestDecide_Safe(t *testing.T) {
	states := []string{"", "dead", "silent", "gossip-dead", "rebooting", "forgotten", "suspect", "standby", "standby dead", "standby lags", "standby long-dead", "standby behind"}
	kinds := map[Kind]int{}
	for seed := range uint64(50000) {
		rng := rand.New(rand.NewPCG(seed, 7))
		short := []string{"n1"}
		for i := range rng.IntN(8) {
			short = append(short, fmt.Sprintf("n%d:%s", i+2, states[rng.IntN(len(states))]))
		}
		in := input(1+rng.IntN(5), short...)
		got := Decide(in)
		kinds[got.Kind]++
		if err := unsafe(in, got); err != "" {
			t.Fatalf("seed %d: %v: %s %s: %s", seed, short, got.Kind, got.Node, err)
		}
		rng.Shuffle(len(in.Nodes), func(i, j int) { in.Nodes[i], in.Nodes[j] = in.Nodes[j], in.Nodes[i] })
		if again := Decide(in); again.Kind != got.Kind || again.Node != got.Node {
			t.Fatalf("seed %d: %v: %v, and in another order %v", seed, short, got, again)
		}
	}
	if kinds[Promote] < 100 || kinds[Remove] < 100 {
		t.Fatalf("the inputs are too dull: %v", kinds)
	}
}

func unsafe(in Input, got Action) string {
	voters, reach := 0, 0
	for _, n := range in.Nodes {
		if n.Voter {
			voters++
			if n.Self || n.Silent <= in.Fresh {
				reach++
			}
		}
	}
	at := slices.IndexFunc(in.Nodes, func(n Node) bool { return n.ID == got.Node })
	switch {
	case got.Kind == None:
		return ""
	case at < 0:
		return "no such node"
	case in.Nodes[at].Self:
		return "it is the leader"
	case got.Kind == Promote && (in.Nodes[at].Voter || in.Nodes[at].Silent > in.Fresh || in.Nodes[at].CloseFor < in.Stabilise):
		return "it is no standby that follows"
	case got.Kind == Promote && reach+1 < (voters+1)/2+1:
		return "loses the quorum"
	case got.Kind == Remove && (in.Nodes[at].Silent <= in.Stabilise || in.Nodes[at].Gossip == Alive || in.Nodes[at].Gossip == Suspect):
		return "it may live"
	case got.Kind == Remove && in.Nodes[at].Voter && (reach < (voters-1)/2+1 || voters-1 < in.Wanted):
		return "leaves too few voters"
	}
	return ""
}

// Carried out step by step, with all dead nodes staying dead and all standbys
// catching up, decisions come to an end, at the wanted number of live voters if
// there are nodes enough, and at an odd one.
func TestDecide_Ends(t *testing.T) {
	for seed := range uint64(5000) {
		rng := rand.New(rand.NewPCG(seed, 9))
		short := []string{"n1", "n2", "n3"}
		dead, standbys := rng.IntN(3), rng.IntN(4)
		for i := range dead {
			short = append(short, fmt.Sprintf("n%d:dead", i+4))
		}
		for i := range standbys {
			short = append(short, fmt.Sprintf("n%d:standby", i+4+dead))
		}
		in := input([]int{3, 5}[rng.IntN(2)], short...)
		live := 3
		for step := 0; ; step++ {
			got := Decide(in)
			if got.Kind == None {
				break
			}
			if step > 20 {
				t.Fatalf("%v wanted %d: does not end: %v", short, in.Wanted, got)
			}
			at := slices.IndexFunc(in.Nodes, func(n Node) bool { return n.ID == got.Node })
			if got.Kind == Promote {
				in.Nodes[at].Voter = true
				live++
			} else {
				in.Nodes = slices.Delete(in.Nodes, at, at+1)
			}
		}
		reachable := min(in.Wanted, 3+standbys)
		if dead == 0 && reachable%2 == 0 {
			reachable-- // an even number is not stopped at
		}
		if live < reachable {
			t.Errorf("%v wanted %d: ends with %d live voters: %q", short, in.Wanted, live, Decide(in).Notes)
		}
	}
}
