// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// handle writes one record through a raftLog at a time.
func handle(t *testing.T, l *raftLog, at time.Time, level slog.Level, message string, args ...any) {
	t.Helper()
	r := slog.NewRecord(at, level, message, 0)
	r.Add(args...)
	if err := l.Handle(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// Claim: a member that is down is a warning every ten seconds that says how
// many were left out, not an error several times a second; another member or
// another line is not held back by it.
func TestRaftLog_MemberDown(t *testing.T) {
	var b bytes.Buffer
	l := newRaftLog(slog.NewTextHandler(&b, nil))
	now := time.Unix(1, 0)
	for i := range 100 { // 20 s
		at := now.Add(time.Duration(i) * 200 * time.Millisecond)
		handle(t, l, at, slog.LevelError, "failed to heartbeat to", "peer", "n2")
	}
	handle(t, l, now, slog.LevelError, "failed to heartbeat to", "peer", "n3")
	handle(t, l, now, slog.LevelWarn, "failed to contact", "server-id", "n2")
	if got := strings.Count(b.String(), "level=WARN"); got != 4 {
		t.Errorf("%d warnings, want 4:\n%s", got, b.String())
	}
	if strings.Contains(b.String(), "level=ERROR") || !strings.Contains(b.String(), "suppressed=49") {
		t.Errorf("logged:\n%s", b.String())
	}
}

// Claim: errors of this node stay errors and are never left out; routine lines
// obey the handler's level.
func TestRaftLog_KeepsErrors(t *testing.T) {
	var b bytes.Buffer
	l := newRaftLog(slog.NewTextHandler(&b, nil))
	for range 3 {
		handle(t, l, time.Unix(1, 0), slog.LevelError, "failed to commit logs", "error", "disk")
		handle(t, l, time.Unix(1, 0), slog.LevelInfo, "snapshot complete up to", "index", 7)
	}
	if got := strings.Count(b.String(), "level=ERROR"); got != 3 || strings.Contains(b.String(), "snapshot") {
		t.Errorf("logged:\n%s", b.String())
	}
}

// Claim: what is remembered is bounded.
func TestRaftLog_Bounded(t *testing.T) {
	r := &repeats{lines: map[string]*line{}}
	for i := range 3 * maxRepeats {
		r.take(strings.Repeat("x", i), time.Unix(1, 0))
	}
	if len(r.lines) > maxRepeats {
		t.Errorf("%d lines remembered", len(r.lines))
	}
}
