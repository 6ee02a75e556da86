// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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
	// insistences is how often a node that does not answer is told.
	insistences = 60
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
	// insisting holds the nodes that somebody insists on telling.
	insisting sync.Map

	mu    sync.Mutex
	marks marks
	// suspect is the entry after which somebody had another digest, 0 for none.
	// After the entry sound a majority had what this node has.
	suspect, sound uint64
	// adopted is the last entry of a state that was taken over from another replica, and
	// that nobody else has confirmed since; 0 for none. Confirmations counts the times in
	// a row that nobody could contradict it.
	adopted       uint64
	confirmations int
}

// New returns an Auditor that notes what is applied, and compares, from now on;
// it proposes and asks once it is started.
func New(cfg Config) (*Auditor, error) {
	cfg.Every = cmp.Or(cfg.Every, DefaultEvery)
	a := &Auditor{cfg: cfg, wake: make(chan struct{}, 1)}
	return a, a.reset(false)
}

// Start starts the loops.
func (a *Auditor) Start() {
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	a.done.Go(func() { a.propose(ctx) })
	a.done.Go(func() { a.inquire(ctx) })
	a.done.Go(func() { a.confirm(ctx) })
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
	if _, _, differs := a.compare(said); differs {
		a.hold(said.Index)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.marks.add(own)
}

// Compare takes what another node has after an entry, and returns what this one
// has; known is false if it cannot tell, not yet, or has it from another one. If the
// two differ this node asks the others too. One node alone does not keep it from taking
// writes.
func (a *Auditor) Compare(node string, other fsm.Mark) (digest uint64, known bool) {
	digest, known, differs := a.compare(other)
	if differs {
		a.cfg.Logger.Error("a replica differs", "entry", other.Index, "node", node, "digest", hex(other.Digest), "own", hex(digest))
	}
	if !a.votes() {
		return 0, false
	}
	return digest, known
}

// votes reports whether what this node has is its own doing, or was confirmed.
func (a *Auditor) votes() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.adopted == 0
}

// compare notes a difference, unless this node was found to be right there.
func (a *Auditor) compare(other fsm.Mark) (digest uint64, known, differs bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	digest, known = a.marks.at(other.Index)
	if !known || digest == other.Digest || other.Index <= a.sound || other.Index == a.suspect {
		return digest, known, false
	}
	a.suspect = other.Index
	select {
	case a.wake <- struct{}{}:
	default:
	}
	return digest, known, true
}

// OnSwapped takes in that the machine's state was replaced: what it is now has
// the past of whoever it came from, so that this node would only repeat what that one
// says. It has no vote until others have confirmed the state.
func (a *Auditor) OnSwapped() error { return a.reset(true) }

func (a *Auditor) reset(adopted bool) error {
	own, err := a.cfg.Marks()
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.marks, a.suspect, a.sound = nil, 0, 0
	a.held.Store(nil)
	a.adopted, a.confirmations = 0, 0
	if adopted {
		a.adopted = own.Applied.Index
	}
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

// Doubt returns why this node's state is not to be given to another one: it
// differs from some other's, and it is not known yet which is right.
func (a *Auditor) Doubt() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.suspect == 0 {
		return nil
	}
	return &hawser.Error{
		Code: hawser.CodeUnavailable, Op: "give the state",
		Msg: fmt.Sprintf("replicas differ since log entry %d or before, and this node's may be wrong", a.suspect),
	}
}

// hold refuses writes while there is a difference after an entry.
func (a *Auditor) hold(index uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.suspect != index {
		return
	}
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
// again.
func (a *Auditor) look(ctx context.Context, try int) (undecidedYet bool) {
	own, suspect := a.question(try)
	if suspect == 0 {
		return false
	}
	voters := a.cfg.Peers.Voters()
	what, answers := a.ask(ctx, voters, own)
	switch what {
	case sound:
		a.clear(own.Index, suspect)
		return false
	case diverged:
		a.diverge(own)
		return false
	case undecided:
		a.hold(suspect)
	}
	if try == 0 && ctx.Err() == nil {
		a.cfg.Logger.Error("replicas differ and no majority of the voters is known to agree; writes are refused",
			"entry", own.Index, "voters", len(voters), "answers", answers)
	}
	return true
}

// question returns the mark to ask about, and the entry after which somebody
// differed, 0 for none. Every second time it is the newest audit instead of that
// one: replicas that differed do so for ever, and a voter may have forgotten the
// older one, or not have come to the newer.
func (a *Auditor) question(try int) (own fsm.Mark, suspect uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.suspect == 0 || len(a.marks) == 0 { // the state was replaced
		return fsm.Mark{}, 0
	}
	own = a.marks[len(a.marks)-1]
	if digest, known := a.marks.at(a.suspect); known && try%2 == 0 {
		own = fsm.Mark{Index: a.suspect, Digest: digest}
	}
	return own, a.suspect
}

// clear ends the suspicion: a majority has what this node has at an entry.
func (a *Auditor) clear(index, suspect uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sound = max(a.sound, index)
	if a.suspect == suspect {
		a.suspect = 0
		a.held.Store(nil)
	}
}

// diverge stops the node, unless its state was replaced while it asked.
func (a *Auditor) diverge(own fsm.Mark) {
	a.mu.Lock()
	digest, known := a.marks.at(own.Index)
	a.mu.Unlock()
	if !known || digest != own.Digest {
		return
	}
	a.cfg.Halt(&halt.Error{
		Reason: halt.Diverged, Where: fmt.Sprintf("state after log entry %d", own.Index),
		Err:  fmt.Errorf("its digest is %s, and a majority of the voters agrees on another one", hex(own.Digest)),
		Hint: "move the data directory away, keep it for a report, and start empty with --join",
	})
}

// ask asks the other voters, all at once, until their answers decide, and returns
// how many answers that took. Who does not answer, or cannot tell, is left out.
// Those that have not answered by then are still told: the one that differs may
// be among them, and a leader learns of it only thereby.
func (a *Auditor) ask(ctx context.Context, voters []string, own fsm.Mark) (what verdict, answers int) {
	type answer struct {
		node   string
		digest uint64
		known  bool
	}
	answered, asked := make(chan answer, len(voters)), 0
	for _, voter := range voters {
		if voter == a.cfg.Self {
			continue
		}
		asked++
		a.done.Go(func() {
			digest, known := a.tell(ctx, voter, own)
			answered <- answer{voter, digest, known}
			if !known {
				a.insist(ctx, voter, own)
			}
		})
	}
	others := map[string]uint64{}
	voting := slices.Contains(voters, a.cfg.Self) && a.votes()
	what = judge(own.Digest, others, len(voters), voting)
	for ; asked > 0 && what == undecided; asked-- {
		if got := <-answered; got.known {
			others[got.node] = got.digest
			what = judge(own.Digest, others, len(voters), voting)
		}
	}
	return what, len(others)
}

// tell tells a node what this one has, and says so if it has something else.
func (a *Auditor) tell(ctx context.Context, node string, own fsm.Mark) (digest uint64, known bool) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	digest, known, err := a.cfg.Peers.Compare(ctx, node, own)
	if err != nil || !known {
		return 0, false
	}
	if digest != own.Digest {
		a.cfg.Logger.Error("a replica differs", "entry", own.Index, "node", node, "digest", hex(digest), "own", hex(own.Digest))
	}
	return digest, true
}

// insist tells a node that did not answer, for some time. One call for each node
// is enough, for replicas that differed do so for ever.
func (a *Auditor) insist(ctx context.Context, node string, own fsm.Mark) {
	if _, busy := a.insisting.LoadOrStore(node, true); busy {
		return
	}
	defer a.insisting.Delete(node)
	for range insistences {
		select {
		case <-ctx.Done():
			return
		case <-time.After(askTime):
		}
		if _, known := a.tell(ctx, node, own); known {
			return
		}
	}
}

// Vet asks nodes whether a state that this node is about to take over is one that
// they have had too. Whoever takes over a state takes over its digest, and would
// vote for it.
func (a *Auditor) Vet(ctx context.Context, nodes []string, state fsm.Marks) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	errs := make(chan error, len(nodes))
	for _, node := range nodes {
		go func() {
			digest, known, err := a.cfg.Peers.Compare(ctx, node, state.Audited)
			if err != nil || !known {
				err = nil // it cannot tell
			} else if digest != state.Audited.Digest {
				err = fmt.Errorf("after log entry %d it is not what node %s has", state.Audited.Index, node)
			}
			errs <- err
		}()
	}
	var err error
	for range nodes {
		err = errors.Join(err, <-errs)
	}
	return err
}

func hex(digest uint64) string { return fmt.Sprintf("%016x", digest) }
