// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package catchup

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hawserdb/hawser/cluster/consensus"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/halt"
	"github.com/hawserdb/hawser/internal/throttle"
)

const (
	// attempts is how many attempts in a row may bring nothing new.
	attempts = 6
	// patience is how many of them wait for a source that does not answer, when
	// much of its checkpoint is here, before another one is asked.
	patience = 4
	// maxUseless is how many checkpoints in a row may be taken over without the
	// log going on after them.
	maxUseless = 2
	// fallBackFor is for how long raft may send the state after that.
	fallBackFor = 10 * time.Minute
	// maxSkips is how often the leader is told that no state is needed after
	// one was taken over.
	maxSkips = 3
)

// Config configures a [CatchUp]. Zero durations mean the defaults.
type Config struct {
	// Dir is for the fetch, on the file system of the state. Owned.
	Dir string
	// Members are the other members.
	Members Members
	// Reach returns what the replica has: the last index of its log, or of its
	// machine if that is more, and what its machine applied.
	Reach func() (last, applied uint64)
	// Adopt puts the checkpoint in dir, which is verified, in place of the
	// node's state; consensus.Adopt while raft is stopped.
	Adopt func(ctx context.Context, dir string, meta fsm.Meta) error
	// Free returns the free bytes of the disk.
	Free func() (uint64, error)
	// Halt is told of a *halt.Error of Adopt.
	Halt   halt.Func
	Logger *slog.Logger
	// Stall is how long a source may send nothing (default 30 s), Backoff the
	// wait after the first attempt that failed (500 ms, doubled up to 8 s),
	// KeepEvery how often members are asked to keep their logs (2 s).
	Stall, Backoff, KeepEvery time.Duration

	// For tests.
	readMeta  func(dir string) (fsm.Meta, error)
	afterStep func(step string) error
}

// CatchUp fetches the state of another member when the log does not reach. It
// is safe for concurrent use.
type CatchUp struct {
	cfg     Config
	fetch   fetcher
	wake    chan struct{} // capacity 1: a leader wants to send its state
	stop    context.CancelFunc
	running sync.WaitGroup
	fetched atomic.Int64 // checkpoints taken over

	mu sync.Mutex
	// fallBack is until when raft may send the state.
	fallBack time.Time
	// adopted is the index of the checkpoint taken over last in this process,
	// skips how often the leader was told so since, useless how often that did
	// not help.
	adopted        uint64
	skips, useless int
	// busy: a checkpoint is being fetched or taken over.
	busy bool
}

// New returns a CatchUp, which refuses what leaders want to send until Start.
func New(cfg Config) *CatchUp {
	cfg.Stall, cfg.Backoff = orDefault(cfg.Stall, 30*time.Second), orDefault(cfg.Backoff, 500*time.Millisecond)
	cfg.KeepEvery = orDefault(cfg.KeepEvery, 2*time.Second)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.readMeta == nil {
		cfg.readMeta = func(dir string) (fsm.Meta, error) { return fsm.ReadMeta(dir, fsm.Options{}) }
	}
	c := &CatchUp{cfg: cfg, wake: make(chan struct{}, 1)}
	c.fetch = fetcher{
		dir: cfg.Dir, remote: cfg.Members, free: cfg.Free, stall: cfg.Stall, readMeta: cfg.readMeta, afterStep: cfg.afterStep,
	}
	return c
}

// Start begins to work. Call it once, when the node belongs to a cluster.
func (c *CatchUp) Start() {
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.running.Go(func() { c.run(ctx) })
}

// Close ends a fetch under way, which the next start goes on with, and waits
// for an adoption.
func (c *CatchUp) Close() {
	if c.stop != nil {
		c.stop()
	}
	c.running.Wait()
}

// Progress returns how far the fetch under way is.
func (c *CatchUp) Progress() Progress { return c.fetch.told() }

// Fetched returns how many checkpoints were taken over since the start, and
// the bytes that came.
func (c *CatchUp) Fetched() (checkpoints, bytes int64) {
	return c.fetched.Load(), c.fetch.received.Load()
}

// OnInstall decides, as consensus.Config.OnInstall, about a state that the
// leader wants to send: it is refused and fetched instead.
func (c *CatchUp) OnInstall(uint64) consensus.Install {
	_, applied := c.cfg.Reach()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.busy:
		return consensus.InstallRefuse
	case time.Now().Before(c.fallBack):
		return consensus.InstallTake
	case c.adopted != 0 && applied == c.adopted && c.skips < maxSkips:
		// It does not know yet that we have one.
		c.skips++
		return consensus.InstallSkip
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return consensus.InstallRefuse
}

func (c *CatchUp) run(ctx context.Context) {
	c.begin(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
			c.catchUp(ctx, true)
		}
	}
}

// begin looks, before a leader insists, whether its log reaches back to this
// replica, and goes on with a fetch that was cut short or removes it.
func (c *CatchUp) begin(ctx context.Context) {
	for {
		s, err := c.survey(ctx)
		switch {
		case err == nil && c.behind(s):
			c.catchUp(ctx, false)
			return
		case err == nil:
			c.done()
			return
		case c.fetch.readManifest() == nil || len(c.wake) > 0 || throttle.Sleep(ctx, c.cfg.Backoff) != nil:
			return
		}
	}
}

// behind reports whether the leader's log does not reach back to this replica.
func (c *CatchUp) behind(s survey) bool {
	last, _ := c.cfg.Reach()
	return !s.leader.reaches(last)
}

func (c *CatchUp) setBusy(busy bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = busy
}

// catchUp fetches until the state is taken over, is not needed any more, or
// attempts are used up. insisted: a leader said that its log does not reach,
// which where the logs differ can be so although it begins early enough.
func (c *CatchUp) catchUp(ctx context.Context, insisted bool) {
	c.setBusy(true)
	defer c.setBusy(false)
	select {
	case <-c.wake: // said before; while busy nothing is
		insisted = true
	default:
	}
	if c.isUseless() {
		c.giveUp(errors.New("checkpoints were taken over, and the leader's log did not reach back to them"))
		return
	}
	_, applied := c.cfg.Reach()
	backoff, best := c.cfg.Backoff, int64(0)
	for failures := 0; ; {
		err := c.attempt(ctx, failures, func(s survey) bool {
			_, now := c.cfg.Reach()
			return c.behind(s) || insisted && now == applied
		})
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			c.done()
			return
		}
		if _, stops := errors.AsType[*halt.Error](err); stops {
			c.cfg.Halt(err)
			return
		}
		failures++
		if m := c.fetch.readManifest(); m != nil {
			if have := c.fetch.present(m); have > best {
				best, failures, backoff = have, 0, c.cfg.Backoff
			}
		}
		c.cfg.Logger.Warn("fetching the state of another member was cut short", "failures", failures, "error", err)
		if failures >= attempts {
			c.giveUp(err)
			return
		}
		if throttle.Sleep(ctx, backoff) != nil {
			return
		}
		backoff = min(2*backoff, 8*time.Second)
	}
}

// isUseless counts a fetch that begins where the last one ended.
func (c *CatchUp) isUseless() bool {
	_, applied := c.cfg.Reach()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.adopted == 0 || applied != c.adopted {
		c.useless = 0
		return false
	}
	c.useless++
	return c.useless >= maxUseless
}

// giveUp lets raft send the state.
func (c *CatchUp) giveUp(err error) {
	c.cfg.Logger.Warn("the state could not be fetched; the leader may send it by raft", "for", fallBackFor, "error", err)
	c.mu.Lock()
	c.fallBack, c.useless, c.skips = time.Now().Add(fallBackFor), 0, 0
	c.mu.Unlock()
	c.done()
}

// done removes the fetch.
func (c *CatchUp) done() {
	if err := c.fetch.remove(); err != nil {
		c.cfg.Logger.Warn("could not remove a fetched checkpoint", "dir", c.cfg.Dir, "error", err)
	}
}
