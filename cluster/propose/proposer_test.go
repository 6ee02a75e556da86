// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package propose

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// Claim: what waits together becomes one entry, in order of arrival, and each
// caller gets the result of its own command.
func TestProposer_GathersWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.MaxInFlight = 1 })
		defer r.Close()
		r.lead(3)
		var calls []*pending
		for n := range 100 {
			calls = append(calls, r.submit(t.Context(), save(n, 10)))
		}
		if got := len(r.entries()); got != 2 { // LeaderStart and the first command
			t.Fatalf("%d entries while one is under way, want 2", got)
		}
		r.apply(1)
		synctest.Wait()
		log := r.entries()
		if len(log) != 3 || len(log[2].batch.Commands) != 99 {
			t.Fatalf("entries %v, want the other 99 commands in one", log)
		}
		for i, c := range log[2].batch.Commands {
			if number(c) != i+1 {
				t.Fatalf("command %d of the entry is %d: order lost", i, number(c))
			}
		}
		r.apply(2)
		synctest.Wait()
		for n, w := range calls {
			w.want(t, hawser.CodeOK)
			if w.result.Number != uint64(n) {
				t.Errorf("caller %d got the result of %d", n, w.result.Number)
			}
		}
		if s := r.Stats(); s.Batches != 2 || s.Commands != 100 || s.Queued != 0 || s.QueuedBytes != 0 || s.InFlight != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// Claim: an entry holds at most MaxBatchBytes of commands; a larger command
// goes alone and in its place; at most MaxInFlight entries are under way.
func TestProposer_BatchLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.MaxInFlight, c.MaxBatchBytes = 2, 4096 })
		defer r.Close()
		r.lead(1)
		sizes := []int{1, 1, 1500, 1500, 1500, 9000, 10, 10}
		for n, size := range sizes {
			r.submit(t.Context(), save(n, size))
		}
		for next := 1; next < len(r.entries()); next++ {
			if under := len(r.entries()) - next; under > 2 {
				t.Fatalf("%d entries under way, want at most 2", under)
			}
			r.apply(next)
			synctest.Wait()
		}
		var got []int
		for _, e := range r.entries()[1:] {
			got = append(got, len(e.batch.Commands))
		}
		want := []int{1, 1, 2, 1, 1, 2}
		if len(got) != len(want) {
			t.Fatalf("commands per entry %v, want %v", got, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("commands per entry %v, want %v", got, want)
			}
		}
	})
}

// Claim: each limit has its own error, at once, and nothing refused reaches
// raft. What frees space passes when storage is full.
func TestProposer_Refuses(t *testing.T) {
	full := func(c *Config) { c.StorageFull = func() bool { return true } }
	few := func(c *Config) { c.MaxInFlight, c.MaxQueue = 1, 2 }
	small := func(c *Config) { c.MaxInFlight, c.MaxQueueBytes = 1, 2000 }
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	agent := save(9, 0).Agent
	for name, c := range map[string]struct {
		config  func(*Config)
		prepare func(*rig)
		ctx     context.Context
		command fsm.Command
		want    hawser.Code
	}{
		"not leader":        {prepare: (*rig).depose, want: hawser.CodeNotLeader},
		"new leader starts": {prepare: func(r *rig) { r.setRaft(9, true); r.OnLeadership(Leadership{9, true}) }, want: hawser.CodeUnavailable},
		"paused":            {prepare: func(r *rig) { _ = r.Pause(t.Context()) }, want: hawser.CodeUnavailable},
		"closed":            {prepare: func(r *rig) { r.Close() }, want: hawser.CodeUnavailable},
		"context ended":     {ctx: canceled, want: hawser.CodeCanceled},
		"content too large": {command: save(1, maxCommandBytes+1), want: hawser.CodeTooLarge},
		"command too large": {command: save(1, maxCommandBytes), want: hawser.CodeTooLarge},
		"full, import":      {config: full, command: &fsm.ImportItems{}, want: hawser.CodeStorageFull},
		"full, part":        {config: full, command: part(1, 10), want: hawser.CodeStorageFull},
		"storage full":      {config: full, want: hawser.CodeStorageFull},
		"full, delete":      {config: full, command: &fsm.Delete{Agent: agent}, want: hawser.CodeOK},
		"full, reclaim":     {config: full, command: &fsm.Reclaim{Agent: agent, Limit: 1}, want: hawser.CodeOK},
		"too many wait":     {config: few, prepare: func(r *rig) { r.fill(3, 10) }, want: hawser.CodeOverloaded},
		"one place left":    {config: few, prepare: func(r *rig) { r.fill(2, 10) }, want: hawser.CodeOK},
		"too much waits":    {config: small, prepare: func(r *rig) { r.fill(2, 1500) }, command: save(1, 500), want: hawser.CodeOverloaded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, c.config)
				defer r.Close()
				r.lead(1)
				if c.prepare != nil {
					c.prepare(r)
				}
				ctx, command := c.ctx, c.command
				if ctx == nil {
					ctx = t.Context()
				}
				if command == nil {
					command = save(7, 10)
				}
				w := r.submit(ctx, command)
				if c.want != hawser.CodeOK {
					w.want(t, c.want)
				}
				for next := 1; next < len(r.entries()); next++ {
					r.apply(next)
					synctest.Wait()
				}
				w.want(t, c.want)
			})
		})
	}
}

// fill submits n commands that wait.
func (r *rig) fill(n, size int) {
	for i := range n {
		r.submit(context.Background(), save(100+i, size))
	}
}

// Claim: a caller that leaves before hand-over withdraws its command, which
// never reaches raft; one that leaves later hears that the outcome is unknown,
// with its own reason inside.
func TestProposer_CallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.MaxInFlight = 1 })
		defer r.Close()
		r.lead(1)
		handed, cancel := context.WithCancel(t.Context())
		under := r.submit(handed, save(1, 10))
		waits, cancelWait := context.WithTimeout(t.Context(), time.Second)
		defer cancelWait()
		queued := r.submit(waits, save(2, 10))
		last := r.submit(t.Context(), save(3, 10))

		time.Sleep(time.Second)
		synctest.Wait()
		queued.want(t, hawser.CodeDeadline)
		if !errors.Is(queued.err, context.DeadlineExceeded) {
			t.Errorf("%v does not wrap the caller's reason", queued.err)
		}
		cancel()
		synctest.Wait()
		under.want(t, hawser.CodeOutcomeUnknown)
		if !errors.Is(under.err, context.Canceled) {
			t.Errorf("%v does not wrap the caller's reason", under.err)
		}
		last.waits(t)
		r.apply(1)
		synctest.Wait()
		r.apply(2)
		synctest.Wait()
		last.want(t, hawser.CodeOK)
		for _, e := range r.entries()[1:] {
			if number(e.batch.Commands[0]) == 2 {
				t.Error("the withdrawn command reached raft")
			}
		}
	})
}

// Claim: a batch that is not applied in time ends as unknown after Timeout, and
// frees its place; applying it later harms nothing.
func TestProposer_BoundsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.MaxInFlight = 1 })
		defer r.Close()
		r.lead(1)
		first := r.submit(t.Context(), save(1, 10))
		time.Sleep(DefaultTimeout - time.Millisecond)
		synctest.Wait()
		first.waits(t)
		second := r.submit(t.Context(), save(2, 10))
		time.Sleep(time.Millisecond)
		synctest.Wait()
		first.want(t, hawser.CodeOutcomeUnknown)
		r.apply(1)
		r.apply(2)
		synctest.Wait()
		second.want(t, hawser.CodeOK)
		if second.result.Number != 2 || r.Stats().Unknown != 1 {
			t.Errorf("result %d, stats %+v", second.result.Number, r.Stats())
		}
	})
}

// Claim: only a refusal of raft itself is reported as not executed; an error
// that leaves it open is reported as unknown.
func TestProposer_RaftRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want hawser.Code
	}{
		"not leader": {hawser.ErrNotLeader, hawser.CodeNotLeader},
		"busy":       {errors.New("timed out enqueuing operation"), hawser.CodeUnavailable},
		"unclear":    {hawser.ErrOutcomeUnknown, hawser.CodeOutcomeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, nil)
				defer r.Close()
				r.lead(1)
				r.refuse = func(fsm.Batch) error { return c.err }
				r.submit(t.Context(), save(1, 10)).want(t, c.want)
				r.refuse = nil
				again := r.submit(t.Context(), save(2, 10))
				r.apply(1)
				synctest.Wait()
				again.want(t, hawser.CodeOK)
			})
		})
	}
}

// Claim: an entry that the machine skipped tells nothing about the outcome.
func TestProposer_SkippedEntryIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		defer r.Close()
		r.lead(1)
		w := r.submit(t.Context(), save(1, 10))
		r.OnApplied([]fsm.Applied{{Index: 2, Term: 1, ID: r.entries()[1].batch.ID}})
		synctest.Wait()
		w.want(t, hawser.CodeOutcomeUnknown)
	})
}

// Claim: Close ends what waits, saying of each what is true, joins the loop
// (the bubble would not end otherwise) and may be repeated.
func TestProposer_Close(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.MaxInFlight = 1 })
		r.lead(1)
		handed := r.submit(t.Context(), save(1, 10))
		queued := r.submit(t.Context(), save(2, 10))
		r.Close()
		r.Close()
		synctest.Wait()
		handed.want(t, hawser.CodeOutcomeUnknown)
		queued.want(t, hawser.CodeUnavailable)
		r.apply(1)
		r.OnLeadership(Leadership{5, true})
		if r.ReadyTerm() != 0 {
			t.Error("ready after Close")
		}
	})
}

// Claim: a configuration that cannot work is refused by name.
func TestNew_ChecksConfig(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("an empty configuration is taken")
	}
	if _, err := New(Config{Raft: &rig{}, Machine: &rig{}, Clock: &Clock{}, ClusterID: func() [16]byte { return [16]byte{} }, Generation: func() uint64 { return 1 }}); err == nil {
		t.Error("a node without an id is taken")
	}
}
