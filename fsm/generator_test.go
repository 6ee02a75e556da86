// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/record"
)

// randomLog returns n entries of every kind of command: most of them fit, some
// conflict, repeat, mismatch or come too late. A machine that applies them
// while they are made, one at a time, says what fits.
func randomLog(t *testing.T, rng *rand.Rand, n int) []fsm.Entry {
	t.Helper()
	g := newGenerator(t, rng)
	entries := make([]fsm.Entry, 0, n)
	index := uint64(0)
	for len(entries) < n {
		index += 1 + rng.Uint64N(2) // raft keeps some indexes to itself
		if rng.IntN(20) == 0 {
			entries = append(entries, fsm.Entry{Index: index, Term: 1, Kind: fsm.EntryConfiguration, Data: fmt.Appendf(nil, "configuration %d", index)})
			continue
		}
		stamp := int64(1e9) + int64(index)*1e6 - rng.Int64N(5e6)
		var commands []fsm.Command
		for range 1 + rng.IntN(5) {
			for _, c := range g.commands() {
				g.apply(stamp, c)
				commands = append(commands, c)
			}
		}
		entries = append(entries, command(index, stamp, commands...))
	}
	return entries
}

// generator makes commands for a machine that it drives.
type generator struct {
	t     *testing.T
	rng   *rand.Rand
	m     *fsm.Machine
	model *model
	index uint64
	// states holds every state that was saved, or tried to be.
	states map[hawser.Hash][]byte
	sent   []fsm.Command
	// marks counts the states that came with votes.
	marks int
}

func newGenerator(t *testing.T, rng *rand.Rand) *generator {
	t.Helper()
	states := map[hawser.Hash][]byte{}
	return &generator{
		t: t, rng: rng, m: open(t, "state", smallEngine(vfs.NewMem())), states: states,
		model: &model{
			t: t, agents: map[hawser.AgentID]*modelAgent{}, txns: map[hawser.TxnID]*modelTxn{}, states: states,
			committed: map[hawser.Hash]bool{}, outcomes: map[string]int{},
		},
	}
}

// apply applies one command and compares with the model.
func (g *generator) apply(stamp int64, c fsm.Command) fsm.Result {
	g.t.Helper()
	g.index++
	out, err := g.m.Apply([]fsm.Entry{command(g.index, stamp, c)})
	if err != nil {
		g.t.Fatalf("%T %+v: %v", c, c, err)
	}
	g.model.time = max(g.model.time, stamp)
	g.model.step(c, out[0].Results[0], g.states)
	return out[0].Results[0]
}

func (g *generator) name() hawser.AgentID {
	return agentID([]string{"a", "b", "crew/x", "crew/y", "fork"}[g.rng.IntN(5)])
}

// commands returns what to do next: mostly one command.
func (g *generator) commands() []fsm.Command {
	if len(g.sent) > 0 && g.rng.IntN(10) == 0 { // a repeat, maybe long after
		return []fsm.Command{g.sent[len(g.sent)-1-g.rng.IntN(min(len(g.sent), 200))]}
	}
	commands := g.fresh()
	switch c := commands[len(commands)-1].(type) {
	case *fsm.Save, *fsm.Rollback, *fsm.Fork, *fsm.Delete, *fsm.Part, *fsm.MakeCut, *fsm.RollbackCut, *fsm.SaveAll:
		g.sent = append(g.sent, c)
	}
	return commands
}

func (g *generator) fresh() []fsm.Command {
	id := g.name()
	a := g.model.agent(id)
	q := fsm.Request{Nonce: nonce(fmt.Sprint(g.rng.Uint64())), Seen: a.head(), Generation: g.model.generation}
	if g.rng.IntN(15) == 0 {
		q.Seen, q.Generation, q.Attempt = q.Seen/2, 77, g.rng.Uint32N(2)
	}
	var expect *uint64
	if g.rng.IntN(3) > 0 {
		live := a.live
		expect = &live
	}
	one := func(c fsm.Command) []fsm.Command { return []fsm.Command{c} }
	switch n := g.rng.IntN(152); {
	case n < 1:
		return one(&fsm.Audit{Mark: fsm.Mark{Index: g.rng.Uint64N(300), Digest: g.rng.Uint64()}})
	case n < 2:
		return one(&fsm.LeaderStart{Term: g.rng.Uint64N(9), Node: "n1-aaaaaaaa", ClusterID: [16]byte{7}, Generation: 77})
	case n < 6:
		return one(&fsm.Reclaim{Agent: id, Limit: 1 + g.rng.Uint32N(20)})
	case n < 8:
		return one(&fsm.Delete{Agent: id, Request: q, Fence: g.fence(id)})
	case n < 14:
		return one(&fsm.Rollback{Agent: id, Request: q, Expect: expect, Number: 1 + g.number(a), Instance: "roller", Fence: g.fence(id), Force: g.rng.IntN(9) == 0})
	case n < 20:
		return one(&fsm.Fork{Agent: id, Request: q, Source: g.name(), Number: g.number(a), Instance: "forker", Fence: g.fence(id)})
	case n < 24:
		return one(&fsm.Pin{Agent: id, Number: g.number(a) + 1, Pinned: g.rng.IntN(2) == 0})
	case n < 34:
		return one(g.prune(id, a))
	case n < 42:
		return g.replace(id, a)
	case n < 44:
		return one(g.markBad(id, a))
	case n < 46:
		return one(g.part())
	case n < 48:
		return one(g.expire())
	case n < 49:
		return one(&fsm.TrimEvents{Before: hawser.Revision(g.rng.Uint64N(g.model.revision + 3))})
	case n < 70:
		return one(g.coordinate())
	case n < 115:
		return g.transact()
	case n < 119:
		return one(g.several())
	case n < 122:
		return one(g.saveAll())
	}
	return g.save(id, a, q, expect, "")
}

// number returns a number below the head's that is mostly there.
func (g *generator) number(a *modelAgent) uint64 {
	if a.head() == 0 {
		return 0
	}
	n := g.rng.Uint64N(a.head())
	for range 3 {
		if v, _ := a.version(n + 1); v == nil {
			n = g.rng.Uint64N(a.head())
		}
	}
	return n
}

func (g *generator) prune(id hawser.AgentID, a *modelAgent) *fsm.Prune {
	p := &fsm.Prune{Agent: id, Stamp: g.model.retention + uint64(g.rng.IntN(20)/19)}
	for from := 1 + g.number(a); from <= a.head() && len(p.Ranges) < 3; {
		to := from + g.rng.Uint64N(12)
		p.Ranges = append(p.Ranges, fsm.NumberRange{From: from, To: to})
		from = to + 1 + g.rng.Uint64N(5)
	}
	return p
}

func (g *generator) markBad(id hawser.AgentID, a *modelAgent) *fsm.MarkBad {
	m := &fsm.MarkBad{Agent: id, Number: 1 + g.number(a)}
	if v, _ := a.version(m.Number); v != nil && g.rng.IntN(4) > 0 {
		m.SHA256 = v.sha
	}
	return m
}

// replace makes the keyframe with which the dead start of a segment can go.
func (g *generator) replace(id hawser.AgentID, a *modelAgent) []fsm.Command {
	v, err := g.m.View()
	if err != nil {
		g.t.Fatal(err)
	}
	defer v.Close()
	number := 1 + g.number(a)
	_, path, err := v.Path(id, number)
	if err != nil {
		return []fsm.Command{&fsm.Replace{Segment: g.rng.Uint64N(9), Stamp: 1 << 40, Content: record.EncodeKeyframe(nil)}}
	}
	at := path.Places[len(path.Places)-1]
	info, ok, err := v.Segment(at.Segment)
	if err != nil || !ok {
		g.t.Fatal(ok, err)
	}
	r := &fsm.Replace{Segment: at.Segment, Position: at.Position, Stamp: info.Stamp + uint64(g.rng.IntN(10)/9)}
	parts := g.stage(&r.Content, record.EncodeKeyframe(a.numbers[number-1].state))
	return append(parts, r)
}

func (g *generator) part() *fsm.Part {
	data := make([]byte, 1+g.rng.IntN(30))
	return &fsm.Part{Upload: [16]byte{1, byte(g.rng.IntN(3))}, Index: g.rng.Uint32N(3), CRC32C: record.Checksum(data), Data: data}
}

func (g *generator) expire() *fsm.ExpireUploads {
	v, err := g.m.View()
	if err != nil {
		g.t.Fatal(err)
	}
	defer v.Close()
	uploads, err := v.Uploads(0)
	if err != nil {
		g.t.Fatal(err)
	}
	e := &fsm.ExpireUploads{Uploads: [][16]byte{{9}}}
	for _, u := range uploads {
		e.Uploads = append(e.Uploads, u.ID)
		e.Before = u.TouchedAt.UnixNano() + g.rng.Int64N(2)
	}
	return e
}

// stage sets dst to content, mostly inline; else it returns what stages it,
// mostly all of it.
func (g *generator) stage(dst *record.Content, content record.Content) []fsm.Command {
	*dst = content
	if g.rng.IntN(8) > 0 && len(content.Data) <= record.MaxInline || len(content.Data) == 0 {
		return nil
	}
	id := [16]byte(fmt.Appendf(nil, "%016x", g.rng.Uint64()))
	var parts []fsm.Command
	for i, data := range record.PartsOf(content.Data) {
		parts = append(parts, &fsm.Part{Upload: id, Index: uint32(i), CRC32C: record.Checksum(data), Data: data})
	}
	dst.Parts, dst.Upload, dst.Data = uint32(len(parts)), id, nil
	g.rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	if g.rng.IntN(15) == 0 {
		parts = parts[1:]
	}
	return parts
}

// save makes a save of a state that has a mark in it.
func (g *generator) save(id hawser.AgentID, a *modelAgent, q fsm.Request, expect *uint64, mark string) []fsm.Command {
	var base *modelNumber
	if a.head() > 0 {
		base = a.numbers[a.head()-1-min(a.head()-1, uint64(g.rng.IntN(30)/28))]
	}
	state := marked(g.state(base), mark)
	s := &fsm.Save{Agent: id, Request: q, Expect: expect, Instance: "saver" + mark, ContentType: mark, Schema: mark, Fence: g.fence(id), Force: g.rng.IntN(40) == 0, SHA256: sha256.Sum256(state), Size: uint64(len(state))}
	g.states[s.SHA256] = state
	content := record.EncodeKeyframe(state)
	if base != nil && base.kind.MakesVersion() && g.rng.IntN(8) > 0 {
		if delta, ok := record.EncodeDelta(base.state, state); ok {
			content, s.Base = delta, &fsm.Base{Number: a.live, SHA256: base.sha}
		}
	}
	if g.rng.IntN(3) == 0 {
		s.Labels = map[string]string{"step": fmt.Sprint(a.head()), "by": id.Name, "run": "1"}
	}
	if mark != "" {
		s.Labels = map[string]string{"mark": mark}
	}
	for g.rng.IntN(4) == 0 {
		s.DerivedFrom = append(s.DerivedFrom, hawser.VersionRef{Agent: g.name(), Number: 1 + g.rng.Uint64N(20)})
	}
	return append(g.stage(&s.Content, content), s)
}

// state returns a new state, mostly like the one before.
func (g *generator) state(base *modelNumber) []byte {
	if base == nil || len(base.state) == 0 || g.rng.IntN(10) == 0 {
		state := fmt.Appendf(nil, "%d %s", g.rng.Uint64(), make([]byte, g.rng.IntN(900)))
		for range 40 + g.rng.IntN(100) { // does not pack well
			state = fmt.Appendf(state, "%x", g.rng.Uint64())
		}
		if g.rng.IntN(100) == 0 {
			for len(state) < 3*record.PartSize/2 {
				state = fmt.Appendf(state, "%x", g.rng.Uint64())
			}
		}
		return state
	}
	state := append([]byte{}, base.state...)
	for range 1 + g.rng.IntN(3) {
		copy(state[g.rng.IntN(len(state)):], fmt.Sprintf("%x", g.rng.Uint32()))
	}
	return append(state, fmt.Sprint(g.rng.IntN(9))...)
}
