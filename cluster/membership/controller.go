// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/hawserdb/hawser/cluster/policy"
)

// ControllerConfig configures a [Controller]. Zero values mean the defaults.
type ControllerConfig struct {
	Self     string
	Raft     Raft
	Progress Progress
	Gossip   Gossip
	// Wanted is the number of live voters to keep (default 3).
	Wanted int
	// MinVoters is the number of voters that no removal goes below (default:
	// a majority of Wanted).
	MinVoters int
	// Stabilise is how long a voter must be dead, or a standby follow closely,
	// to be acted upon (default 30 s); ForgetStandby how long a standby must be
	// dead to be removed (1 h).
	Stabilise, ForgetStandby time.Duration
	// MaxLag is how many entries a standby that follows closely may be behind
	// (default 256).
	MaxLag uint64
	// Interval between two decisions (default 1 s), Timeout of one change (10 s).
	Interval, Timeout time.Duration
	Logger            *slog.Logger
}

// Controller lets package policy decide about the members once per Interval
// while its node leads, and carries decisions out, one at a time.
type Controller struct {
	cfg    ControllerConfig
	cancel context.CancelFunc
	done   chan struct{} // closed when the loop ended
	last   atomic.Pointer[policy.Action]

	// Owned by the loop.
	term       uint64 // in which the node leads; 0 when it does not
	leads      time.Time
	closeSince map[string]time.Time
}

// NewController starts a controller.
func NewController(cfg ControllerConfig) *Controller {
	if cfg.Wanted <= 0 {
		cfg.Wanted = 3
	}
	if cfg.MinVoters <= 0 {
		cfg.MinVoters = cfg.Wanted/2 + 1
	}
	if cfg.MaxLag == 0 {
		cfg.MaxLag = 256
	}
	cfg.Stabilise = orDefault(cfg.Stabilise, 30*time.Second)
	cfg.ForgetStandby = orDefault(cfg.ForgetStandby, time.Hour)
	cfg.Interval = orDefault(cfg.Interval, time.Second)
	cfg.Timeout = orDefault(cfg.Timeout, 10*time.Second)
	cfg.Logger = orDiscard(cfg.Logger)
	ctx, cancel := context.WithCancel(context.Background())
	c := &Controller{cfg: cfg, cancel: cancel, done: make(chan struct{}), closeSince: map[string]time.Time{}}
	go c.run(ctx)
	return c
}

// Notes says what the leader is about to do about its members, or why it does
// not, as of the last decision. It is empty on a node that does not lead.
func (c *Controller) Notes() []string {
	last := c.last.Load()
	if last == nil {
		return nil
	}
	var notes []string
	if last.Kind != policy.None {
		notes = append(notes, last.Kind.String()+" "+last.Node+": "+last.Reason)
	}
	return append(notes, last.Notes...)
}

// Close stops the controller and waits for a change under way, which it cuts
// short. It may be called again.
func (c *Controller) Close() {
	c.cancel()
	<-c.done
}

func (c *Controller) run(ctx context.Context) {
	defer close(c.done)
	tick := time.NewTicker(c.cfg.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.round(ctx)
		}
	}
}

func (c *Controller) round(ctx context.Context) {
	if !c.cfg.Raft.IsLeader() {
		c.term = 0
		c.last.Store(nil)
		return
	}
	if term := c.cfg.Raft.Term(); term != c.term {
		c.term, c.leads = term, time.Now()
		clear(c.closeSince)
	}
	conf := c.cfg.Raft.Configuration()
	action := policy.Decide(c.input(conf))
	c.last.Store(&action)
	c.carryOut(ctx, action, conf.Index)
}

func (c *Controller) input(conf Configuration) policy.Input {
	in := policy.Input{
		Settled: c.cfg.Raft.CommitIndex() >= conf.Index, LeaderFor: time.Since(c.leads),
		Wanted: c.cfg.Wanted, MinVoters: c.cfg.MinVoters, Stabilise: c.cfg.Stabilise, ForgetStandby: c.cfg.ForgetStandby,
		Fresh: min(fresh, c.cfg.Stabilise/2),
	}
	for id := range c.closeSince {
		if _, member := conf.Find(id); !member {
			delete(c.closeSince, id)
		}
	}
	for _, s := range conf.Servers {
		in.Nodes = append(in.Nodes, c.node(s, in.Fresh))
	}
	return in
}

func (c *Controller) node(s Server, freshFor time.Duration) policy.Node {
	n := policy.Node{ID: s.ID, Name: NodeName(s.ID), Voter: s.Voter, Self: s.ID == c.cfg.Self, Gossip: c.cfg.Gossip(s.ID)}
	if n.Self {
		return n
	}
	f, told := c.cfg.Progress.Follower(s.ID)
	n.Silent, n.Lag = time.Since(c.leads), f.Lag
	if told {
		n.Silent = min(n.Silent, time.Since(f.Contact))
	}
	if !told || n.Silent > freshFor || f.Lag > c.cfg.MaxLag {
		delete(c.closeSince, s.ID)
		return n
	}
	if _, known := c.closeSince[s.ID]; !known {
		c.closeSince[s.ID] = time.Now()
	}
	n.CloseFor = time.Since(c.closeSince[s.ID])
	return n
}

// carryOut makes the change, guarded by the index of the configuration that
// it was decided on, so that it meets no other.
func (c *Controller) carryOut(ctx context.Context, action policy.Action, prevIndex uint64) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	var err error
	switch action.Kind {
	case policy.None:
		return
	case policy.Promote:
		err = c.cfg.Raft.Promote(ctx, action.Node, prevIndex)
	case policy.Remove:
		err = c.cfg.Raft.Remove(ctx, action.Node, prevIndex)
	}
	if err != nil {
		c.cfg.Logger.Warn("change of members not done", "action", action.Kind.String(), "member", action.Node, "reason", action.Reason, "error", err)
		return
	}
	c.cfg.Logger.Info("members changed", "action", action.Kind.String(), "member", action.Node, "reason", action.Reason)
}
