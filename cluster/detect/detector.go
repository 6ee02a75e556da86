// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package detect

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hawserdb/hawser/cluster/consensus"
	"github.com/hawserdb/hawser/cluster/policy"
)

const (
	// lookEvery is how often the leader is looked at without a sign,
	// retryEvery after one, and patientEvery once that has lasted for longer
	// than patience.
	lookEvery    = 50 * time.Millisecond
	retryEvery   = 20 * time.Millisecond
	patientEvery = 200 * time.Millisecond
	patience     = time.Second
	// falteredFor is how long it is remembered that pings went unanswered for a while.
	falteredFor = 4 * time.Second
	// askTimeout bounds the question to the other voters.
	askTimeout = 100 * time.Millisecond
)

// Config configures a [Detector]. All functions are required, and are called
// from several goroutines.
type Config struct {
	Self string
	// Standing and LastEntry are raft's on this node, Voters those of its latest
	// configuration.
	Standing  func() consensus.Standing
	LastEntry func() (term, index uint64)
	Voters    func() []string
	// Fetching reports whether the node fetches the state of another one.
	Fetching func() bool
	// Liveness is what gossip says about a node.
	Liveness func(id string) policy.Liveness
	// Answered is the part of gossip's probes of late that an alive node has answered.
	Answered func(id string) float64
	// Dial opens a line, within ctx. Refused tells an error of it that says that
	// nobody listens.
	Dial    func(ctx context.Context, id string) (Line, error)
	Refused func(error) bool
	// Ping returns nil when the process of a node answers.
	Ping func(ctx context.Context, id string) error
	// Ask asks a voter about the leader of a term.
	Ask func(ctx context.Context, voter, leader string, term uint64) (policy.Answer, error)
	// Campaign has raft stand for election if it follows in term.
	Campaign func(ctx context.Context, term uint64) error
	Logger   *slog.Logger
}

// Detector watches the leader. Its methods may be called from any goroutine.
type Detector struct {
	cfg    Config
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	// wake has capacity 1: something about the line changed.
	wake chan struct{}

	// What follows belongs to the loop.
	watched target
	hangUp  context.CancelFunc // ends the keeping of the line
	since   time.Time          // of the suspicion, zero for none
	agreed  time.Time          // since when a majority agrees, zero for not
	jitter  float64
	stage   policy.Move // that was logged last

	mu        sync.Mutex
	line      policy.Line // to of
	of        target
	mute      time.Time // first ping without an answer since, zero for none
	faltered  time.Time // when pings last went unanswered for too long, zero for never
	pinging   bool
	attempted time.Time
	notes     []string
}

// target is a leader of a term.
type target struct {
	leader string
	term   uint64
}

// New starts a Detector.
func New(cfg Config) *Detector {
	ctx, cancel := context.WithCancel(context.Background())
	d := &Detector{cfg: cfg, cancel: cancel, wake: make(chan struct{}, 1)}
	d.tasks.Go(func() { d.run(ctx) })
	return d
}

// Close stops the Detector and waits for what it started. It may be called
// again.
func (d *Detector) Close() {
	d.cancel()
	d.tasks.Wait()
}

// Notes says what is wrong with the leader, and why no more is done about it.
func (d *Detector) Notes() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.notes
}

// Answer is this node's answer to one that suspects the leader of a term.
func (d *Detector) Answer(leader string, term uint64) policy.Answer {
	e := d.electorate(d.cfg.Standing())
	suspects, reason := e.Shares(leader, term)
	return policy.Answer{
		Voter: d.cfg.Self, Term: e.Term, Suspects: suspects, Reason: reason, Log: d.log(), MayLead: e.MayLead(), Stands: e.Stands(),
	}
}

func (d *Detector) run(ctx context.Context) {
	defer func() { d.follow(ctx, target{}) }()
	for {
		timer := time.NewTimer(d.look(ctx))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-d.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// look decides once, carries it out, and returns when to look again.
func (d *Detector) look(ctx context.Context) time.Duration {
	standing := d.cfg.Standing()
	d.follow(ctx, target{standing.Leader, standing.Term})
	e := d.electorate(standing)
	d.pingIfDoubtful(ctx, e.Sight)
	election := policy.Elect(e)
	if election.Move == policy.Ask {
		e.Log, e.Answers, e.Asked = d.log(), d.ask(ctx, e), true
		e.Agreed, e.Jitter = d.agreedFor(), d.jitter
		election = policy.Elect(e)
	}
	d.note(e, election)
	if election.Move == policy.Campaign {
		d.campaign(ctx, e)
	}
	return d.pause(e.Asked, election)
}

// electorate is what is known without asking anybody.
func (d *Detector) electorate(s consensus.Standing) policy.Electorate {
	e := policy.Electorate{Voters: d.cfg.Voters(), Installing: s.Installing || d.cfg.Fetching()}
	e.Self, e.Leader, e.Term = d.cfg.Self, s.Leader, s.Term
	switch {
	case s.Leads:
		e.Role = policy.Leader
	case s.Candidate:
		e.Role = policy.Candidate
	}
	if e.Heard = !s.Contact.IsZero(); e.Heard {
		e.Silent = time.Since(s.Contact)
	}
	if e.Leader != "" && e.Leader != e.Self {
		if e.Gossip = d.cfg.Liveness(e.Leader); e.Gossip == policy.Alive {
			e.Answered, e.OthersAnswer = d.cfg.Answered(e.Leader), d.othersAnswer(e)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of == (target{s.Leader, s.Term}) {
		e.Line = d.line
		if !d.mute.IsZero() {
			e.Mute = time.Since(d.mute)
		}
		if e.Mute > policy.FaltersAfter {
			d.faltered = time.Now()
		}
		e.Falters = !d.faltered.IsZero() && time.Since(d.faltered) < falteredFor
	}
	if e.Attempted = !d.attempted.IsZero(); e.Attempted {
		e.SinceAttempt = time.Since(d.attempted)
	}
	return e
}

// othersAnswer reports whether this node is well connected to a majority without
// the leader.
func (d *Detector) othersAnswer(e policy.Electorate) bool {
	well := 1
	for _, v := range e.Voters {
		if v != e.Self && v != e.Leader && d.cfg.Liveness(v) == policy.Alive && d.cfg.Answered(v) >= policy.WellAnswered {
			well++
		}
	}
	return e.Majority(well)
}

func (d *Detector) log() policy.Log {
	term, index := d.cfg.LastEntry()
	return policy.Log{Term: term, Index: index}
}

func (d *Detector) agreedFor() time.Duration {
	if d.agreed.IsZero() {
		return 0
	}
	return time.Since(d.agreed)
}

// ask asks the other voters but the leader itself.
func (d *Detector) ask(ctx context.Context, e policy.Electorate) []policy.Answer {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var (
		mu      sync.Mutex
		answers []policy.Answer
		asks    sync.WaitGroup
	)
	for _, voter := range e.Voters {
		if voter == e.Self || voter == e.Leader {
			continue
		}
		asks.Go(func() {
			a, err := d.cfg.Ask(ctx, voter, e.Leader, e.Term)
			if err != nil {
				return // who does not answer does not agree
			}
			a.Voter = voter
			mu.Lock()
			defer mu.Unlock()
			answers = append(answers, a)
		})
	}
	asks.Wait()
	return answers
}

// note keeps for how long what is seen lasts, and tells people.
func (d *Detector) note(e policy.Electorate, election policy.Election) {
	now := time.Now()
	if suspects, _ := e.Suspects(); !suspects {
		d.since, d.stage = time.Time{}, policy.Stay
	} else if d.since.IsZero() {
		d.since = now
	}
	switch {
	case !election.Agreed:
		d.agreed = time.Time{}
	case d.agreed.IsZero():
		d.agreed, d.jitter = now, rand.Float64()
	}
	if election.Move > d.stage {
		d.stage = election.Move
		d.cfg.Logger.Info("leader is taken for gone", "leader", e.Leader, "term", e.Term, "notes", election.Notes)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.notes = election.Notes
}

func (d *Detector) campaign(ctx context.Context, e policy.Electorate) {
	d.mu.Lock()
	d.attempted = time.Now()
	d.mu.Unlock()
	if err := d.cfg.Campaign(ctx, e.Term); err != nil {
		d.cfg.Logger.Warn("could not stand for election", "term", e.Term, "error", err)
		return
	}
	d.cfg.Logger.Info("stands for election", "against", e.Leader, "term", e.Term)
}

func (d *Detector) pause(asked bool, election policy.Election) time.Duration {
	switch {
	case election.Move == policy.Yield:
		return min(election.After, retryEvery)
	case !asked:
		return lookEvery
	case !d.since.IsZero() && time.Since(d.since) > patience:
		return patientEvery
	}
	return retryEvery
}
