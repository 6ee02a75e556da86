// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/halt"
)

// Exit codes. Scripts depend on them.
const (
	codeOK          = 0
	codeError       = 1
	codeUsage       = 2
	codeNotFound    = 3
	codeConflict    = 4
	codeUnavailable = 5
	codeUnknown     = 6
)

// usage is a command line that makes no sense.
type usage struct {
	text    string
	command string // whose help to read, such as "state save"; "" is the program's
}

func (u usage) Error() string { return u.text }

func usageError(text string) error { return usage{text: text} }

func usageErrorf(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

// ofCommand notes the full name of the command in an error that is a usage
// error.
func ofCommand(name string, err error) error {
	if u, ok := err.(usage); ok { //nolint:errorlint // one that is wrapped keeps what wraps it
		u.command = strings.TrimSpace(strings.TrimPrefix(name, "hawser"))
		return u
	}
	return err
}

// hinted is an error with advice that is printed on a line of its own.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

func hint(err error, format string, args ...any) error {
	return hinted{err, fmt.Sprintf(format, args...)}
}

// own is an error of this process rather than of a call: what makes a call
// unavailable elsewhere, such as a port that is taken, is a plain error here.
type own struct{ error }

func (o own) Unwrap() error { return o.error }

// report prints an error on stderr and returns the exit code for it.
func (p *program) report(err error) int {
	if err == nil {
		return codeOK
	}
	code := exitCode(err)
	if _, silent := err.(*exitError); silent { //nolint:errorlint // one that is wrapped has something to say
		return code
	}
	say(p.stderr, "hawser: %s\n", escapeLines(err.Error()))
	if advice := adviceFor(err); advice != "" {
		say(p.stderr, "%s\n", escapeLines(advice))
	}
	return code
}

// exitCode returns the code for an error.
func exitCode(err error) int {
	if _, ok := errors.AsType[usage](err); ok {
		return codeUsage
	}
	if exit, ok := errors.AsType[*exitError](err); ok {
		return exit.code
	}
	if stopped, ok := errors.AsType[*halt.Error](err); ok {
		return stopped.Reason.ExitCode()
	}
	code := hawser.CodeOf(err)
	if _, ok := errors.AsType[own](err); ok && code != hawser.CodeInvalid {
		return codeError
	}
	switch code {
	case hawser.CodeOK:
		return codeOK
	case hawser.CodeInvalid:
		return codeUsage
	case hawser.CodeNotFound, hawser.CodeVersionGone, hawser.CodeCompacted:
		return codeNotFound
	case hawser.CodeConflict, hawser.CodeFenced, hawser.CodeWrongGeneration, hawser.CodeBusy, hawser.CodeTxnLocked, hawser.CodeTxnAborted,
		hawser.CodeLeaseExpired, hawser.CodeOwnershipLost, hawser.CodeMessageGone,
		hawser.CodeEffectUnknown, hawser.CodeEffectSkipped, hawser.CodeEffectFailed:
		return codeConflict
	case hawser.CodeUnavailable, hawser.CodeOverloaded, hawser.CodeNotLeader, hawser.CodeDeadline, hawser.CodeStorageFull:
		return codeUnavailable
	case hawser.CodeOutcomeUnknown:
		return codeUnknown
	case hawser.CodeInternal:
		if errors.Is(err, context.DeadlineExceeded) {
			return codeUnavailable
		}
		return codeError
	case hawser.CodeTooLarge, hawser.CodeRequestExpired, hawser.CodeRequestMismatch, hawser.CodeCorrupt,
		hawser.CodeUnauthenticated, hawser.CodePermissionDenied, hawser.CodeUnimplemented, hawser.CodeCanceled,
		hawser.CodeRefused, hawser.CodeKeyframeNeeded:
		return codeError
	}
	return codeError
}

// adviceFor returns what to do next, or "".
func adviceFor(err error) string {
	if h, ok := errors.AsType[hinted](err); ok {
		return h.hint
	}
	if unknown, ok := errors.AsType[*hawser.UnknownOutcomeError](err); ok {
		return "repeat with --request-id " + unknown.RequestID.String()
	}
	if unknown, ok := errors.AsType[*hawser.UnknownMessageError](err); ok {
		return "repeat with --request-id " + unknown.ID.String()
	}
	if u, ok := errors.AsType[usage](err); ok {
		if u.command != "" {
			return fmt.Sprintf("run \"hawser help %s\" for what it takes", u.command)
		}
		return "run \"hawser help\" for the commands, \"hawser help COMMAND\" for one of them"
	}
	return ""
}
