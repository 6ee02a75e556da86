// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package scrub

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/halt"
	"github.com/hawserdb/hawser/internal/rebuild"
	"github.com/hawserdb/hawser/internal/record"
)

// DefaultDelay is the time from a save to its verification. A version that is
// saved meanwhile is verified with it; twice the delay is left of the minute.
const DefaultDelay = 20 * time.Second

// View is what a Scrubber looks at: an *fsm.View.
type View interface {
	rebuild.View
	Info() fsm.Info
	AgentsAfter(after hawser.AgentID, limit int) ([]hawser.AgentID, error)
	Sums(id hawser.AgentID, number uint64) (hawser.Version, []fsm.Sum, error)
	Version(id hawser.AgentID, number uint64) (hawser.Version, error)
	Impact(ctx context.Context, ref hawser.VersionRef, limit int) (affected []fsm.Affected, truncated bool, err error)
	Close() error
}

// Peers is how a Scrubber asks the other nodes. Calls have a deadline.
type Peers interface {
	// Voters returns the ids of the voters of the latest configuration, Leader
	// that of the leader, empty when none is known.
	Voters() []string
	Leader() string
	// Stored asks a node for its Report.
	Stored(ctx context.Context, node string, version hawser.VersionRef) (Report, error)
	// Content fetches what a node has stored in a place, and the stamp of its
	// segment, Part a part of it.
	Content(ctx context.Context, node string, segment uint64, position uint32) (record.Content, uint64, error)
	Part(ctx context.Context, node string, upload [16]byte, index uint32) ([]byte, error)
	// Suspect asks the leader to look at a version.
	Suspect(ctx context.Context, leader string, version hawser.VersionRef) error
}

// Config configures a [Scrubber]. All fields but Delay are required.
type Config struct {
	// Self is the node's id.
	Self string
	// View returns the newest state.
	View func() (View, error)
	// Gate is the node's; versions are rebuilt behind it.
	Gate *rebuild.Gate
	// Repair and RepairPart put a content or a part of it in place.
	Repair     func(fsm.Repair) error
	RepairPart func(r fsm.Repair, index uint32, data []byte) error
	Peers      Peers
	// Leads reports whether the node leads and serves, Submit proposes a command.
	Leads  func() bool
	Submit func(context.Context, fsm.Command) (fsm.Result, error)
	// Halt stops the node when its data are damaged beyond repair.
	Halt   halt.Func
	Logger *slog.Logger
	// Delay replaces [DefaultDelay].
	Delay time.Duration
}

// Scrubber verifies what a node stores. Make one with [New].
type Scrubber struct {
	cfg      Config
	agenda   *agenda
	suspects suspects
	stop     context.CancelFunc
	done     sync.WaitGroup
	counts   counts
	// inspecting holds a token while somebody rebuilds for another node.
	inspecting chan struct{}

	// What follows is the own of the loop that verifies.

	recent walk
	pass   walk
}

type counts struct{ verified, bad, repaired atomic.Int64 }

// Stats are numbers about a Scrubber.
type Stats struct {
	// Verified versions were found to be what was saved, since the start.
	Verified int64
	// Bad versions were found, by this node as leader, to be what no hash
	// says, Repaired contents to differ from those of the other voters.
	Bad, Repaired int64
	// Pending agents have new versions to verify; the first of them has been
	// due for Behind.
	Pending int
	Behind  time.Duration
	// Suspects are versions that do not verify and are not decided on.
	Suspects int
}

// New returns a Scrubber that notes what is applied and does nothing else
// before Start.
func New(cfg Config) *Scrubber {
	cfg.Delay = cmp.Or(cfg.Delay, DefaultDelay)
	return &Scrubber{cfg: cfg, agenda: newAgenda(cfg.Delay), inspecting: make(chan struct{}, 1)}
}

// Start starts the loops. What was saved shortly before is verified too.
func (s *Scrubber) Start() {
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.recent.begin()
	s.pass.ended = time.Now().Add(firstPass - passEvery)
	s.done.Go(func() { s.run(ctx, s.step) })
	s.done.Go(func() { s.run(ctx, s.suspect) })
}

// Close ends the loops and joins them. It may be called without Start.
func (s *Scrubber) Close() {
	if s.stop != nil {
		s.stop()
	}
	s.done.Wait()
}

// OnApplied takes in what the machine has applied. It never waits. Whatever makes
// a version tells of it; a rollback or a fork may repeat one that nobody has
// verified yet.
func (s *Scrubber) OnApplied(applied []fsm.Applied) {
	now := time.Now()
	for _, a := range applied {
		for i := range a.Results {
			for _, e := range a.Results[i].Events {
				if e.Kind == hawser.EventVersionSaved {
					s.agenda.note(e.Name, e.Number, now)
				}
			}
		}
	}
}

// Stats returns numbers about the Scrubber.
func (s *Scrubber) Stats() Stats {
	st := Stats{
		Verified: s.counts.verified.Load(), Bad: s.counts.bad.Load(), Repaired: s.counts.repaired.Load(),
		Suspects: s.suspects.len(),
	}
	st.Pending, st.Behind = s.agenda.waiting(time.Now())
	return st
}

const (
	// idle is how long a loop waits when there is nothing to do.
	idle = time.Second
	// newVersions is how many of the versions that came since an agent's task
	// was noted are verified with the newest, which is the head; the others of
	// an agent that saves so fast are left to the pass over everything.
	newVersions = 8
	// maxRate bounds what is read and rebuilt, in bytes a second.
	maxRate = 64 << 20
)

// run does one thing after another, and rests in between so that it takes a
// bounded share of a core.
func (s *Scrubber) run(ctx context.Context, step func(context.Context) time.Duration) {
	for {
		timer := time.NewTimer(step(ctx))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// suspect looks into one suspect and returns how long to rest. It has a loop
// of its own, because other nodes may keep it waiting.
func (s *Scrubber) suspect(ctx context.Context) time.Duration {
	start := time.Now()
	version, ok := s.suspects.next(start)
	if !ok {
		return min(idle, s.cfg.Delay)
	}
	s.investigate(ctx, version)
	return min(idle, time.Since(start))
}

// step verifies what is most urgent and returns how long to rest.
func (s *Scrubber) step(ctx context.Context) time.Duration {
	start := time.Now()
	if t, ok := s.agenda.next(start); ok {
		done := s.verify(ctx, t.agent, max(t.from, t.to-min(t.to, newVersions-1)), t.to)
		return rest(time.Since(start), done, headShare(start.Sub(t.due)))
	}
	if s.agenda.takeMissed() {
		s.recent.begin()
	}
	if s.recent.running {
		s.lookForRecent()
		return rest(time.Since(start), work{}, passShare)
	}
	if s.pass.running || start.Sub(s.pass.ended) >= passEvery {
		done := s.passOn(ctx, start)
		return rest(time.Since(start), done, passShare)
	}
	return min(idle, s.cfg.Delay)
}

// headShare is how long to rest after the verification of new versions, in
// times that it took: a tenth of a core, a third when they have been due for long.
func headShare(behind time.Duration) int {
	if behind > DefaultDelay/2 {
		return 2
	}
	return 9
}

// work is what a step did: it moved bytes, and waited for others to rebuild.
type work struct {
	bytes  int64
	waited time.Duration
}

// rest is how long to rest after work that took so long, waiting included.
func rest(took time.Duration, done work, share int) time.Duration {
	took -= done.waited
	byRate := time.Duration(done.bytes)*time.Second/maxRate - took
	return max(time.Duration(share)*took, byRate, time.Millisecond)
}

// verify verifies versions of an agent, notes those that do not verify as
// suspects.
func (s *Scrubber) verify(ctx context.Context, id hawser.AgentID, from, to uint64) (done work) {
	err := s.view(func(v View) (err error) {
		_, done.waited, err = s.cfg.Gate.Verify(ctx, v, id, from, to, func(found fsm.Verdict) bool {
			done.bytes += found.Bytes
			s.found(found)
			return true
		})
		return err
	})
	s.failed("verify new versions", err)
	return done
}

func (s *Scrubber) found(v fsm.Verdict) {
	if v.Err == nil {
		s.counts.verified.Add(1)
		return
	}
	version := hawser.VersionRef{Agent: v.Version.Agent, Number: v.Version.Number}
	if s.suspects.add(version, time.Now()) {
		s.cfg.Logger.Error("a stored version is not what was saved; asking the other voters", "version", version, "error", v.Err)
	}
}

// view opens a view and closes it after use.
func (s *Scrubber) view(use func(View) error) error {
	v, err := s.cfg.View()
	if err != nil {
		return err
	}
	err = use(v)
	if closeErr := v.Close(); err == nil {
		err = closeErr
	}
	return err
}

// failed deals with an error of the store. A version that is gone is none.
func (s *Scrubber) failed(doing string, err error) {
	_, damaged := errors.AsType[*halt.Error](err)
	switch {
	case err == nil, errors.Is(err, hawser.ErrNotFound), errors.Is(err, hawser.ErrVersionGone), errors.Is(err, hawser.ErrUnavailable),
		errors.Is(err, context.Canceled): // by Close
	case damaged:
		s.cfg.Halt(err)
	default:
		s.cfg.Logger.Warn("scrubbing failed", "doing", doing, "error", err)
	}
}
