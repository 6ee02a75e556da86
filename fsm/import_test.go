// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/snapshot"
)

// archived returns what a machine exports, encoded.
func archived(t *testing.T, m *fsm.Machine, namespace, prefix string) (items [][]byte) {
	t.Helper()
	v, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if err := v.Export(t.Context(), namespace, prefix, func(item snapshot.Item) error {
		encoded := snapshot.AppendItem(nil, item)
		if _, err := snapshot.ParseItem(encoded); err != nil {
			t.Fatalf("exports %+v: %v", item, err)
		}
		items = append(items, encoded)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return items
}

// importer fills a machine.
type importer struct {
	t     *testing.T
	m     *fsm.Machine
	index uint64
	stamp int64
	name  hawser.Hash
}

func newImporter(t *testing.T, stamp int64) *importer {
	t.Helper()
	return &importer{t: t, m: open(t, "state", smallEngine(vfs.NewMem())), stamp: stamp, name: hawser.Hash{1, 2, 3}}
}

func (i *importer) apply(commands ...fsm.Command) []fsm.Result {
	i.t.Helper()
	i.index++
	out, err := i.m.Apply([]fsm.Entry{command(i.index, i.stamp, commands...)})
	if err != nil {
		i.t.Fatal(err)
	}
	return out[0].Results
}

func (i *importer) must(c fsm.Command) fsm.Result {
	i.t.Helper()
	res := i.apply(c)[0]
	if res.Err != nil {
		i.t.Fatalf("%T: %v", c, res.Err)
	}
	return res
}

func (i *importer) start() fsm.Result {
	i.t.Helper()
	i.must(&fsm.LeaderStart{Term: 1, Node: "n1-aaaaaaaa", ClusterID: [16]byte{9}, Generation: 78})
	return i.must(&fsm.ImportStart{Archive: i.name, Generation: 77, Revision: 1 << 40})
}

// fill sends all items in random groups, some of them again, and some commands
// of a client in between, which are refused.
func (i *importer) fill(rng *rand.Rand, items [][]byte) {
	i.t.Helper()
	for done := 0; done < len(items); {
		from := done - rng.IntN(min(done, 9)+1)
		to, size := from, 0
		for to < len(items) && to < from+1+rng.IntN(40) && size+len(items[to]) < 256<<10 {
			size += len(items[to])
			to++
		}
		results := i.apply(
			&fsm.ImportItems{Archive: i.name, Sequence: uint64(from), Items: items[from:to]},
			newSave(agentID("a"), "client", "client"),
		)
		if to > done {
			done = to
		}
		if results[0].Err != nil || results[0].Number != uint64(done) {
			i.t.Fatalf("items %d to %d of %d: %+v", from, to, len(items), results[0])
		}
		if !errors.Is(results[1].Err, hawser.ErrUnavailable) {
			i.t.Fatalf("a save while an archive is restored: %+v", results[1])
		}
	}
}

func (i *importer) end(items [][]byte) *fsm.ImportEnd {
	end := &fsm.ImportEnd{Archive: i.name}
	for _, encoded := range items {
		switch item, _ := snapshot.ParseItem(encoded); item := item.(type) {
		case *snapshot.Agent:
			if item.Live != 0 {
				end.Agents++
			}
		case *snapshot.Version:
			end.Versions++
		}
	}
	return end
}

// Claim: a machine that is filled from what another one exports has the same
// agents, versions and contents, exports the same, keeps all that is counted
// right, and goes on as the first one would: deltas, forks, prunes, deletes.
// Method: random histories and the model that they are compared with.
func TestImport_IsWhatWasExported(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for round := range uint64(3) {
		rng := rand.New(rand.NewPCG(seed, round))
		g := newGenerator(t, rng)
		g.run(0, 400)
		g.policies()
		items := archived(t, g.m, "", "")

		i := newImporter(t, g.stamp(0))
		i.start()
		i.fill(rng, items)
		res := i.must(i.end(items))
		if again := i.must(i.end(items)); again.Revision != res.Revision {
			t.Errorf("the end again made revision %d after %d", again.Revision, res.Revision)
		}
		info, before := i.m.Info(), g.m.Info()
		if info.Importing || info.Agents != before.Agents || info.Revision != 1<<40+1 || info.Generation != 1e9 || info.Time.Before(newest(items)) {
			t.Errorf("%+v after the import of %+v", info, before)
		}
		fsm.CheckStore(t, i.m)
		if again := archived(t, i.m, "", ""); !slices.EqualFunc(again, items, bytes.Equal) {
			t.Errorf("%d items exported, %d restored, and not the same", len(items), len(again))
		}
		g.model.coordination = modelCoordination{term: info.LeaderTerm} // of which nothing is in an archive
		clear(g.model.txns)
		g.model.cuts = nil // nor of cuts
		for _, a := range g.model.agents {
			for _, n := range a.numbers {
				n.txn = ""
			}
		}
		for _, a := range g.model.agents {
			if a.head() == 0 { // only ever claimed
				a.epoch = 0
			}
			a.fenced = a.epoch > 0
		}
		g.model.check(i.m)
		if t.Failed() {
			return
		}
		g.m, g.index, g.sent = i.m, i.index, nil
		g.model.generation, g.model.revision = uint64(info.Generation), uint64(info.Revision)
		g.run(400, 300)
		g.model.check(g.m)
		fsm.CheckStore(t, g.m)
	}
}

// newest returns when the newest version was made.
func newest(items [][]byte) (at time.Time) {
	for _, encoded := range items {
		if item, _ := snapshot.ParseItem(encoded); item != nil {
			if v, ok := item.(*snapshot.Version); ok && v.CreatedAt.After(at) {
				at = v.CreatedAt
			}
		}
	}
	return at
}

func (g *generator) stamp(n int) int64 { return int64(1e18) + int64(n)*1e6 }

// run applies so many commands, but for those of leaders, and compares with
// the model, which knows of no policies.
func (g *generator) run(from, n int) {
	g.t.Helper()
	v, err := g.m.View()
	if err != nil {
		g.t.Fatal(err)
	}
	g.model.retention = v.RetentionStamp()
	v.Close()
	g.model.generation = uint64(g.m.Info().Generation)
	for i := range n {
		for _, c := range g.commands() {
			if _, leader := c.(*fsm.LeaderStart); leader {
				continue
			}
			g.index++
			out, err := g.m.Apply([]fsm.Entry{command(g.index, g.stamp(from+i), c)})
			if err != nil {
				g.t.Fatal(err)
			}
			g.model.time = max(g.model.time, g.stamp(from+i))
			g.model.step(c, out[0].Results[0], g.states)
		}
	}
}

func (g *generator) policies() {
	g.t.Helper()
	for n, prefix := range []string{"", "crew", "crew/x"} {
		g.model.revision++
		g.apply(g.stamp(0), &fsm.SetRetention{Namespace: "default", Prefix: prefix, Rules: &hawser.Retention{KeepLast: uint64(n) + 5}})
	}
}

// Claim: the export of a prefix holds the agents below it and nothing that
// other agents saved after what they share; it can be restored by itself.
func TestExport_Prefix(t *testing.T) {
	i := newImporter(t, 1e18)
	state := strings.Repeat("a long state that is worth a delta; ", 40)
	var seen, of uint64
	save := func(name, state string) {
		i.t.Helper()
		s := newSave(agentID(name), state, name+state)
		s.Request.Seen = seen
		of = i.must(s).Number
	}
	save("crew/a", state)
	i.must(&fsm.Fork{Agent: agentID("crew-b"), Source: agentID("crew/a"), Number: of})
	i.must(&fsm.Fork{Agent: agentID("crew"), Source: agentID("crew/a"), Number: of})
	save("crewman", "other")
	i.must(&fsm.SetRetention{Namespace: "default", Rules: &hawser.Retention{KeepLast: 1}})
	i.must(&fsm.SetRetention{Namespace: "default", Prefix: "crew", Rules: &hawser.Retention{KeepLast: 1}})
	i.must(&fsm.SetRetention{Namespace: "default", Prefix: "crewman", Rules: &hawser.Retention{KeepLast: 1}})
	i.must(&fsm.Delete{Agent: agentID("crewman"), Request: fsm.Request{Nonce: nonce("d"), Seen: 1}})
	for prefix, want := range map[string]string{
		"":         "p: p:crew p:crewman a:crew s1 c1.0 v1 a:crew-b v1 a:crew/a v1 a:crewman",
		"crew":     "p:crew a:crew s1 c1.0 v1 a:crew/a v1",
		"crew/":    "a:crew/a s1 c1.0 v1",
		"crew/a":   "a:crew/a s1 c1.0 v1",
		"crew-b":   "a:crew-b s1 c1.0 v1",
		"crewman/": "",
		"crewman":  "p:crewman a:crewman",
		"nobody":   "",
	} {
		items := archived(t, i.m, "default", prefix)
		if got := outline(t, items); got != want {
			t.Errorf("%q exports %s, want %s", prefix, got, want)
		}
		view, err := i.m.View()
		if err != nil {
			t.Fatal(err)
		}
		n, err := view.CountAgents(t.Context(), "default", prefix)
		if want := strings.Count(want, "a:"); err != nil || n != uint64(want) {
			t.Errorf("%q: %d agents, %v, want %d", prefix, n, err, want)
		}
		view.Close()
		into := newImporter(t, 1e18)
		into.start()
		into.fill(rand.New(rand.NewPCG(1, 2)), items)
		into.must(into.end(items))
		fsm.CheckStore(t, into.m)
	}
}

// outline tells items in short.
func outline(t *testing.T, items [][]byte) string {
	t.Helper()
	var words []string
	for _, encoded := range items {
		item, err := snapshot.ParseItem(encoded)
		if err != nil {
			t.Fatal(err)
		}
		words = append(words, short(item))
	}
	return strings.Join(words, " ")
}

// Claim: what an agent shares with others is exported only as far as it needs
// it, once, and goes on where a later agent needs more.
func TestExport_SharedSegments(t *testing.T) {
	i := newImporter(t, 1e18)
	s := &script{t: t, m: i.m}
	lines := []string{
		"save b x/4000 req=1", "delta b x/4000+1 base=1 seen=1 req=2", "fork a source=b number=1 req=3", "delta b x/4000+2 base=2 seen=2 req=4",
		"fork c source=b number=3 req=5", "delta c x/4000+3 base=1 seen=1 req=6", "delta a x/4000+4 base=1 seen=1 req=7",
		"delta b x/4000+5 base=3 seen=3 req=8",
	}
	for _, line := range lines {
		i.must(s.parse(line))
	}
	items := archived(t, i.m, "", "")
	// c takes segment 1 on; b starts another one at its position 2.
	if got, want := outline(t, items), "a:a s1 c1.0 s2 c2.0 v1 v2 a:b s1 c1.1 c1.2 s3 c3.0 v1 v2 v3 v4 a:c s1 c1.3 v1 v2"; got != want {
		t.Errorf("exports\n%s, want\n%s", got, want)
	}
	into := newImporter(t, 1e18)
	into.start()
	into.fill(rand.New(rand.NewPCG(1, 2)), items)
	into.must(into.end(items))
	fsm.CheckStore(t, into.m)
	if again := archived(t, into.m, "", ""); !slices.EqualFunc(again, items, bytes.Equal) {
		t.Errorf("restored and exported again: %s", outline(t, again))
	}
}

// An export ends with the error of its reader or of its context.
func TestExport_Stops(t *testing.T) {
	i := newImporter(t, 1e18)
	for _, name := range []string{"a", "b", "c"} {
		i.must(newSave(agentID(name), name, name))
	}
	v, err := i.m.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	enough, n := errors.New("enough"), 0
	if err := v.Export(t.Context(), "", "", func(snapshot.Item) error {
		if n++; n == 3 {
			return enough
		}
		return nil
	}); !errors.Is(err, enough) || n != 3 {
		t.Errorf("%v after %d items", err, n)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	if err := v.Export(ctx, "", "", func(snapshot.Item) error { cancel(enough); return nil }); !errors.Is(err, enough) {
		t.Error(err)
	}
	if err := v.Export(t.Context(), "", "crew", nil); !errors.Is(err, hawser.ErrInvalid) {
		t.Errorf("a prefix without a namespace: %v", err)
	}
}

// Claim: an import, its abort, and what follows are the same however entries
// are grouped into deliveries. Method: the same entries one at a time and in
// random groups, compared by answers and digest.
func TestImport_AbortWithinADelivery(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 5))
	g := newGenerator(t, rng)
	g.run(0, 60)
	g.policies()
	items := archived(t, g.m, "", "")
	i := newImporter(t, g.stamp(0))
	var log []fsm.Entry
	add := func(c fsm.Command) { log = append(log, command(uint64(len(log)+1), i.stamp, c)) }
	add(&fsm.LeaderStart{Term: 1, Node: "n1-aaaaaaaa", ClusterID: [16]byte{9}, Generation: 78})
	for round := range 4 {
		add(&fsm.ImportStart{Archive: i.name, Revision: 1 << 40})
		to := len(items)
		if round < 3 {
			to = rng.IntN(len(items))
		}
		for n, item := range items[:to] {
			add(&fsm.ImportItems{Archive: i.name, Sequence: uint64(n), Items: [][]byte{item}})
		}
		if round < 3 {
			add(&fsm.ImportAbort{})
		}
	}
	add(i.end(items))
	for n := range 20 {
		add(newSave(agentID("new"), fmt.Sprint(n), fmt.Sprint(n)))
		add(&fsm.SetRetention{Namespace: "default", Prefix: "crew", Rules: &hawser.Retention{KeepLast: uint64(n)}})
	}
	first := newReplica(t, rng, log, nil)
	for first.next < len(log) {
		first.apply(1)
	}
	for range 5 {
		r := newReplica(t, rng, log, first.got)
		for r.next < len(log) {
			r.apply(1 + rng.IntN(len(log)))
		}
		if got, want := r.digest(), first.digest(); got != want {
			t.Fatalf("digest %v, the first replica's is %v", got, want)
		}
	}
	fsm.CheckStore(t, first.m)
	if got := first.m.Info(); got.Importing || got.Revision <= 1<<40 {
		t.Errorf("%+v", got)
	}
}

// Commands of an import that nobody proposes are refused.
func TestImport_Refuses(t *testing.T) {
	i := newImporter(t, 1e18)
	i.start()
	big := &fsm.ImportItems{Archive: i.name, Items: [][]byte{make([]byte, 200<<10), make([]byte, 100<<10)}}
	if res := i.apply(big)[0]; !errors.Is(res.Err, hawser.ErrInvalid) {
		t.Errorf("300 KiB of items: %v", res.Err)
	}
	i.must(&fsm.ImportItems{Archive: i.name, Items: [][]byte{parseItem("p:a:1")}})
}
