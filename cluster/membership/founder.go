// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hawserdb/hawser/internal/halt"
	"github.com/hawserdb/hawser/internal/peerpb"
)

// Dialer asks nodes, by address, that may not belong to the same cluster yet.
// Errors say what was wrong in words for people. Both calls end with ctx.
type Dialer interface {
	Promise(ctx context.Context, addr string, req *peerpb.PromiseRequest) (*peerpb.PromiseResponse, error)
	Join(ctx context.Context, addr string, req *peerpb.JoinRequest) (*peerpb.JoinResponse, error)
}

// Replica is what founding needs of the node's raft. Raft may be open before
// there is a promise, as long as it speaks only under the [State.Identity] of
// the node's store and, before it has a configuration, only with
// [State.Founder]s.
type Replica interface {
	// HasState reports whether the disk holds a term, a vote, a log entry or
	// applied state. It answers while raft is quiesced too.
	HasState() bool
	// Quiesce stops raft, if it runs, so that HasState cannot become true.
	// resume, which must be called once, starts again what Quiesce stopped.
	Quiesce(ctx context.Context) (resume func(), err error)
	// Bootstrap writes the first configuration with these voters, durably.
	Bootstrap(voters []string) error
}

// FounderConfig configures a [Founder]. Zero durations mean the defaults.
type FounderConfig struct {
	Self Address
	// StartLine may be empty: the founder then only answers what others ask.
	StartLine StartLine
	Store     Store
	Dialer    Dialer
	Replica   Replica
	// FeatureLevel is what the node advertises when it joins instead.
	FeatureLevel uint32
	Logger       *slog.Logger
	// Interval between two rounds (default 500 ms, jittered), AttemptTimeout of
	// one call (3 s), ReportEvery between two log lines that say what it waits
	// for (5 s), JoinAfter until a founder that hears nothing from a running
	// cluster asks to be taken in (15 s).
	Interval, AttemptTimeout, ReportEvery, JoinAfter time.Duration
}

// Founder founds a cluster by promise. Its methods may be called concurrently.
type Founder struct {
	cfg     FounderConfig
	joiner  *Joiner
	waiting atomic.Pointer[string]
	// promising has room for one: whoever changes the promise.
	promising chan struct{}
	// serial makes calls to several nodes one after the other (tests).
	serial bool
	// runsSince is since when a cluster has run under the promise of this
	// founder, and left it alone. Owned by Run.
	runsSince time.Time
}

// NewFounder returns a founder. Nothing runs before Run.
func NewFounder(cfg FounderConfig) (*Founder, error) {
	cfg.Interval = orDefault(cfg.Interval, 500*time.Millisecond)
	cfg.AttemptTimeout = orDefault(cfg.AttemptTimeout, 3*time.Second)
	cfg.ReportEvery = orDefault(cfg.ReportEvery, 5*time.Second)
	cfg.JoinAfter = orDefault(cfg.JoinAfter, 15*time.Second)
	cfg.Logger = orDiscard(cfg.Logger)
	if err := checkAddress(cfg.Self); err != nil {
		return nil, err
	}
	if len(cfg.StartLine) > 0 && !slices.Contains(cfg.StartLine, cfg.Self.Peer) {
		return nil, invalidStart("the start line %s does not hold this node's own address %s", cfg.StartLine, cfg.Self.Peer)
	}
	if node := cfg.Store.State().Node; node != cfg.Self.ID {
		return nil, fmt.Errorf("membership: the store is of node %s, not %s", node, cfg.Self.ID)
	}
	f := &Founder{cfg: cfg, promising: make(chan struct{}, 1)}
	f.joiner = newJoiner(JoinConfig{
		Self: cfg.Self, FeatureLevel: cfg.FeatureLevel, Dialer: cfg.Dialer, Store: cfg.Store, Logger: cfg.Logger, AttemptTimeout: cfg.AttemptTimeout,
	})
	return f, nil
}

// Run returns nil when the node belongs to a cluster: because it has raft
// state, founded one, or was taken in by one that exists. Until then it keeps
// trying; what it waits for is logged now and then and returned by Waiting.
// It returns ctx's error when that ends, and a *halt.Error when the directory
// must not be used. Call it once, with a start line.
func (f *Founder) Run(ctx context.Context) error {
	report := newReporter(f.cfg.Logger, f.cfg.ReportEvery, "founding the cluster waits")
	for {
		done, err := f.step(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if done || err != nil {
			f.wait()
			return err
		}
		report.say(f.Waiting())
		if !sleep(ctx, jitter(f.cfg.Interval)) {
			return ctx.Err()
		}
	}
}

// Waiting says what Run waits for, or "" if it does not.
func (f *Founder) Waiting() string {
	if s := f.waiting.Load(); s != nil {
		return *s
	}
	return ""
}

func (f *Founder) wait(problems ...string) {
	s := strings.Join(problems, "; ")
	f.waiting.Store(&s)
}

// step is one round. It returns true when the node belongs to a cluster.
func (f *Founder) step(ctx context.Context) (bool, error) {
	if done, err := f.settle(); done || err != nil {
		return done, err
	}
	if len(f.cfg.StartLine) == 0 {
		return false, errors.New("membership: there is no start line to found a cluster from")
	}
	answers := f.ask(ctx, &peerpb.PromiseRequest{StartLine: f.cfg.StartLine, Coordinator: f.selfNode()})
	problems := f.problems(answers)
	if running := f.running(answers); len(running) > 0 {
		return f.meet(ctx, running)
	}
	if f.cfg.StartLine.coordinator() == f.cfg.Self.Peer {
		return f.coordinate(ctx, answers, problems)
	}
	f.wait(append(problems, f.whatFollowerAwaits())...)
	return false, nil
}

func (f *Founder) whatFollowerAwaits() string {
	at := f.cfg.StartLine.coordinator()
	if p := f.cfg.Store.State().Promise; p != nil {
		return fmt.Sprintf("promised to found cluster %s with %s at %s, which has not founded it yet", p.ClusterID.Short(), p.Coordinator.ID, at)
	}
	return fmt.Sprintf("the node at %s, the lowest address, has not asked for a promise yet", at)
}

// settle recognises a node that belongs to a cluster, and makes it durable.
func (f *Founder) settle() (bool, error) {
	if !f.cfg.Replica.HasState() {
		return !f.cfg.Store.State().ClusterID.IsZero(), nil
	}
	return true, MarkStarted(f.cfg.Store)
}

// MarkStarted makes durable that the node has raft state, and so belongs to
// the cluster that it promised or joined. A node that was never either has
// somebody else's raft state: that is a *halt.Error.
func MarkStarted(store Store) error {
	return store.Update(func(s *State) error {
		id, generation := s.Identity()
		if id.IsZero() {
			return &halt.Error{
				Reason: halt.Directory, Where: nodeFileName,
				Err: fmt.Errorf("node %s has raft state but never promised or joined a cluster", s.Node), Hint: "its files do not belong together",
			}
		}
		s.ClusterID, s.Generation, s.Started = id, generation, true
		return nil
	})
}

func (f *Founder) selfNode() *peerpb.Node {
	return &peerpb.Node{Id: f.cfg.Self.ID, PeerAddress: f.cfg.Self.Peer, Voter: true}
}

// answer is what one address of the start line said.
type answer struct {
	addr string
	resp *peerpb.PromiseResponse // nil with err
	err  error
}

func (a answer) clusterID() ClusterID {
	id, _ := clusterIDFrom(a.resp.GetClusterId())
	return id
}

// ask sends req to every other address, and returns the answers in order.
func (f *Founder) ask(ctx context.Context, req *peerpb.PromiseRequest) []answer {
	var answers []answer
	for _, addr := range f.cfg.StartLine {
		if addr != f.cfg.Self.Peer {
			answers = append(answers, answer{addr: addr})
		}
	}
	one := func(a *answer) {
		ctx, cancel := context.WithTimeout(ctx, f.cfg.AttemptTimeout)
		defer cancel()
		a.resp, a.err = f.cfg.Dialer.Promise(ctx, a.addr, req)
		if a.err == nil && CheckNodeID(a.resp.GetNode()) != nil {
			a.err = errors.New("the answer names no node")
		}
	}
	var asking sync.WaitGroup
	for i := range answers {
		if f.serial {
			one(&answers[i])
			continue
		}
		asking.Go(func() { one(&answers[i]) })
	}
	asking.Wait()
	return answers
}

// problems says why the answers do not allow to found a cluster.
func (f *Founder) problems(answers []answer) []string {
	var problems []string
	at := map[string]string{f.cfg.Self.ID: f.cfg.Self.Peer}
	named := map[string]string{NodeName(f.cfg.Self.ID): f.cfg.Self.Peer}
	for _, a := range answers {
		if a.err != nil {
			problems = append(problems, fmt.Sprintf("%s does not answer: %v", a.addr, a.err))
			continue
		}
		node := a.resp.GetNode()
		twin, twice := at[node]
		namesake, shared := named[NodeName(node)]
		switch {
		case twice:
			problems = append(problems, fmt.Sprintf("%s and %s are the same node %s", twin, a.addr, node))
		case shared:
			problems = append(problems, fmt.Sprintf("two nodes have the name %q, at %s and %s: give one of them another --name", NodeName(node), namesake, a.addr))
		case len(a.resp.GetStartLine()) == 0:
			problems = append(problems, fmt.Sprintf("%s (%s) was started without --bootstrap-expect", a.addr, node))
		case !slices.Equal(a.resp.GetStartLine(), f.cfg.StartLine):
			problems = append(problems, fmt.Sprintf("%s (%s) was started with other addresses: %s instead of %s",
				a.addr, node, StartLine(a.resp.GetStartLine()), f.cfg.StartLine))
		case a.resp.GetHasState():
			problems = append(problems, fmt.Sprintf("%s (%s) belongs to cluster %s already", a.addr, node, a.clusterID().Short()))
		}
		at[node], named[NodeName(node)] = a.addr, a.addr
	}
	return problems
}

// running returns the answers of nodes that belong to a cluster from our own start line.
func (f *Founder) running(answers []answer) []answer {
	return slices.DeleteFunc(slices.Clone(answers), func(a answer) bool {
		return a.err != nil || !a.resp.GetHasState() || !slices.Equal(a.resp.GetStartLine(), f.cfg.StartLine)
	})
}

// meet handles a cluster that runs on our start line already: a node that is
// new to it asks to be taken in.
func (f *Founder) meet(ctx context.Context, running []answer) (bool, error) {
	id, addrs := running[0].clusterID(), []string{}
	for _, a := range running {
		if a.clusterID() != id {
			f.wait(fmt.Sprintf("%s belongs to cluster %s and %s to cluster %s: they cannot both be right", running[0].addr, id, a.addr, a.clusterID()))
			return false, nil
		}
		addrs = append(addrs, a.addr)
	}
	s := f.cfg.Store.State()
	p := s.Promise
	if p != nil && !slices.Equal(p.StartLine, f.cfg.StartLine) {
		p = nil // it was started with other addresses then
	}
	switch {
	case s.refuses(id) || p != nil && p.ClusterID != id:
		f.wait(fmt.Sprintf("%s belongs to cluster %s, but node %s promised itself to another one since; to join that cluster, start it with an empty data directory",
			running[0].addr, id.Short(), f.cfg.Self.ID))
		return false, nil
	case p != nil && p.Coordinator.ID == f.cfg.Self.ID:
		return false, &halt.Error{
			Reason: halt.Damaged, Where: "raft state",
			Err:  fmt.Errorf("%s has state of cluster %s, which only this node (%s) can have founded, and this node has none", running[0].addr, id.Short(), f.cfg.Self.ID),
			Hint: "move the data directory away and start with an empty one: the node joins again as a new one",
		}
	case p != nil && !f.leftAlone():
		f.wait(fmt.Sprintf("cluster %s runs at %s; its leader has not called yet", id.Short(), strings.Join(addrs, ", ")))
		return false, nil
	}
	return f.joinRunning(ctx, id, addrs)
}

// leftAlone reports whether a cluster that this node is a founder of has run
// for a while without calling: it may have gone on without the node.
func (f *Founder) leftAlone() bool {
	if f.runsSince.IsZero() {
		f.runsSince = time.Now()
	}
	return time.Since(f.runsSince) >= f.cfg.JoinAfter
}

func (f *Founder) joinRunning(ctx context.Context, id ClusterID, addrs []string) (bool, error) {
	problems, err := f.joiner.round(ctx, addrs, func(joined ClusterID, accept func() error) error {
		if joined != id {
			return fmt.Errorf("was taken into cluster %s instead of %s", joined.Short(), id.Short())
		}
		if !f.lockPromise(ctx) {
			return ctx.Err()
		}
		defer f.unlockPromise()
		return f.change(ctx, joined, accept)
	})
	f.wait(append([]string{fmt.Sprintf("cluster %s runs on this start line, and this node asks to be taken in", id.Short())}, problems...)...)
	return err == nil && problems == nil, err
}

// change runs accept, which changes under which cluster id the node speaks to
// id, while raft is stopped and has no state. The caller has lockPromise.
func (f *Founder) change(ctx context.Context, id ClusterID, accept func() error) error {
	if current, _ := f.cfg.Store.State().Identity(); !current.IsZero() && current != id {
		resume, err := f.cfg.Replica.Quiesce(ctx)
		if err != nil {
			return fmt.Errorf("stop raft: %w", err)
		}
		defer resume()
		if f.cfg.Replica.HasState() {
			return errHasState
		}
	}
	return accept()
}

// lockPromise makes the caller the only one who changes the promise. It
// returns false if ctx ended first.
func (f *Founder) lockPromise(ctx context.Context) bool {
	select {
	case f.promising <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (f *Founder) unlockPromise() { <-f.promising }

var errHasState = errors.New("has raft state under its promise")
