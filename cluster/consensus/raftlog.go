// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// repeatEvery is how often the same line of raft about the same member is
// logged: raft writes several a second for as long as a member is down.
const repeatEvery = 10 * time.Second

// maxRepeats bounds what is remembered of lines.
const maxRepeats = 256

// raftLog gives raft's lines the level that they have for an operator, see
// levelOf, and passes on warnings that repeat once in repeatEvery.
type raftLog struct {
	slog.Handler
	repeats *repeats
}

func newRaftLog(h slog.Handler) *raftLog {
	return &raftLog{Handler: h, repeats: &repeats{lines: map[string]*line{}}}
}

// Handle implements slog.Handler.
func (l *raftLog) Handle(ctx context.Context, r slog.Record) error {
	r.Level = levelOf(r.Level, r.Message)
	if !l.Enabled(ctx, r.Level) {
		return nil
	}
	if r.Level == slog.LevelWarn {
		ok, suppressed := l.repeats.take(r.Message+memberOf(r), r.Time)
		if !ok {
			return nil
		}
		if suppressed > 0 {
			r.AddAttrs(slog.Int("suppressed", suppressed))
		}
	}
	return l.Handler.Handle(ctx, r)
}

// levelOf returns the level of a line. A member that does not answer is no
// error of this node; what belongs to every start, election or snapshot is no
// reason to warn. Every other line keeps the level that raft gave it.
func levelOf(level slog.Level, message string) slog.Level {
	switch message {
	case "failed to make requestVote RPC", "failed to appendEntries to", "failed to heartbeat to",
		"failed to start pipeline replication to", "failed to pipeline appendEntries", "failed to send snapshot to", "failed to install snapshot", "failed to get log",
		"failed to decode incoming command", "failed to flush response":
		return slog.LevelWarn
	case "peer has newer term, stopping replication", "appendEntries rejected, sending older logs",
		"failed to get previous log", "previous log term mis-match", "skipping application of old log",
		"new leader elected, stepping down":
		return slog.LevelInfo
	case "no known peers, aborting election", "initial configuration",
		"starting snapshot up to", "compacting logs", "snapshot complete up to":
		return slog.LevelDebug
	}
	if strings.HasPrefix(message, "rejecting pre-vote request") {
		return slog.LevelInfo
	}
	return level
}

// memberOf returns the member that a line is about, "" if it names none.
func memberOf(r slog.Record) string {
	member := ""
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "peer", "target", "server-id", "from":
			member = " " + a.Value.String()
			return false
		}
		return true
	})
	return member
}

// repeats remembers when lines were last logged.
type repeats struct {
	mu    sync.Mutex
	lines map[string]*line
}

type line struct {
	logged     time.Time
	suppressed int
}

// take reports whether a line may be logged at now, and how many like it were
// not since the last one.
func (r *repeats) take(key string, now time.Time) (ok bool, suppressed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.lines[key]
	if known == nil {
		if len(r.lines) >= maxRepeats {
			clear(r.lines)
		}
		r.lines[key] = &line{logged: now}
		return true, 0
	}
	if now.Sub(known.logged) < repeatEvery {
		known.suppressed++
		return false, 0
	}
	suppressed = known.suppressed
	known.logged, known.suppressed = now, 0
	return true, suppressed
}
