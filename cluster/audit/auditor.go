// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/halt"
)

const (
	// DefaultEvery is the time between two audits while there are writes.
	DefaultEvery = time.Second
	// submitTime bounds a proposal, askTime the questions to all voters.
	submitTime = 5 * time.Second
	askTime    = 2 * time.Second
	// again is the pause before voters are asked again.
	again = 100 * time.Millisecond
)

// Peers is how an Auditor asks the other nodes.
type Peers interface {
	// Voters returns the ids of the voters of the latest configuration.
	Voters() []string
	// Compare tells a node what this one has, and returns what the node has
	// after the same entry; known is false if it cannot tell, or not yet.
	Compare(ctx context.Context, node string, own fsm.Mark) (digest uint64, known bool, err error)
}

// Config configures an [Auditor]. All fields but Every are required.
type Config struct {
	// Self is the node's id.
	Self string
	// Marks are those of the machine.
	Marks func() (fsm.Marks, error)
	// Leads reports whether the node leads and serves, Submit proposes a
	// command, also while [Auditor.Held] is not nil.
	Leads  func() bool
	Submit func(context.Context, fsm.Command) (fsm.Result, error)
	Peers  Peers
	// Halt stops the node when its state is not what a majority has.
	Halt   halt.Func
	Logger *slog.Logger
	// Every replaces [DefaultEvery].
	Every time.Duration
}

// Auditor compares the state of a node with that of the others. Make one with
// [New]. Safe for concurrent use.
type Auditor struct {
	cfg  Config
	stop context.CancelFunc
	done sync.WaitGroup
	// wake has capacity 1: there is something to inquire into.
	wake chan struct{}
	// held is why writes are refused, nil while they are not.
	held atomic.Pointer[error]

	mu    sync.Mutex
	marks marks
	// suspect is the entry after which somebody had another digest, 0 for none.
	suspect uint64
}

// New returns an Auditor that notes what is applied, and compares, from now on;
// it proposes and asks once it is started.
func New(cfg Config) (*Auditor, error) {
	cfg.Every = cmp.Or(cfg.Every, DefaultEvery)
	a := &Auditor{cfg: cfg, wake: make(chan struct{}, 1)}
	return a, a.OnSwapped()
}

// Start starts the loops.
func (a *Auditor) Start() {
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	a.done.Go(func() { a.propose(ctx) })
	a.done.Go(func() { a.inquire(ctx) })
}

// Close ends the loops and joins them. It may be called without Start.
func (a *Auditor) Close() {
	if a.stop != nil {
		a.stop()
	}
	a.done.Wait()
}

// OnApplied takes in what the machine has applied. It never waits.
func (a *Auditor) OnApplied(applied []fsm.Applied) {
	for i := range applied {
		for _, c := range applied[i].Commands {
			if said, ok := c.(*fsm.Audit); ok {
				a.audited(said.Mark, fsm.Mark{Index: applied[i].Index, Digest: applied[i].Digest})
			}
		}
	}
}

// audited compares what the leader said of an earlier audit, and notes what
// this node has at this one.
func (a *Auditor) audited(said, own fsm.Mark) {
	a.compare(said)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.marks.add(own)
}

// Compare takes what another node has after an entry, and returns what this one
// has; known is false if it cannot tell, or not yet.
func (a *Auditor) Compare(other fsm.Mark) (digest uint64, known bool) { return a.compare(other) }

func (a *Auditor) compare(other fsm.Mark) (digest uint64, known bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	digest, known = a.marks.at(other.Index)
	if known && digest != other.Digest && a.suspect != other.Index {
		a.suspect = other.Index
		a.hold(other.Index)
		select {
		case a.wake <- struct{}{}:
		default:
		}
	}
	return digest, known
}

// OnSwapped takes in that the machine's state was replaced: what it is now has
// the past of whoever it came from.
func (a *Auditor) OnSwapped() error {
	own, err := a.cfg.Marks()
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.marks, a.suspect = nil, 0
	a.held.Store(nil)
	if own.Audited.Index != 0 {
		a.marks.add(own.Audited)
	}
	return nil
}

// Held returns why writes are to be refused: replicas differ, and this node
// does not know yet whether it is one of the majority. It is nil otherwise.
func (a *Auditor) Held() error {
	if err := a.held.Load(); err != nil {
		return *err
	}
	return nil
}

func (a *Auditor) hold(index uint64) {
	var err error = &hawser.Error{
		Code: hawser.CodeUnavailable, Op: "write",
		Msg: fmt.Sprintf("replicas differ since log entry %d or before, and no majority of the voters is known to agree; writes are refused until one is", index),
	}
	a.held.Store(&err)
}

// propose has the leader say what it has, at every interval in which there is
// something to say.
func (a *Auditor) propose(ctx context.Context) {
	tick := time.NewTicker(a.cfg.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !a.cfg.Leads() {
			continue
		}
		own, err := a.cfg.Marks()
		if err != nil || !a.due(own) {
			continue // a machine that failed has stopped the node
		}
		if err := a.submit(ctx, &fsm.Audit{Mark: own.Audited}); err != nil && ctx.Err() == nil {
			a.cfg.Logger.Debug("an audit was not proposed; the next one covers it", "error", err)
		}
	}
}

// due reports whether there is something to say: something was applied since the
// last audit, or between that and the one before, which only the next one tells
// the others; or replicas are known to differ.
func (a *Auditor) due(own fsm.Marks) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := len(a.marks)
	quiet := n >= 2 && own.Applied.Index == a.marks[n-1].Index && a.marks[n-1].Index == a.marks[n-2].Index+1
	return own.Applied.Index != 0 && !quiet || a.suspect != 0
}

func (a *Auditor) submit(ctx context.Context, c fsm.Command) error {
	ctx, cancel := context.WithTimeout(ctx, submitTime)
	defer cancel()
	_, err := a.cfg.Submit(ctx, c)
	return err
}

// inquire finds out which replicas are right when some differ.
func (a *Auditor) inquire(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.wake:
		}
		for try := 0; a.look(ctx, try); try++ {
			select {
			case <-ctx.Done():
				return
			case <-time.After(again):
			}
		}
	}
}

// look asks the voters and acts on what they answer. It returns whether to ask
// again. Every second time it asks about the newest audit instead of the one at
// which a difference was seen: replicas that differed do so for ever, and a
// voter may have forgotten the older one, or not have come to the newer.
func (a *Auditor) look(ctx context.Context, try int) (undecidedYet bool) {
	a.mu.Lock()
	suspect := a.suspect
	digest, known := a.marks.at(suspect)
	own := fsm.Mark{Index: suspect, Digest: digest}
	if known && try%2 == 1 {
		own = a.marks[len(a.marks)-1]
	}
	a.mu.Unlock()
	if !known {
		return false // the state was replaced
	}
	voters := a.cfg.Peers.Voters()
	what, others, differ := a.ask(ctx, voters, own)
	switch what {
	case sound:
		a.cfg.Logger.Error("another replica differs from a majority of the voters, of which this node is one; it will stop", "entry", own.Index, "nodes", differ)
		a.clear(suspect)
		return false
	case diverged:
		a.cfg.Halt(&halt.Error{
			Reason: halt.Diverged, Where: fmt.Sprintf("state after log entry %d", own.Index),
			Err:  fmt.Errorf("its digest is %016x, and a majority of the voters has another one (%s)", own.Digest, strings.Join(differ, ", ")),
			Hint: "move the data directory away, keep it for a report, and start empty with --join",
		})
		return false
	case undecided:
	}
	if try == 0 && ctx.Err() == nil {
		a.cfg.Logger.Error("replicas differ and no majority of the voters is known to agree; writes are refused",
			"entry", own.Index, "voters", len(voters), "answers", len(others), "differ", differ)
	}
	return true
}

// clear ends the suspicion about an entry, unless there is one about another.
func (a *Auditor) clear(index uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.suspect == index {
		a.suspect = 0
		a.held.Store(nil)
	}
}

// ask asks the other voters, all at once, until their answers decide. Who does
// not answer, or cannot tell, is left out.
func (a *Auditor) ask(ctx context.Context, voters []string, own fsm.Mark) (what verdict, others map[string]uint64, differ []string) {
	type answer struct {
		node   string
		digest uint64
		known  bool
	}
	var asking sync.WaitGroup
	defer asking.Wait()
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	answers, asked := make(chan answer, len(voters)), 0
	for _, voter := range voters {
		if voter == a.cfg.Self {
			continue
		}
		asked++
		asking.Go(func() {
			digest, known, err := a.cfg.Peers.Compare(ctx, voter, own)
			answers <- answer{voter, digest, known && err == nil}
		})
	}
	others = map[string]uint64{}
	voting := slices.Contains(voters, a.cfg.Self)
	what, differ = judge(own.Digest, others, len(voters), voting)
	for ; asked > 0 && what == undecided; asked-- {
		if got := <-answers; got.known {
			others[got.node] = got.digest
			what, differ = judge(own.Digest, others, len(voters), voting)
		}
	}
	return what, others, differ
}
