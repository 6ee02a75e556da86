// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package rebuild

import (
	"context"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/record"
)

func agentID(name string) hawser.AgentID { return hawser.AgentID{Namespace: "default", Name: name} }

// fake has versions 1 to n of every agent. It counts who rebuilds one that is
// large at the same time, and takes a second for each.
type fake struct {
	n     uint64
	large bool

	mu        sync.Mutex
	now, most int
}

func (f *fake) Agent(id hawser.AgentID) (hawser.Agent, error) {
	return hawser.Agent{ID: id, Head: f.n}, nil
}

func (f *fake) Versions(id hawser.AgentID, before uint64, limit int) (versions []hawser.Version, err error) {
	for number := min(before-1, f.n); number > 0 && len(versions) < limit; number-- {
		versions = append(versions, hawser.Version{Agent: id, Number: number, State: hawser.VersionLive})
	}
	return versions, nil
}

func (f *fake) Path(id hawser.AgentID, number uint64) (hawser.Version, fsm.Path, error) {
	v := hawser.Version{Agent: id, Number: number, Size: Large}
	if f.large {
		v.Size++
	}
	return v, fsm.Path{Places: []fsm.Place{{Segment: number}}}, nil
}

func (f *fake) ContentAt(uint64, uint32) (record.Content, uint64, error) {
	panic("the versions say how large they are")
}

func (f *fake) Load(record.Content) (record.Content, error) { panic("nothing is to load") }

func (f *fake) Verify(id hawser.AgentID, from, to uint64, yield func(fsm.Verdict) bool) (uint64, error) {
	f.mu.Lock()
	f.now++
	f.most = max(f.most, f.now)
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.now--
	}()
	for number := from; number <= to; number++ {
		time.Sleep(time.Second)
		if !yield(fsm.Verdict{Version: hawser.Version{Agent: id, Number: number}}) {
			break
		}
	}
	return 0, nil
}

// Claim: two who rebuild large versions never do so at the same time, and
// those who rebuild small ones do not wait for them; each gets every version
// once, in order, and is told how long it waited.
func TestGate_Verify(t *testing.T) {
	for name, c := range map[string]struct {
		large bool
		most  int
		took  time.Duration
	}{
		"large": {true, 1, 60 * time.Second},
		"small": {false, 3, 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, f, start := New(), &fake{n: 20, large: c.large}, time.Now()
				var all sync.WaitGroup
				var waited [3]time.Duration
				for i := range waited {
					all.Go(func() {
						var got []uint64
						next, wait, err := g.Verify(t.Context(), f, agentID("a"), 0, 0, func(v fsm.Verdict) bool {
							got = append(got, v.Version.Number)
							return true
						})
						waited[i] = wait
						if next != 0 || err != nil || len(got) != 20 || !slices.IsSorted(got) {
							t.Errorf("verified %v, next %d, %v", got, next, err)
						}
					})
				}
				all.Wait()
				if f.most != c.most || time.Since(start) != c.took {
					t.Errorf("%d at a time, in %s", f.most, time.Since(start))
				}
				if sum := waited[0] + waited[1] + waited[2]; (sum > 0) != c.large {
					t.Errorf("waited for %v", waited)
				}
			})
		})
	}
}

// Claim: who waits leaves when its context ends, with the cause, and has
// verified nothing; the one inside goes on, and the next gets in.
func TestGate_CancelledLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, f := New(), &fake{n: 1, large: true}
		leave, err := g.enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("gone")
		time.AfterFunc(time.Minute, func() { cancel(gone) })
		_, waited, err := g.Verify(ctx, f, agentID("a"), 0, 0, func(fsm.Verdict) bool { panic("it has no turn") })
		if !errors.Is(err, gone) || waited != time.Minute {
			t.Errorf("waited for %s: %v", waited, err)
		}
		leave()
		if _, _, err := g.Verify(ctx, f, agentID("a"), 0, 0, func(fsm.Verdict) bool { panic("it is gone") }); !errors.Is(err, gone) {
			t.Errorf("a context that has ended: %v", err)
		}
		seen := 0
		if _, _, err := g.Verify(t.Context(), f, agentID("a"), 0, 0, func(fsm.Verdict) bool { seen++; return true }); err != nil || seen != 1 {
			t.Errorf("the next verified %d: %v", seen, err)
		}
	})
}

// Claim: nobody holds the gate while yield runs, which may wait for others.
func TestGate_YieldIsOutside(t *testing.T) {
	g, f := New(), &fake{n: 1, large: true}
	_, _, err := g.Verify(t.Context(), f, agentID("a"), 0, 0, func(fsm.Verdict) bool {
		leave, err := g.enter(t.Context())
		if err == nil {
			leave()
		}
		return err == nil
	})
	if err != nil {
		t.Error(err)
	}
}

// history is a machine with the states that were saved as an agent's versions.
type history struct {
	t       *testing.T
	machine *fsm.Machine
	index   uint64
	states  [][]byte
}

func newHistory(t *testing.T) *history {
	t.Helper()
	machine, err := fsm.Open("a", fsm.Options{FS: vfs.NewMem(), CacheBytes: 1 << 20, MemTableBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = machine.Close() })
	return &history{t: t, machine: machine}
}

func (h *history) apply(c fsm.Command) {
	h.t.Helper()
	h.index++
	data := fsm.AppendBatch(nil, fsm.BatchID{byte(h.index)}, int64(h.index), [][]byte{fsm.AppendCommand(nil, c)})
	out, err := h.machine.Apply([]fsm.Entry{{Index: h.index, Term: 1, Kind: fsm.EntryCommand, Data: data}})
	if err == nil {
		err = out[0].Results[0].Err
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// save saves a state, by delta unless it is the first.
func (h *history) save(state []byte) {
	h.t.Helper()
	head := uint64(len(h.states))
	c := &fsm.Save{
		Agent: agentID("a"), Request: fsm.Request{Nonce: hawser.NewNonce(), Seen: head}, SHA256: sha256.Sum256(state),
		Size: uint64(len(state)), Content: record.EncodeKeyframe(state),
	}
	if head > 0 {
		base := h.states[head-1]
		c.Base = &fsm.Base{Number: head, SHA256: sha256.Sum256(base)}
		var ok bool
		if c.Content, ok = record.EncodeDelta(base, state); !ok {
			h.t.Fatal("no delta")
		}
	}
	h.apply(c)
	h.states = append(h.states, state)
}

// Claim: a version counts as large when a state on the way to it is, also one
// whose own version was removed, and not when only others of its agent are; and
// what is verified is what is there, past whatever was removed.
func TestGate_StatesOnTheWay(t *testing.T) {
	h := newHistory(t)
	small := make([]byte, 100<<10)
	_, _ = rand.NewChaCha8([32]byte{}).Read(small)
	h.save(small)
	h.save(append(slices.Clone(small), "more"...))
	h.save(slices.Repeat(small, Large/len(small)+1))
	h.save(small[:100])
	check := func(number uint64, want bool) {
		t.Helper()
		v, err := h.machine.View()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		if got, err := anyLarge(v, agentID("a"), []uint64{number}); got != want || err != nil {
			t.Errorf("version %d is large: %v, %v", number, got, err)
		}
	}
	for i, want := range []bool{false, false, true, true} {
		check(uint64(i+1), want)
	}
	h.apply(&fsm.Prune{Agent: agentID("a"), Ranges: []fsm.NumberRange{{From: 1, To: 3}}})
	check(4, true)
	v, err := h.machine.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	var got []uint64
	next, _, err := New().Verify(t.Context(), v, agentID("a"), 0, 0, func(found fsm.Verdict) bool {
		got = append(got, found.Version.Number)
		return found.Err == nil
	})
	if next != 0 || err != nil || !slices.Equal(got, []uint64{4}) {
		t.Errorf("verified %v, next %d, %v", got, next, err)
	}
}

// sparse has live versions of few numbers.
type sparse struct {
	fake
	live []uint64
}

func (s *sparse) Versions(id hawser.AgentID, before uint64, limit int) (versions []hawser.Version, err error) {
	for _, number := range slices.Backward(s.live) {
		if number < before && len(versions) < limit {
			versions = append(versions, hawser.Version{Agent: id, Number: number, State: hawser.VersionLive})
		}
	}
	return versions, nil
}

// Claim: going on from what is returned finds every live version once, however
// far apart they are.
func TestNumbers(t *testing.T) {
	live := []uint64{3, 64, 65, 66, 1000, 1_000_000, 1_000_001, 40_000_000}
	for number := range uint64(200) {
		live = append(live, 50_000_000+number)
	}
	s := &sparse{fake{n: live[len(live)-1]}, live}
	var got []uint64
	for from, more := uint64(0), true; more; more = from != 0 {
		some, next, err := numbers(s, agentID("a"), from, 0)
		if err != nil || len(some) > window {
			t.Fatalf("%d numbers, %v", len(some), err)
		}
		got, from = append(got, some...), next
	}
	if !slices.Equal(got, live) {
		t.Errorf("found %v", got)
	}
	if some, next, err := numbers(s, agentID("a"), 4, 65); !slices.Equal(some, []uint64{64, 65}) || next != 0 || err != nil {
		t.Errorf("numbers 4 to 65: %v, %d, %v", some, next, err)
	}
}
