// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"log/slog"
	"time"
)

// EventKind says what an event is about.
type EventKind uint8

// The kinds.
const (
	// Waiting: another instance owns the agent, or this one has just begun to ask.
	Waiting EventKind = iota + 1
	// Owned: this instance owns the agent from now on.
	Owned
	// Restored: the state is that of a version, or a new one with version 0.
	Restored
	// Bad: a version is damaged, does not decode or does not pass the check.
	Bad
	// RolledBack: the agent was rolled back to the newest version that is good.
	RolledBack
	// Saved: a version was saved.
	Saved
	// SaveFailed: a save did not succeed, and is tried again.
	SaveFailed
	// Lost: this instance does not own the agent any more.
	Lost
	// Ended: the agent is done, was stopped, or has failed.
	Ended
)

var kinds = [...]string{"", "waiting", "owned", "restored", "bad version", "rolled back", "saved", "save failed", "ownership lost", "ended"}

// String returns the kind in words.
func (k EventKind) String() string {
	if int(k) < len(kinds) && k > 0 {
		return kinds[k]
	}
	return fmt.Sprintf("event kind %d", uint8(k))
}

// Event is something that happened to an agent that is run here.
type Event struct {
	Kind  EventKind
	Agent string
	At    time.Time
	// Version is the one that it is about, 0 for none.
	Version uint64
	// Err is why, nil where there is nothing to say.
	Err error
}

// level is at which an event is logged.
func (k EventKind) level() slog.Level {
	switch k {
	case Saved, Waiting:
		return slog.LevelDebug
	case Bad, RolledBack, SaveFailed, Lost:
		return slog.LevelWarn
	case Owned, Restored, Ended:
	}
	return slog.LevelInfo
}
