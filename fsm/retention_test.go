// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/record"
)

// driver applies commands to a machine, an entry each.
type driver struct {
	tb    testing.TB
	m     *Machine
	index uint64
	now   int64
}

func newDriver(tb testing.TB) *driver {
	tb.Helper()
	m, err := Open(tb.TempDir(), Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := m.Close(); err != nil {
			tb.Error(err)
		}
	})
	return &driver{tb: tb, m: m}
}

// results applies commands in one entry.
func (d *driver) results(commands ...Command) []Result {
	d.tb.Helper()
	var encoded [][]byte
	for _, c := range commands {
		encoded = append(encoded, AppendCommand(nil, c))
	}
	d.index++
	out, err := d.m.Apply([]Entry{{Index: d.index, Term: 1, Kind: EntryCommand, Data: AppendBatch(nil, BatchID{}, d.now, encoded)}})
	if err != nil {
		d.tb.Fatal(err)
	}
	return out[0].Results
}

// must applies a command that is not refused.
func (d *driver) must(c Command) Result {
	d.tb.Helper()
	res := d.results(c)[0]
	if res.Err != nil {
		d.tb.Fatalf("%T %+v: %v", c, c, res.Err)
	}
	return res
}

// view shows f the newest state.
func (d *driver) view(f func(*View)) {
	d.tb.Helper()
	v, err := d.m.View()
	if err != nil {
		d.tb.Fatal(err)
	}
	f(v)
	if err := v.Close(); err != nil {
		d.tb.Fatal(err)
	}
}

// save saves a small state that no other save has.
func (d *driver) save(id hawser.AgentID) Result {
	d.tb.Helper()
	state := fmt.Appendf(nil, "state of %s after %d", id, d.index)
	var nonce hawser.Nonce
	binary.BigEndian.PutUint64(nonce[:], d.index+1)
	var seen uint64
	d.view(func(v *View) {
		a, err := v.Agent(id)
		if err != nil && !errors.Is(err, hawser.ErrNotFound) {
			d.tb.Fatal(err)
		}
		seen = a.Head
	})
	return d.must(&Save{Agent: id, Request: Request{Nonce: nonce, Seen: seen}, SHA256: sha256.Sum256(state), Content: record.EncodeKeyframe(state)})
}

func inDefault(name string) hawser.AgentID {
	return hawser.AgentID{Namespace: "default", Name: name}
}

// Claim: what a scan says is due is what the rules do not keep, whichever way
// it goes about it; pruned, nothing is due any more. Method: random histories
// with pins, bad versions, gaps, and saves after a delete, against the keeper
// that is shown every version.
func TestView_PrunableIsWhatRulesDoNotKeep(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	due := 0
	for round := range 12 {
		d := newDriver(t)
		id := inDefault("crew/a")
		d.now = int64(1e18)
		if round%3 == 0 {
			d.save(id)
			d.must(&Delete{Agent: id, Request: Request{Nonce: hawser.Nonce{1}, Seen: 1}})
		}
		step := int64(time.Minute) << rng.IntN(9)
		for range 5 {
			for range 1 + rng.IntN(40) {
				d.now += rng.Int64N(step)
				n := d.save(id)
				switch rng.IntN(12) {
				case 0:
					d.must(&Pin{Agent: id, Number: n.Number, Pinned: true})
				case 1:
					d.must(&MarkBad{Agent: id, Number: n.Number, SHA256: n.Version.SHA256})
				}
			}
			rules := randomRules(rng, time.Duration(40*step))
			d.must(&SetRetention{Namespace: "default", Prefix: "crew", Rules: &rules})
			due += d.pruneAsTheRulesSay(id, rules)
		}
	}
	if due == 0 {
		t.Error("nothing was ever due: the test shows nothing")
	}
}

// pruneAsTheRulesSay checks and prunes what is due, and returns how much that was.
func (d *driver) pruneAsTheRulesSay(id hawser.AgentID, rules hawser.Retention) int {
	d.tb.Helper()
	now := time.Unix(0, d.now)
	var item Prunable
	var stamp uint64
	var want []uint64
	d.view(func(v *View) {
		var err error
		if item, err = v.Prunable(id, now); err != nil {
			d.tb.Fatal(err)
		}
		var all []candidate
		a, _ := v.known(id)
		if err := (&scan{v: v}).newestFirst(id, a.floor+1, a.head, func(c candidate) bool { all = append(all, c); return true }); err != nil {
			d.tb.Fatal(err)
		}
		if uint64(len(all)) != a.versions {
			d.tb.Fatalf("the agent counts %d versions, there are %d", a.versions, len(all))
		}
		slices.Reverse(all)
		kept := keptOf(all, rules, now)
		for _, c := range all {
			if !slices.Contains(kept, c.number) {
				want = append(want, c.number)
			}
		}
		stamp = v.RetentionStamp()
		items, _, more, err := v.PruneScan(hawser.AgentID{}, 0, now)
		if err != nil || more || len(items) != min(1, len(want)) || len(want) > 0 && items[0].Versions != item.Versions {
			d.tb.Fatalf("scan: %+v, more %v, %v; the agent: %+v", items, more, err, item)
		}
		dry, _, _, err := v.PruneDryRun("default", "crew", &rules, hawser.AgentID{}, 0, now)
		if err != nil || len(dry) != len(items) || len(dry) > 0 && (dry[0].Versions != item.Versions || dry[0].Bytes != item.Bytes || dry[0].Ranges != nil) {
			d.tb.Fatalf("dry run: %+v, %v, want %+v", dry, err, items)
		}
	})
	if got := numbers(item.Ranges); !slices.Equal(got, want) || item.Versions != uint64(len(want)) {
		d.tb.Fatalf("%+v at %v: due %v, want %v", rules, now, item, want)
	}
	if len(want) == 0 {
		return 0
	}
	if res := d.must(&Prune{Agent: id, Ranges: item.Ranges, Stamp: stamp}); res.Pruned != item.Versions {
		d.tb.Fatalf("pruned %d of %+v", res.Pruned, item)
	}
	d.view(func(v *View) {
		if again, err := v.Prunable(id, now); err != nil || again.Versions != 0 {
			d.tb.Fatalf("after the prune: %+v, %v", again, err)
		}
	})
	return len(want)
}

func numbers(ranges []NumberRange) (all []uint64) {
	for _, r := range ranges {
		for n := r.From; n <= r.To; n++ {
			all = append(all, n)
		}
	}
	return all
}

// The policy with the longest prefix of whole segments counts.
func TestView_RetentionOf(t *testing.T) {
	d := newDriver(t)
	rules := func(n uint64) *hawser.Retention { return &hawser.Retention{KeepLast: n} }
	for i, p := range []struct{ namespace, prefix string }{{"default", ""}, {"default", "crew"}, {"default", "crew/a"}, {"default", "crew/a/b/"}, {"x", "crew"}} {
		d.must(&SetRetention{Namespace: p.namespace, Prefix: p.prefix, Rules: rules(uint64(i + 1))})
	}
	d.view(func(v *View) {
		for name, want := range map[string]uint64{
			"": 1, "a": 1, "crewman": 1, "crew": 2, "crew/": 2, "crew/b": 2, "crew/a": 3, "crew/ab": 2, "crew/a/x/y": 3, "crew/a/b": 4, "crew/a/b/c": 4,
		} {
			got, source, err := v.RetentionOf(inDefault(name))
			if err != nil || got.KeepLast != want || source == nil || source.Retention != got {
				t.Errorf("%q: %+v of %+v, %v; want %d", name, got, source, err, want)
			}
		}
		if got, source, err := v.RetentionOf(hawser.AgentID{Namespace: "x", Name: "crewman"}); err != nil || source != nil || got != hawser.DefaultRetention() {
			t.Errorf("without a policy: %+v of %+v, %v", got, source, err)
		}
		all, err := v.Policies("")
		one, err2 := v.Policies("x")
		if err != nil || err2 != nil || len(all) != 5 || len(one) != 1 || all[3].Prefix != "crew/a/b" || one[0] != all[4] {
			t.Errorf("policies: %+v, %+v, %v, %v", all, one, err, err2)
		}
	})
}

// A scan goes on where it ended, looks at each agent once, and a dry run
// counts the agents that the policy would be for.
func TestView_PruneScanPages(t *testing.T) {
	d := newDriver(t)
	d.now = 1e18
	for _, name := range []string{"crew", "crew/a", "crew/b", "crew/b/c", "crewman", "x"} {
		for range 3 {
			d.save(inDefault(name))
		}
	}
	d.must(&SetRetention{Namespace: "default", Rules: &hawser.Retention{KeepLast: 2}})
	d.must(&SetRetention{Namespace: "default", Prefix: "crew/b", Rules: &hawser.Retention{KeepLast: 3}})
	names := func(next func(v *View, after hawser.AgentID) ([]Prunable, hawser.AgentID, bool, error)) (found []string) {
		d.view(func(v *View) {
			var after hawser.AgentID
			for more := true; more; {
				items, last, again, err := next(v, after)
				if err != nil {
					t.Fatal(err)
				}
				for _, item := range items {
					found = append(found, fmt.Sprintf("%s %v %d", item.Agent.Name, item.Ranges, item.Versions))
				}
				after, more = last, again
			}
		})
		return found
	}
	for _, limit := range []int{0, 1, 2, 5, 6, 7} {
		got := names(func(v *View, after hawser.AgentID) ([]Prunable, hawser.AgentID, bool, error) {
			return v.PruneScan(after, limit, time.Unix(0, d.now))
		})
		if want := []string{"crew [{1 1}] 1", "crew/a [{1 1}] 1", "crewman [{1 1}] 1", "x [{1 1}] 1"}; !slices.Equal(got, want) {
			t.Errorf("limit %d: %v, want %v", limit, got, want)
		}
	}
	one := &hawser.Retention{KeepLast: 1}
	for name, tc := range map[string]struct {
		prefix string
		rules  *hawser.Retention
		want   []string
	}{
		"a policy for some":        {"crew", one, []string{"crew [] 2", "crew/a [] 2"}},
		"the policy of a longer":   {"crew/b", one, []string{"crew/b [] 2", "crew/b/c [] 2"}},
		"an agent's own":           {"crew/b/c", one, []string{"crew/b/c [] 2"}},
		"for all":                  {"", one, []string{"crew [] 2", "crew/a [] 2", "crewman [] 2", "x [] 2"}},
		"one removed":              {"crew/b", nil, []string{"crew/b [] 1", "crew/b/c [] 1"}},
		"the last one removed":     {"", nil, nil},
		"rules that keep all":      {"crew", &hawser.Retention{}, nil},
		"a prefix that nobody has": {"zzz", one, nil},
	} {
		got := names(func(v *View, after hawser.AgentID) ([]Prunable, hawser.AgentID, bool, error) {
			return v.PruneDryRun("default", tc.prefix, tc.rules, after, 2, time.Unix(0, d.now))
		})
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

// Policies are limited; setting what is there is no change.
func TestSetRetention_Limits(t *testing.T) {
	d := newDriver(t)
	set := func(n int, rules *hawser.Retention) *SetRetention {
		return &SetRetention{Namespace: "default", Prefix: fmt.Sprintf("agent-%d", n), Rules: rules}
	}
	keep := &hawser.Retention{KeepLast: 3}
	var commands []Command
	for n := range hawser.MaxPolicies + 1 {
		commands = append(commands, set(n, keep))
	}
	results := d.results(commands...)
	for n, res := range results {
		if full := n == hawser.MaxPolicies; errors.Is(res.Err, hawser.ErrRefused) != full || !full && res.Err != nil {
			t.Fatalf("policy %d: %v", n, res.Err)
		}
	}
	before := d.m.Info().Revision
	if res := d.must(set(3, keep)); res.Revision != before {
		t.Error("the same policy again made a revision")
	}
	if res := d.must(set(hawser.MaxPolicies, nil)); res.Revision != before {
		t.Error("removing a policy that is not there made a revision")
	}
	if res := d.must(set(3, nil)); res.Revision != before+1 {
		t.Error("removing a policy made no revision")
	}
	d.must(set(hawser.MaxPolicies, &hawser.Retention{}))
	for _, bad := range []*SetRetention{
		{}, {Namespace: "a\x00b"}, {Namespace: "a", Prefix: "\x01"}, {Namespace: "a", Prefix: "/"}, {Namespace: "a", Rules: &hawser.Retention{KeepWithin: -1}},
	} {
		if err := bad.check(); !errors.Is(err, hawser.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if res := d.results(&SetRetention{})[0]; !errors.Is(res.Err, hawser.ErrInvalid) {
		t.Errorf("without a namespace: %v", res.Err)
	}
}

// BenchmarkPruneScan looks at agents of which nothing is due: few versions,
// many versions that are all young, and many of which only the oldest counts.
// One operation is one agent.
func BenchmarkPruneScan(b *testing.B) {
	for name, tc := range map[string]struct {
		versions int
		rules    hawser.Retention
	}{
		"few":    {2, hawser.DefaultRetention()},
		"last":   {30, hawser.Retention{KeepLast: 10, KeepWithin: time.Hour}},
		"hourly": {30, hawser.Retention{KeepLast: 10, KeepHourly: 24}},
	} {
		b.Run(name, func(b *testing.B) {
			d := newDriver(b)
			d.now = 1e18
			const agents = 500
			for n := range agents {
				for range tc.versions {
					d.now += int64(time.Hour)
					d.save(inDefault(fmt.Sprintf("agent-%04d", n)))
				}
				d.now -= int64(tc.versions) * int64(time.Hour)
			}
			d.now += int64(tc.versions) * int64(time.Hour)
			d.must(&SetRetention{Namespace: "default", Rules: &tc.rules})
			d.view(func(v *View) {
				items, _, _, err := v.PruneScan(hawser.AgentID{}, 0, time.Unix(0, d.now))
				if err != nil {
					b.Fatal(err)
				}
				for _, item := range items {
					d.must(&Prune{Agent: item.Agent, Ranges: item.Ranges, Stamp: v.RetentionStamp()})
				}
			})
			if err := d.m.Flush(); err != nil { // overwritten records are not what is measured
				b.Fatal(err)
			}
			b.ResetTimer()
			d.view(func(v *View) {
				for n := 0; n < b.N; n += agents {
					if items, _, _, err := v.PruneScan(hawser.AgentID{}, 0, time.Unix(0, d.now)); err != nil || len(items) > 0 {
						b.Fatal(items, err)
					}
				}
			})
		})
	}
}
