// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/hawserdb/hawser/internal/peerpb"
)

// TrackerConfig configures a [Tracker]. Zero durations mean the defaults.
type TrackerConfig struct {
	Self string
	Raft Raft
	// Ask calls Peer.Term of the node id.
	Ask func(ctx context.Context, id string, req *peerpb.TermRequest) (*peerpb.TermResponse, error)
	// Every is how often each member is asked while the node leads (default
	// 500 ms), Timeout the bound of one question (1 s).
	Every, Timeout time.Duration
	Logger         *slog.Logger
}

// Tracker asks all members how far they are while its node leads. It is the
// [Progress] of the other types. An answer counts as contact only if it comes
// in the leader's own term: from a node that follows this leader.
type Tracker struct {
	cfg    TrackerConfig
	cancel context.CancelFunc
	done   chan struct{} // closed when the loop and all questions ended

	mu     sync.Mutex
	term   uint64 // what followers and asking hold is of this term
	known  map[string]Follower
	asking map[string]bool
}

// NewTracker starts a tracker.
func NewTracker(cfg TrackerConfig) *Tracker {
	cfg.Every = orDefault(cfg.Every, 500*time.Millisecond)
	cfg.Timeout = orDefault(cfg.Timeout, time.Second)
	cfg.Logger = orDiscard(cfg.Logger)
	ctx, cancel := context.WithCancel(context.Background())
	t := &Tracker{cfg: cfg, cancel: cancel, done: make(chan struct{}), known: map[string]Follower{}, asking: map[string]bool{}}
	go t.run(ctx)
	return t
}

// Follower implements [Progress].
func (t *Tracker) Follower(id string) (Follower, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, ok := t.known[id]
	return f, ok
}

// Close stops the tracker and waits for its questions. It may be called again.
func (t *Tracker) Close() {
	t.cancel()
	<-t.done
}

func (t *Tracker) run(ctx context.Context) {
	defer close(t.done)
	var questions sync.WaitGroup
	defer questions.Wait()
	tick := time.NewTicker(t.cfg.Every)
	defer tick.Stop()
	for {
		for _, id := range t.due() {
			questions.Go(func() { t.question(ctx, id) })
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// due returns the members to ask now, and forgets what is out of date. At most
// one question to a member is under way.
func (t *Tracker) due() []string {
	isLeader, term, conf := t.cfg.Raft.IsLeader(), t.cfg.Raft.Term(), t.cfg.Raft.Configuration()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !isLeader || term != t.term {
		clear(t.known)
		t.term = term
	}
	for id := range t.known {
		if _, member := conf.Find(id); !member {
			delete(t.known, id)
		}
	}
	if !isLeader {
		return nil
	}
	var ids []string
	for _, s := range conf.Servers {
		if s.ID != t.cfg.Self && !t.asking[s.ID] {
			t.asking[s.ID] = true
			ids = append(ids, s.ID)
		}
	}
	return ids
}

func (t *Tracker) question(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, t.cfg.Timeout)
	defer cancel()
	term, last, commit := t.cfg.Raft.Term(), t.cfg.Raft.LastIndex(), t.cfg.Raft.CommitIndex()
	resp, err := t.cfg.Ask(ctx, id, &peerpb.TermRequest{Leader: t.cfg.Self, Term: term})
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.asking, id)
	switch {
	case err != nil:
		t.cfg.Logger.Debug("member does not tell its term", "member", id, "error", err)
		return
	case resp.GetNode() != id || resp.GetTerm() != term || term != t.term:
		return
	}
	t.known[id] = Follower{
		Contact: time.Now(), Lag: max(behind(last, resp.GetLastIndex()), behind(commit, resp.GetAppliedIndex())),
		AppliedIndex: resp.GetAppliedIndex(), LastIndex: resp.GetLastIndex(), Wall: resp.GetWall(),
		FreeBytes: resp.GetFreeBytes(), TotalBytes: resp.GetTotalBytes(), FeatureLevel: resp.GetFeatureLevel(),
		Append: time.Duration(min(resp.GetAppendMicros(), maxAppendMicros)) * time.Microsecond,
	}
}

// maxAppendMicros bounds what a member may say: an hour.
const maxAppendMicros = 3600e6

func behind(leader, follower uint64) uint64 { return leader - min(leader, follower) }
