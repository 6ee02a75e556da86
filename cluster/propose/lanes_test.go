// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package propose

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// kinds says of what each entry after the first one is made.
func (r *rig) kinds() []string {
	var kinds []string
	for _, e := range r.entries()[1:] {
		kind := "normal"
		if _, bulk := e.batch.Commands[0].(*fsm.Part); bulk {
			kind = "part"
		}
		for _, c := range e.batch.Commands[1:] {
			if _, bulk := c.(*fsm.Part); bulk || kind == "part" {
				kind = "mixed"
			}
		}
		kinds = append(kinds, kind)
	}
	return kinds
}

func (r *rig) wantKinds(want ...string) {
	r.t.Helper()
	if got := r.kinds(); !slices.Equal(got, want) {
		r.t.Fatalf("entries %v, want %v", got, want)
	}
}

// Claim: parts fill the log while nothing else wants in; a save that comes
// then is handed over at once, before all parts that wait, and as long as saves
// wait one part at a time is under way.
func TestLanes_SavesComeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.Close()
		r.lead(1)
		var parts []*pending
		for n := range 8 {
			parts = append(parts, r.submit(t.Context(), part(n, 1000)))
		}
		r.wantKinds("part", "part")
		first := r.submit(t.Context(), save(100, 10))
		r.wantKinds("part", "part", "normal")
		second := r.submit(t.Context(), save(101, 10))
		third := r.submit(t.Context(), save(102, 10))
		fourth := r.submit(t.Context(), save(103, 10))
		r.wantKinds("part", "part", "normal", "normal") // the others gather
		next := func() {
			r.apply(r.applies())
			synctest.Wait()
		}
		next()
		r.wantKinds("part", "part", "normal", "normal") // one part is still under way
		next()
		r.wantKinds("part", "part", "normal", "normal", "part")
		next() // the first save: the others follow, nothing waits any more
		r.wantKinds("part", "part", "normal", "normal", "part", "normal", "part")
		first.want(t, hawser.CodeOK)
		second.waits(t)
		next() // the second save
		next() // a part
		r.wantKinds("part", "part", "normal", "normal", "part", "normal", "part", "part")
		next() // the other saves
		third.want(t, hawser.CodeOK)
		fourth.want(t, hawser.CodeOK)
		for range 5 {
			next()
		}
		r.wantKinds("part", "part", "normal", "normal", "part", "normal", "part", "part", "part", "part", "part")
		for n, w := range parts {
			w.want(t, hawser.CodeOK)
			if w.result.Number != uint64(n) {
				t.Errorf("part %d got the result of %d", n, w.result.Number)
			}
		}
	})
}

// applies returns the position of the next entry to apply.
func (r *rig) applies() int {
	r.next++
	return r.next
}

// Claim: what does not fit into the bulk lane waits outside, unrefused, until
// there is room or its caller leaves; loss of leadership and Close end all of
// it; nothing of it counts against the other commands.
func TestLanes_BulkWaitsForAPlace(t *testing.T) {
	for name, tt := range map[string]struct {
		end        func(*rig)
		in, beyond hawser.Code
	}{
		"deposed": {(*rig).depose, hawser.CodeNotLeader, hawser.CodeNotLeader},
		"closed":  {func(r *rig) { r.Close() }, hawser.CodeUnavailable, hawser.CodeUnavailable},
		"applied": {func(r *rig) {
			for n := range 5 {
				r.apply(1 + n)
				synctest.Wait()
			}
		}, hawser.CodeOK, hawser.CodeOK},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(c *Config) { c.MaxInFlight, c.MaxBulk, c.MaxQueueBytes = 1, 3, 2000 })
				defer r.Close()
				r.lead(1)
				r.submit(t.Context(), part(0, 1500))
				in := []*pending{r.submit(t.Context(), part(1, 1500)), r.submit(t.Context(), part(2, 1500))}
				ctx, cancel := context.WithCancel(t.Context())
				left := r.submit(ctx, part(3, 1500))
				beyond := r.submit(t.Context(), part(4, 1500))
				if s := r.Stats(); s.Queued != 2 || s.InFlight != 1 {
					t.Fatalf("stats %+v, want two parts queued", s)
				}
				r.submit(t.Context(), save(100, 1500)) // has room
				cancel()
				synctest.Wait()
				left.want(t, hawser.CodeCanceled)
				beyond.waits(t)
				tt.end(r)
				synctest.Wait()
				for _, w := range in {
					w.want(t, tt.in)
				}
				beyond.want(t, tt.beyond)
			})
		})
	}
}

// Claim: Pause waits for the bulk lane too, and what comes meanwhile is refused.
func TestLanes_PauseWaitsForBulk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.MaxInFlight = 1 })
		defer r.Close()
		r.lead(1)
		r.submit(t.Context(), part(0, 10))
		r.submit(t.Context(), part(1, 10))
		paused := make(chan error, 1)
		go func() { paused <- r.Pause(t.Context()) }()
		synctest.Wait()
		r.submit(t.Context(), part(2, 10)).want(t, hawser.CodeUnavailable)
		r.apply(1)
		synctest.Wait()
		if len(paused) != 0 {
			t.Fatal("paused while a part is under way")
		}
		r.apply(2)
		if err := <-paused; err != nil {
			t.Fatal(err)
		}
	})
}
