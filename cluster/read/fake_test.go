// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package read

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser"
)

// cluster is what an Indexer sees: the own node "a" and other voters, each of
// which answers as its fake says.
type cluster struct {
	*Indexer

	mu          sync.Mutex
	term, ready uint64
	commit      uint64
	voters      []string
	nodes       map[string]*node
	answered    map[string]int // answers passed to OnAnswer
	applied     uint64
	atLeader    func(ctx context.Context) (uint64, error)
	asksLeader  int
}

// node is another voter.
type node struct {
	term  uint64
	delay time.Duration // before it looks at its term
	back  time.Duration // on the way of its answer
	err   error
	name  string // under which it answers, "" for its own
	open  int    // questions under way
	asked int
}

var errDown = errors.New("connection refused")

func newCluster(t *testing.T, voters ...string) *cluster {
	t.Helper()
	c := &cluster{term: 5, ready: 5, commit: 100, voters: voters, nodes: make(map[string]*node), answered: make(map[string]int)}
	for _, v := range voters {
		c.nodes[v] = &node{term: 5, delay: time.Millisecond}
	}
	x, err := New(Config{
		Self:        "a",
		Term:        func() uint64 { return c.get(&c.term) },
		ReadyTerm:   func() uint64 { return c.get(&c.ready) },
		CommitIndex: func() uint64 { return c.get(&c.commit) },
		Voters: func() []string {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.voters
		},
		Ask: c.ask,
		ReadIndexAtLeader: func(ctx context.Context) (uint64, error) {
			c.mu.Lock()
			c.asksLeader++
			f := c.atLeader
			c.mu.Unlock()
			return f(ctx)
		},
		Machine: c,
		OnAnswer: func(voter string, _ Answer) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.answered[voter]++
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Indexer = x
	return c
}

func (c *cluster) get(v *uint64) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return *v
}

func (c *cluster) set(v *uint64, to uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*v = to
}

// asked returns how many questions a voter got, and how many are open.
func (c *cluster) asked(voter string) (all, open int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[voter].asked, c.nodes[voter].open
}

// answers returns how many answers of a voter reached OnAnswer.
func (c *cluster) answers(voter string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answered[voter]
}

// change changes a voter.
func (c *cluster) change(voter string, f func(*node)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c.nodes[voter])
}

func (c *cluster) ask(ctx context.Context, voter string, _ uint64) (Answer, error) {
	c.mu.Lock()
	n := c.nodes[voter]
	n.open++
	n.asked++
	delay, back := n.delay, n.back
	c.mu.Unlock()
	defer c.change(voter, func(n *node) { n.open-- })
	if err := pause(ctx, delay); err != nil {
		return Answer{}, err
	}
	c.mu.Lock()
	a, err := Answer{Node: voter, Term: n.term}, n.err
	if n.name != "" {
		a.Node = n.name
	}
	c.mu.Unlock()
	if err != nil {
		return Answer{}, err
	}
	return a, pause(ctx, back)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// Wait is the machine.
func (c *cluster) Wait(ctx context.Context, index uint64) error {
	for c.get(&c.applied) < index {
		if err := pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// reader is a LeaderIndex or Wait under way in its own goroutine.
type reader struct {
	done  chan struct{}
	index uint64
	err   error
	took  time.Duration
}

func (c *cluster) read(ctx context.Context, f func(context.Context) (uint64, error)) *reader {
	r := &reader{done: make(chan struct{})}
	began := time.Now()
	go func() {
		defer close(r.done)
		r.index, r.err = f(ctx)
		r.took = time.Since(began)
	}()
	synctest.Wait()
	return r
}

func (r *reader) want(t *testing.T, code hawser.Code) {
	t.Helper()
	<-r.done
	if got := hawser.CodeOf(r.err); got != code {
		t.Errorf("read ended with %v (%v), want %v", got, r.err, code)
	}
}

func (r *reader) waits(t *testing.T) {
	t.Helper()
	select {
	case <-r.done:
		t.Fatalf("the read has ended: %d, %v", r.index, r.err)
	default:
	}
}
