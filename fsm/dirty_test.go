// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/snapshot"
)

var marks = regexp.MustCompile(`«mark \d{6}»`)

// Claim: of what votes have staged, nothing is seen unless the transaction has
// committed (G5). Method: whatever comes with a vote bears a mark that is in no
// other vote, and over a random history everything that a view and the answers
// tell is searched for marks.
func TestView_ShowsNothingStaged(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	g := newGenerator(t, rand.New(rand.NewPCG(seed, 0)))
	seen, hidden := 0, 0
	for n := range 500 {
		var told strings.Builder
		for _, c := range g.commands() {
			told.WriteString(tell(g.apply(g.stamp(n), c)))
		}
		if n%8 == 0 {
			staged := g.staged()
			hidden += len(staged)
			g.tellAll(&told, staged)
		}
		found := marks.FindAllString(told.String(), -1)
		if len(found) == 0 {
			continue
		}
		committed := g.committedMarks()
		for _, mark := range found {
			if !committed[mark] {
				t.Fatalf("after %d steps %s is seen, and was not committed", n, mark)
			}
			seen++
		}
	}
	t.Logf("%d marks made, %d committed and seen %d times, %d staged ones looked for; %v", g.marks, len(g.committedMarks()), seen, hidden, g.model.outcomes)
	if seen == 0 || hidden == 0 {
		t.Error("nothing was committed, or nothing staged: the test shows nothing")
	}
}

// tell is all that a result says.
func tell(res fsm.Result) string {
	return fmt.Sprintf("%+v %+v %+v %v", res, res.Txn, res.Grant, res.Err)
}

func (g *generator) committedMarks() map[string]bool {
	committed := map[string]bool{}
	for sha := range g.model.committed {
		for _, mark := range marks.FindAll(g.states[sha], -1) {
			committed[string(mark)] = true
		}
	}
	return committed
}

// staged returns what undecided votes have brought.
func (g *generator) staged() (staged []*fsm.Save) {
	for _, t := range g.model.sortedTxns() {
		for _, p := range t.participants {
			if !t.state.Decided() && p.save != nil {
				staged = append(staged, p.save)
			}
		}
	}
	return staged
}

// tellAll writes all that a view tells.
func (g *generator) tellAll(w io.Writer, staged []*fsm.Save) {
	g.t.Helper()
	v, err := g.m.View()
	if err != nil {
		g.t.Fatal(err)
	}
	defer v.Close()
	say := func(what ...any) { fmt.Fprintf(w, "%+v\n", what) }
	agents, err := v.Agents("default", "", "", 0)
	say(agents, err, v.Info())
	for _, a := range agents {
		say(a.Version)
	}
	for id, a := range g.model.agents {
		for n := uint64(0); n <= a.head()+2; n++ {
			g.tellVersion(w, v, id, n)
		}
		versions, err := v.Versions(id, 0, hawser.MaxPage)
		say(versions, err)
		_, err = v.Verify(id, 0, 0, func(verdict fsm.Verdict) bool { say(verdict); return true })
		say(err)
		work, err := v.TxnWork(id)
		say(work.Open, work.Turn, work.Head, string(work.Payload), err)
		rewrites, _, err := v.Rewrites(id, 0)
		say(rewrites, err)
		holding, _, err := v.Holding(claim(id))
		say(holding, err)
	}
	for _, s := range staged {
		for _, kind := range []hawser.RequestKind{hawser.RequestSave, hawser.RequestTxn} {
			q := s.Request
			q.Generation = 0
			if out, err := v.Outcome(s.Agent, kind, q, s.Expect); err != nil || out.State == fsm.OutcomeDone {
				g.t.Fatalf("the outcome of a staged state: %+v, %v", out, err)
			}
		}
	}
	events, err := v.Events(0, 10_000)
	say(events, err)
	uploads, err := v.Uploads(0)
	say(uploads, err)
	infos, err := v.Txns("default", "", hawser.MaxPage)
	say(infos, err)
	g.tellArchive(w, v)
}

// tellVersion writes all that is told of one version, number 0 for the head.
func (g *generator) tellVersion(w io.Writer, v *fsm.View, id hawser.AgentID, n uint64) {
	g.t.Helper()
	version, state, err := v.Materialise(id, n)
	fmt.Fprintf(w, "%+v %s %v\n", version, state, err)
	version, err = v.Version(id, n)
	fmt.Fprintf(w, "%+v %v\n", version, err)
	_, sums, err := v.Sums(id, n)
	fmt.Fprintf(w, "%+v %v\n", sums, err)
	_, path, err := v.Path(id, n)
	for _, at := range path.Places {
		content, _, err := v.ContentAt(at.Segment, at.Position)
		fmt.Fprintf(w, "%s %v\n", content.Data, err)
	}
	fmt.Fprintln(w, err)
	affected, _, _ := v.Impact(g.t.Context(), hawser.VersionRef{Agent: id, Number: n}, 0)
	for _, a := range affected {
		for _, number := range a.Versions {
			if _, err := v.Version(a.Agent, number); err != nil {
				g.t.Fatalf("the impact of %s@%d is on %s@%d: %v", id, n, a.Agent, number, err)
			}
		}
	}
}

// tellArchive writes what an archive holds, unpacked where it is packed.
func (g *generator) tellArchive(w io.Writer, v *fsm.View) {
	g.t.Helper()
	var open *record.Content // lacks parts
	unpack := func(c *record.Content) {
		if c.Kind == record.Delta {
			return
		}
		state, err := c.Decode(1 << 30)
		fmt.Fprintf(w, "%s %v\n", state, err)
	}
	if err := v.Export(g.t.Context(), "", "", func(item snapshot.Item) error {
		fmt.Fprintf(w, "%s\n", snapshot.AppendItem(nil, item))
		switch item := item.(type) {
		case *snapshot.Content:
			c := item.Content
			if open = &c; c.Parts == 0 {
				unpack(open)
			}
		case *snapshot.Part:
			open.Data = append(open.Data, item.Data...)
			if item.Index+1 == open.Parts {
				unpack(open)
			}
		}
		return nil
	}); err != nil {
		g.t.Fatal(err)
	}
}
