// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// Claim: a version reflects what ended on its line of versions, and nothing that
// was rolled back.
func TestJournal_Reflects(t *testing.T) {
	rewinds := [][2]uint64{{10, 7}, {12, 4}, {15, 9}} // 13, 14 follow 4; 15 repeats 9
	for _, c := range []struct {
		number, since uint64
		want          bool
	}{
		{9, 9, true},
		{8, 9, false},
		{10, 9, false},
		{10, 7, true},
		{11, 9, false},
		{11, 11, true},
		{10, 10, false},
		{13, 11, false},
		{13, 5, false},
		{13, 4, true},
		{13, 13, true},
		{14, 13, true},
		{12, 12, false},
		{15, 9, true},
		{15, 13, false},
		{15, 10, false},
		{16, 16, true},
		{16, 8, true},
		{16, 11, false},
	} {
		if got := fsm.Reflects(rewinds, c.number, c.since); got != c.want {
			t.Errorf("version %d reflects what ended at %d: %t", c.number, c.since, got)
		}
	}
}

// effectModel is what the journals should say: for each agent its effects, shared
// with forks as long as they do not differ, and for each version what it reflects.
type effectModel struct {
	agents map[hawser.AgentID]*effectAgent
	// heads are the newest numbers of agents that were deleted.
	heads map[hawser.AgentID]uint64
}

type effectAgent struct {
	effects map[string]*modelEffect
	mine    map[string]bool // written by this agent, not only inherited
	// versions holds what each reflects; nil for a number that is no version.
	versions map[uint64]map[string]bool
	pending  map[string]bool // ended on their own since the newest version
	head     uint64
}

type modelEffect struct {
	state  hawser.EffectState
	result string
	nonce  hawser.Nonce
	key    string
}

func (a *effectAgent) write(id string, e modelEffect) {
	if old := a.effects[id]; old != nil && a.mine[id] {
		*old = e
		return
	}
	a.effects[id], a.mine[id] = &e, true
}

// Claim: over random histories with rollbacks, forks and deletes an effect that is
// done is never let run again, by nobody who had it or inherited it; its key stays
// the same; and whoever restores a version is told of all that is open and all
// that ended and is not in it. Method: a model with a map for each agent.
func TestEffects_Model(t *testing.T) {
	names := []hawser.AgentID{agentID("a"), agentID("b"), agentID("c"), agentID("d")}
	t.Run("four agents", func(t *testing.T) {
		testEffectModel(t, names, "begun", "known", "retried", "finished", "saved", "rollback", "fork", "delete", "mismatch")
	})
	// More rollbacks of one agent than a journal tells apart.
	t.Run("one agent", func(t *testing.T) { testEffectModel(t, names[:1], "begun", "rollback") })
}

func testEffectModel(t *testing.T, names []hawser.AgentID, wanted ...string) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	m := open(t, "state", smallEngine(vfs.NewMem()))
	model := &effectModel{agents: map[hawser.AgentID]*effectAgent{}, heads: map[hawser.AgentID]uint64{}}
	index := uint64(0)
	apply := func(c fsm.Command) fsm.Result {
		index++
		out, err := m.Apply([]fsm.Entry{command(index, int64(index)*1e6, c)})
		if err != nil {
			t.Fatalf("%T %+v: %v", c, c, err)
		}
		return out[0].Results[0]
	}
	apply(&fsm.LeaderStart{Term: 1, Node: "n", ClusterID: [16]byte{7}, Generation: 7})
	counts := map[string]int{}
	for n := range 2000 {
		model.step(t, rng, n, names[rng.IntN(len(names))], names, apply, counts)
		if n%10 == 0 {
			fsm.CheckStore(t, m)
			model.compare(t, m)
		}
		if t.Failed() {
			t.Fatalf("after step %d", n)
		}
	}
	t.Log(counts)
	for _, what := range wanted {
		if counts[what] == 0 {
			t.Errorf("nothing was %s: the model saw nothing", what)
		}
	}
}

func (x *effectModel) step(
	t *testing.T, rng *rand.Rand, n int, id hawser.AgentID, names []hawser.AgentID, apply func(fsm.Command) fsm.Result, counts map[string]int,
) {
	t.Helper()
	a := x.agents[id]
	q := fsm.Request{Nonce: nonce(fmt.Sprint("r", n))}
	if a == nil && len(x.agents) > 0 && rng.IntN(20) > 0 {
		return // rather a fork
	}
	if a == nil {
		a = &effectAgent{effects: map[string]*modelEffect{}, mine: map[string]bool{}, versions: map[uint64]map[string]bool{}, pending: map[string]bool{}}
		q.Seen = x.heads[id]
		res := apply(newSaveAt(id, n, q))
		if res.Err != nil {
			t.Fatal(res.Err)
		}
		a.head = res.Version.Number
		a.versions[a.head] = map[string]bool{}
		x.agents[id] = a
		return
	}
	q.Seen = a.head
	effect := fmt.Sprint("e", rng.IntN(12))
	e := a.effects[effect]
	switch k := rng.IntN(100); {
	case k < 35:
		policy := []hawser.EffectPolicy{hawser.OnUnknownAsk, hawser.OnUnknownRetry}[rng.IntN(2)]
		res := apply(&fsm.BeginEffect{Agent: id, ID: effect, Nonce: q.Nonce, Policy: policy})
		run := e == nil || e.state == hawser.EffectRetry || e.state == hawser.EffectOpen && policy == hawser.OnUnknownRetry
		if res.Err != nil || res.Begun != run || e != nil && e.key != res.Effect.Key || e != nil && !run && e.state == hawser.EffectDone && string(res.Effect.Result) != e.result {
			t.Fatalf("%s %s was %+v: %+v %+v", id, effect, e, res, res.Effect)
		}
		counts[map[bool]string{true: "begun", false: "known"}[run]]++
		if run {
			if e != nil {
				counts["retried"]++
			}
			a.write(effect, modelEffect{hawser.EffectOpen, "", q.Nonce, res.Effect.Key})
		}
	case k < 55:
		end := fsm.EffectEnd{ID: effect, Result: fmt.Append(nil, rng.IntN(2))}
		res := apply(&fsm.FinishEffect{Agent: id, End: end})
		a.ends(t, res.Err, end, counts, func() { a.pending[effect] = true })
	case k < 75:
		save := newSaveAt(id, n, q)
		if rng.IntN(2) == 0 {
			save.Effects = []fsm.EffectEnd{{ID: effect, Result: fmt.Append(nil, rng.IntN(2))}}
		}
		res := apply(save)
		for _, end := range save.Effects {
			a.ends(t, res.Err, end, counts, func() { a.pending[effect] = true })
		}
		if res.Err == nil {
			counts["saved"]++
			a.next(res.Number, a.versions[a.head])
			for _, end := range save.Effects {
				a.versions[a.head][end.ID] = true
			}
		}
	case k < 85:
		to := 1 + rng.Uint64N(a.head)
		if a.versions[to] == nil {
			return
		}
		res := apply(&fsm.Rollback{Agent: id, Request: q, Number: to})
		if res.Err != nil {
			t.Fatal(res.Err)
		}
		counts["rollback"]++
		a.pending = map[string]bool{}
		a.next(res.Number, a.versions[to])
	case k < 95:
		other := names[rng.IntN(len(names))]
		if x.agents[other] != nil {
			return
		}
		from := 1 + rng.Uint64N(a.head)
		if a.versions[from] == nil {
			return
		}
		res := apply(&fsm.Fork{Agent: other, Request: fsm.Request{Nonce: q.Nonce, Seen: x.heads[other]}, Source: id, Number: from})
		if res.Err != nil {
			t.Fatal(res.Err)
		}
		counts["fork"]++
		b := &effectAgent{effects: maps.Clone(a.effects), mine: map[string]bool{}, versions: map[uint64]map[string]bool{}, pending: map[string]bool{}}
		b.next(res.Number, a.versions[from])
		x.agents[other] = b
	default:
		if rng.IntN(3) > 0 || len(names) == 1 {
			return
		}
		res := apply(&fsm.Delete{Agent: id, Request: q})
		if res.Err != nil {
			t.Fatal(res.Err)
		}
		x.heads[id] = res.Number
		counts["delete"]++
		delete(x.agents, id)
	}
}

// ends compares the answer to an end of an effect.
func (a *effectAgent) ends(t *testing.T, got error, end fsm.EffectEnd, counts map[string]int, pending func()) {
	t.Helper()
	e := a.effects[end.ID]
	want := error(nil)
	switch {
	case e == nil:
		want = hawser.ErrNotFound
	case e.state == hawser.EffectDone && e.result != string(end.Result):
		want = hawser.ErrRequestMismatch
		counts["mismatch"]++
	case e.state != hawser.EffectDone:
		a.write(end.ID, modelEffect{hawser.EffectDone, string(end.Result), e.nonce, e.key})
		pending()
		counts["finished"]++
	}
	if want == nil && got != nil || want != nil && !errors.Is(got, want) {
		t.Fatalf("end of %s: %v, want %v", end.ID, got, want)
	}
}

// next notes a version that reflects what another one does, and what ended on
// its own before.
func (a *effectAgent) next(number uint64, reflects map[string]bool) {
	all := maps.Clone(reflects)
	maps.Copy(all, a.pending)
	a.pending = map[string]bool{}
	a.head = number
	a.versions[number] = all
}

func newSaveAt(id hawser.AgentID, n int, q fsm.Request) *fsm.Save {
	save := newSave(id, fmt.Sprint("state ", n), "")
	save.Request = q
	return save
}

func (x *effectModel) compare(t *testing.T, m *fsm.Machine) {
	t.Helper()
	v, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for id, a := range x.agents {
		listed, err := v.Effects(id, "", 0)
		if err != nil || len(listed) != len(a.effects) || !slices.IsSortedFunc(listed, func(a, b hawser.Effect) int { return cmpText(a.ID, b.ID) }) {
			t.Fatalf("%s: %v %v, want %d", id, listed, err, len(a.effects))
		}
		for number, reflects := range a.versions {
			told := map[string]hawser.Effect{}
			err := v.EffectsAt(id, number, func(e hawser.Effect) error {
				if _, twice := told[e.ID]; twice {
					t.Errorf("%s@%d: %s is told twice", id, number, e.ID)
				}
				told[e.ID] = e
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for effect, e := range a.effects {
				// What is told again though it is reflected does no harm.
				got, is := told[effect]
				if must := e.state == hawser.EffectOpen || !reflects[effect]; must && !is {
					t.Errorf("%s@%d: nothing is told of %s, which is %v", id, number, effect, e.state)
				}
				if is && (got.State != e.state || e.state == hawser.EffectDone && string(got.Result) != e.result || got.Key != e.key) {
					t.Errorf("%s@%d: %s is told as %+v, and is %+v", id, number, effect, got, e)
				}
			}
		}
	}
}

func cmpText(a, b string) int { return slices.Compare([]byte(a), []byte(b)) }

// Claim: a journal is bounded (G10): by its effects, and by their results, of
// which an open one has its part reserved; and forks of forks that begin effects
// are bounded in depth. At each bound there is an error that says so, and what was
// begun can still be ended.
func TestEffects_Bounds(t *testing.T) {
	m := open(t, "state", smallEngine(vfs.NewMem()))
	index := uint64(0)
	apply := func(commands ...fsm.Command) []fsm.Result {
		index++
		out, err := m.Apply([]fsm.Entry{command(index, int64(index)*1e6, commands...)})
		if err != nil {
			t.Fatal(err)
		}
		return out[0].Results
	}
	begin := func(id hawser.AgentID, effect string) *fsm.BeginEffect {
		return &fsm.BeginEffect{Agent: id, ID: effect, Nonce: nonce(effect), Policy: hawser.OnUnknownAsk}
	}
	large := make([]byte, hawser.MaxEffectResult)
	apply(newSave(agentID("a"), "s", "1"))
	opened := 0
	for ; ; opened++ {
		if err := apply(begin(agentID("a"), fmt.Sprint(opened)))[0].Err; err != nil {
			if !errors.Is(err, hawser.ErrOverloaded) {
				t.Fatal(err)
			}
			break
		}
	}
	if opened != hawser.MaxEffectResults/hawser.MaxEffectResult {
		t.Errorf("%d effects open at once", opened)
	}
	for i := range opened { // however long its result is, it has room
		res := apply(&fsm.FinishEffect{Agent: agentID("a"), End: fsm.EffectEnd{ID: fmt.Sprint(i), Result: large}})
		if res[0].Err != nil {
			t.Fatal(res[0].Err)
		}
	}
	if err := apply(begin(agentID("a"), "one more"))[0].Err; !errors.Is(err, hawser.ErrOverloaded) {
		t.Errorf("one more: %v", err)
	}
	apply(newSave(agentID("b"), "s", "1"))
	for i := range hawser.MaxEffects {
		id := fmt.Sprint(i)
		if res := apply(begin(agentID("b"), id), &fsm.FinishEffect{Agent: agentID("b"), End: fsm.EffectEnd{ID: id}}); res[0].Err != nil || res[1].Err != nil {
			t.Fatal(i, res[0].Err, res[1].Err)
		}
	}
	if err := apply(begin(agentID("b"), "one more"))[0].Err; !errors.Is(err, hawser.ErrOverloaded) {
		t.Errorf("one more: %v", err)
	}
	again := newSave(agentID("b"), "s2", "2")
	again.Request.Seen = 1
	if res := apply(again, &fsm.ForgetEffects{Agent: agentID("b"), Version: 2}, begin(agentID("b"), "one more")); res[1].Pruned != 1000 || !res[1].More || res[2].Err != nil {
		t.Errorf("%+v %v", res[1], res[2].Err)
	}
	last := "f0"
	apply(newSave(agentID(last), "s", "1"), begin(agentID(last), "x"))
	depth := 1
	for ; depth < 100; depth++ {
		next := fmt.Sprint("f", depth)
		res := apply(&fsm.Fork{Agent: agentID(next), Source: agentID(last), Request: fsm.Request{Nonce: nonce(next)}}, begin(agentID(next), "x"+next))
		if errors.Is(res[0].Err, hawser.ErrOverloaded) {
			break
		}
		if res[0].Err != nil || res[1].Err != nil {
			t.Fatal(res[0].Err, res[1].Err)
		}
		last = next
	}
	if depth != hawser.MaxForkDepth {
		t.Errorf("forks are %d deep", depth)
	}
	fsm.CheckStore(t, m)
}
