// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package halt names the reasons for which a node stops itself.
//
// A replica that goes on after a failed fsync, a damaged file or a command
// that it does not understand diverges from the others, and nobody notices.
// Whoever finds such a thing makes an [Error] and hands it to the node, which
// stops serving at once; the command line turns the reason into the process's
// exit code, so that a supervisor and an operator can tell the cases apart.
package halt

import (
	"errors"
	"fmt"
)

// Reason is why a node stops. Its value is the process's exit code: append only.
type Reason int

// The reasons.
const (
	// Directory: the data directory cannot be used: in use, of another node
	// or cluster, not writable. Nothing was changed.
	Directory Reason = 10 + iota
	// Log: the raft log could not be written or read.
	Log
	// Stable: term and vote could not be written or read.
	Stable
	// Engine: the engine under the state machine failed.
	Engine
	// Hung: a write or fsync did not return in time.
	Hung
	// Damaged: stored bytes do not match their checksum, or files are missing.
	// The node never votes again with this directory.
	Damaged
	// Level: the cluster uses features that this binary does not know.
	Level
	// Removed: the node is no longer a member of the cluster.
	Removed
	// Entry: a committed log entry that is intact makes no sense. Every
	// replica meets it; it is a defect of the node that wrote it.
	Entry
	// Diverged: the state is not what a majority of the voters has. The node
	// never votes again with this directory.
	Diverged
)

var names = map[Reason]string{
	Directory: "data directory unusable", Log: "log failed", Stable: "term and vote failed", Engine: "engine failed",
	Hung: "storage hangs", Damaged: "data damaged", Level: "binary too old", Removed: "removed from the cluster", Entry: "log entry makes no sense", Diverged: "state differs from the other replicas",
}

// String returns the reason in words.
func (r Reason) String() string {
	if s, ok := names[r]; ok {
		return s
	}
	return fmt.Sprintf("reason %d", int(r))
}

// ExitCode returns the process's exit code for r.
func (r Reason) ExitCode() int { return int(r) }

// Error is a reason with its cause.
type Error struct {
	Reason Reason
	// Where is the file or part concerned.
	Where string
	// Hint says what to do next; may be empty.
	Hint string
	Err  error
}

// Wrap returns an *Error around err, or err itself if it already holds one.
// It returns nil for a nil err.
func Wrap(reason Reason, where string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return &Error{Reason: reason, Where: where, Err: err}
}

// Error implements error.
func (e *Error) Error() string {
	s := e.Reason.String()
	if e.Where != "" {
		s += ": " + e.Where
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Func takes the error for which a node stops. It returns at once, may be
// called from any goroutine and more than once; the first call counts.
type Func func(error)
