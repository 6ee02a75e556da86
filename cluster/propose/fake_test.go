// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package propose

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/record"
)

// rig is a Proposer on a raft and a machine that a test moves by hand.
type rig struct {
	*Proposer
	t    *testing.T
	time atomic.Int64 // machine time

	mu     sync.Mutex
	term   uint64
	leads  bool
	log    []entry                  // what raft took, in order
	refuse func(fsm.Batch) error    // asked before an entry is taken
	took   func(index int, e entry) // told after
	next   int                      // for applies: applied by it last
}

type entry struct {
	term  uint64
	batch fsm.Batch
}

func newRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t}
	cfg := Config{
		Raft: r, Machine: r, Node: "a",
		Clock:      NewClock(ClockConfig{Self: "a", Voters: func() []string { return []string{"a"} }}),
		ClusterID:  func() [16]byte { return [16]byte{1} },
		Generation: func() uint64 { return 1 },
	}
	if change != nil {
		change(&cfg)
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.Proposer = p
	return r
}

func (r *rig) Info() fsm.Info {
	return fsm.Info{Time: time.Unix(0, r.time.Load())}
}

func (r *rig) Term() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.term
}

func (r *rig) IsLeader() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leads
}

func (r *rig) Propose(data []byte) error {
	b, err := fsm.DecodeBatch(data)
	if err != nil {
		r.t.Errorf("the entry cannot be read: %v", err)
	}
	r.mu.Lock()
	refuse, took := r.refuse, r.took
	r.mu.Unlock()
	if refuse != nil {
		if err := refuse(b); err != nil {
			return err
		}
	}
	r.mu.Lock()
	if !r.leads {
		r.mu.Unlock()
		return hawser.ErrNotLeader
	}
	e := entry{r.term, b}
	r.log = append(r.log, e)
	index := len(r.log) - 1
	r.mu.Unlock()
	if took != nil {
		took(index, e)
	}
	return nil
}

// entries returns a copy of what raft took.
func (r *rig) entries() []entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]entry(nil), r.log...)
}

// setRaft changes raft's state without telling the Proposer.
func (r *rig) setRaft(term uint64, leads bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.term, r.leads = term, leads
}

// lead makes the node leader of term and ready.
func (r *rig) lead(term uint64) {
	r.t.Helper()
	r.setRaft(term, true)
	r.OnLeadership(Leadership{Term: term, Leader: true})
	synctest.Wait()
	r.apply(len(r.entries()) - 1)
	if got := r.ReadyTerm(); got != term {
		r.t.Fatalf("ready term %d after LeaderStart was applied, want %d", got, term)
	}
}

func (r *rig) depose() {
	r.mu.Lock()
	r.leads = false
	r.mu.Unlock()
	r.OnLeadership(Leadership{})
}

// apply lets the machine apply the entry at a position of the log.
func (r *rig) apply(index int) {
	r.mu.Lock()
	e := r.log[index]
	r.mu.Unlock()
	r.OnApplied([]fsm.Applied{r.applied(index, e)})
}

// applied is the machine: the result's number tells which command it is of.
func (r *rig) applied(index int, e entry) fsm.Applied {
	a := fsm.Applied{Index: uint64(index + 1), Term: e.term, ID: e.batch.ID, Commands: e.batch.Commands}
	r.time.Store(max(r.time.Load(), e.batch.Time))
	for _, c := range e.batch.Commands {
		a.Results = append(a.Results, fsm.Result{Number: uint64(number(c))})
	}
	return a
}

// save makes command n with about size bytes of content.
func save(n, size int) *fsm.Save {
	return &fsm.Save{
		Agent:   hawser.AgentID{Namespace: "default", Name: strconv.Itoa(n)},
		Content: record.Content{Kind: record.Keyframe, Encoding: record.Raw, Size: uint64(size), Data: make([]byte, size)},
	}
}

// part makes part n of something large.
func part(n, size int) *fsm.Part {
	return &fsm.Part{Upload: [16]byte{1}, Index: uint32(n), Data: make([]byte, size)}
}

func number(c fsm.Command) int {
	switch c := c.(type) {
	case *fsm.Save:
		n, _ := strconv.Atoi(c.Agent.Name)
		return n
	case *fsm.Part:
		return int(c.Index)
	}
	return 0
}

// pending is a Submit under way in its own goroutine.
type pending struct {
	done   chan struct{}
	result fsm.Result
	err    error
	ready  uint64 // ReadyTerm when it ended
}

func (r *rig) submit(ctx context.Context, c fsm.Command) *pending {
	w := &pending{done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.result, w.err = r.Submit(ctx, c)
		w.ready = r.ReadyTerm()
	}()
	synctest.Wait()
	return w
}

// want checks how a Submit ended.
func (w *pending) want(t *testing.T, code hawser.Code) {
	t.Helper()
	select {
	case <-w.done:
	default:
		t.Fatalf("Submit has not returned, want %v", code)
	}
	if got := hawser.CodeOf(w.err); got != code {
		t.Errorf("Submit ended with %v (%v), want %v", got, w.err, code)
	}
}

func (w *pending) waits(t *testing.T) {
	t.Helper()
	select {
	case <-w.done:
		t.Fatalf("Submit has returned: %v", w.err)
	default:
	}
}

func (e entry) String() string {
	s := fmt.Sprintf("term %d:", e.term)
	for _, c := range e.batch.Commands {
		s += fmt.Sprintf(" %T(%d)", c, number(c))
	}
	return s
}
