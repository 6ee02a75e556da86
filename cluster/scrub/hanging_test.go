// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package scrub

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/rebuild"
	"github.com/hawserdb/hawser/internal/record"
)

// hanging is the view of a node, and its peers, of which one never answers.
// Versions that are listed by agent do not verify here; at the peer that
// answers they are what the list says.
type hanging struct {
	suspects map[hawser.AgentID]Report

	mu       sync.Mutex
	asked    map[hawser.AgentID]int
	verified map[hawser.AgentID]time.Time
	marked   []hawser.AgentID
}

func (h *hanging) scrubber() *Scrubber {
	return New(Config{
		Self: "n0", View: func() (View, error) { return hangingView{h}, nil }, Gate: rebuild.New(), Peers: h, Leads: func() bool { return true },
		Submit: func(_ context.Context, c fsm.Command) (fsm.Result, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.marked = append(h.marked, c.(*fsm.MarkBad).Agent)
			return fsm.Result{}, nil
		},
		Halt: func(err error) { panic(err) }, Logger: slog.New(slog.DiscardHandler),
	})
}

func (h *hanging) Voters() []string { return []string{"n0", "n1", "n2"} }
func (h *hanging) Leader() string   { return "n0" }

func (h *hanging) Stored(ctx context.Context, node string, version hawser.VersionRef) (Report, error) {
	if node == "n2" {
		<-ctx.Done()
		return Report{}, ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked[version.Agent]++
	return h.suspects[version.Agent], nil
}

func (h *hanging) Content(context.Context, string, uint64, uint32) (c record.Content, stamp uint64, err error) {
	return c, 0, errDown
}

func (h *hanging) Part(context.Context, string, [16]byte, uint32) ([]byte, error) {
	return nil, errDown
}
func (h *hanging) Suspect(context.Context, string, hawser.VersionRef) error { return errDown }

// hangingView has one version of every agent.
type hangingView struct{ *hanging }

func (v hangingView) Info() fsm.Info { return fsm.Info{Time: time.Now()} }
func (v hangingView) Agent(id hawser.AgentID) (hawser.Agent, error) {
	return hawser.Agent{ID: id, Head: 1}, nil
}

func (v hangingView) AgentsAfter(hawser.AgentID, int) ([]hawser.AgentID, error) { return nil, nil }

func (v hangingView) Verify(id hawser.AgentID, number, _ uint64, yield func(fsm.Verdict) bool) (uint64, error) {
	found := fsm.Verdict{Version: hawser.Version{Agent: id, Number: number}}
	if _, ok := v.suspects[id]; ok {
		found.Err = hawser.ErrCorrupt
	} else {
		v.mu.Lock()
		v.verified[id] = time.Now()
		v.mu.Unlock()
	}
	yield(found)
	return 0, nil
}

func (v hangingView) Sums(id hawser.AgentID, number uint64) (hawser.Version, []fsm.Sum, error) {
	return hawser.Version{Agent: id, Number: number, State: hawser.VersionLive}, []fsm.Sum{{Segment: 1}}, nil
}

func (v hangingView) ContentAt(uint64, uint32) (c record.Content, stamp uint64, err error) {
	return c, 0, errDown
}

func (v hangingView) Version(id hawser.AgentID, number uint64) (hawser.Version, error) {
	return hawser.Version{Agent: id, Number: number}, nil
}

func (v hangingView) Impact(context.Context, hawser.VersionRef, int) ([]fsm.Affected, bool, error) {
	return nil, false, nil
}

func (v hangingView) Load(c record.Content) (record.Content, error) { return c, errDown }

func (v hangingView) Versions(id hawser.AgentID, _ uint64, _ int) ([]hawser.Version, error) {
	return []hawser.Version{{Agent: id, Number: 1, State: hawser.VersionLive}}, nil
}

func (v hangingView) Path(id hawser.AgentID, number uint64) (hawser.Version, fsm.Path, error) {
	return hawser.Version{Agent: id, Number: number}, fsm.Path{Places: []fsm.Place{{Segment: 1}}}, nil
}
func (v hangingView) Close() error { return nil }

func startHanging(t *testing.T, suspects map[hawser.AgentID]Report) (*hanging, *Scrubber) {
	t.Helper()
	h := &hanging{suspects: suspects, asked: map[hawser.AgentID]int{}, verified: map[hawser.AgentID]time.Time{}}
	s := h.scrubber()
	s.Start()
	t.Cleanup(s.Close)
	for id := range suspects {
		s.agenda.note(id, 1, time.Now())
	}
	return h, s
}

// Claim: while a voter does not answer and suspects cannot be decided on, every
// new head is verified within a minute, and every suspect is asked about.
func TestScrubber_HangingVoterDelaysNoHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		suspects := map[hawser.AgentID]Report{}
		for i := range 5 {
			suspects[agentID(fmt.Sprint("suspect", i))] = Report{Sums: []fsm.Sum{{Segment: 2}}} // other bytes, as bad
		}
		h, s := startHanging(t, suspects)
		saved := map[hawser.AgentID]time.Time{}
		for i := range 60 {
			id := agentID(fmt.Sprint("a", i))
			saved[id] = time.Now()
			s.agenda.note(id, 1, time.Now())
			time.Sleep(10 * time.Second)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		h.mu.Lock()
		defer h.mu.Unlock()
		for id, at := range saved {
			if verified, ok := h.verified[id]; !ok || verified.Sub(at) > time.Minute {
				t.Errorf("%s was saved at %s and verified at %s", id, at, verified)
			}
		}
		if len(h.asked) != len(suspects) || s.Stats().Suspects != len(suspects) {
			t.Errorf("asked about %v, %d suspects left", h.asked, s.Stats().Suspects)
		}
	})
}

// Claim: what a majority says is done soon, although a voter does not answer;
// it is a moment's chance for that to have what verifies.
func TestScrubber_MajorityIsEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		suspects := map[hawser.AgentID]Report{}
		for i := range 5 {
			suspects[agentID(fmt.Sprint("lie", i))] = Report{State: hawser.VersionLive, Sums: []fsm.Sum{{Segment: 1}}}
		}
		h, s := startHanging(t, suspects)
		time.Sleep(DefaultDelay + 20*time.Second)
		synctest.Wait()
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(h.marked) != len(suspects) || s.Stats().Suspects != 0 {
			t.Errorf("marked %v, %d suspects left", h.marked, s.Stats().Suspects)
		}
	})
}

// Claim: a voter where the version verifies is enough, at once.
func TestScrubber_OneThatVerifiesIsEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := agentID("altered")
		h, s := startHanging(t, map[hawser.AgentID]Report{id: {State: hawser.VersionLive, Verified: true}})
		own := Report{State: hawser.VersionLive}
		start := time.Now()
		_, what, node := s.ask(t.Context(), h.Voters(), hawser.VersionRef{Agent: id, Number: 1}, own)
		if what != altered || node != "n1" || time.Since(start) != 0 {
			t.Errorf("verdict %d, node %q after %s", what, node, time.Since(start))
		}
	})
}
