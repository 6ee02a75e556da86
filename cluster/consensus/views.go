// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import "sync"

// progress is the replica as its log sees it.
type progress Replica

// Applied implements logProgress.
func (p *progress) Applied() uint64 { return (*Replica)(p).appliedIndex() }

// Durable implements logProgress.
func (p *progress) Durable() (uint64, error) {
	meta, err := p.cfg.Machine.Durable()
	return meta.Index, err
}

// Commit implements logProgress.
func (p *progress) Commit() uint64 { return max(p.commit.Load(), (*Replica)(p).CommitIndex()) }

// IsLeader implements logProgress.
func (p *progress) IsLeader() bool { return (*Replica)(p).leads() }

// inbound is the replica as its transport sees it.
type inbound Replica

// Term implements receiver.
func (i *inbound) Term() uint64 { return (*Replica)(i).Term() }

// Holds implements receiver.
func (i *inbound) Holds(id entryID) bool { return i.logs.holds(id) }

// Applied implements receiver.
func (i *inbound) Applied() uint64 { return (*Replica)(i).appliedIndex() }

// Decide implements receiver.
func (i *inbound) Decide(id entryID) Install {
	if i.cfg.OnInstall == nil {
		return InstallTake
	}
	return i.cfg.OnInstall(id.index)
}

// Installed implements receiver.
func (i *inbound) Installed(id entryID) {
	r := (*Replica)(i)
	r.counters.installs.Add(1)
	if why := r.installs.installed(r.logs.appends.Load()); why != "" {
		r.logger.Warn("restarting raft", "reason", why, "index", id.index, "term", id.term)
		r.requestRestart(why)
	}
}

// resetLog empties the log after the machine was swapped.
func (r *Replica) resetLog(id entryID, conf configMark) error {
	stale, err := r.logs.reset(id, conf)
	if stale {
		r.installs.setStale()
	}
	return err
}

// installCounter notices when a snapshot does not help (raft#697): raft's
// memory of the log's end is stale, so it refuses all entries, and the leader
// sends the snapshot again. To restart raft on the same files cures it.
type installCounter struct {
	mu      sync.Mutex
	stale   bool   // the log ended at or after the snapshot
	appends uint64 // appends when the last snapshot came
	idle    int    // snapshots in a row without an append between them
}

func (c *installCounter) setStale() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stale = true
}

// installed counts a snapshot, when appends batches had been appended in all,
// and returns why raft must be restarted, or "".
func (c *installCounter) installed(appends uint64) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if appends != c.appends {
		c.idle, c.appends = 0, appends
	}
	c.idle++
	switch {
	case c.stale:
		c.stale, c.idle = false, 0
		return "the log ended at or after the snapshot"
	case c.idle >= 2:
		c.idle = 0
		return "two snapshots without progress"
	}
	return ""
}
