// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"fmt"
	"strings"
	"time"
)

// Failure is a kind of failure.
type Failure uint8

// The kinds.
const (
	// None: nothing is wrong, or the agent is done.
	None Failure = iota
	// Crash: the process has ended, and starting it again may do.
	Crash
	// CorruptState: the agent's state is damaged, or does not pass its check.
	CorruptState
	// FailedDeployment: this build does not come up, or cannot read the state.
	FailedDeployment
	// ExhaustedResources: it needs more memory than there is for it.
	ExhaustedResources
	// Stuck: it lives and gets nothing done.
	Stuck
	// Forbidden: it is in quarantine.
	Forbidden
)

var failures = [...]string{"none", "crash", "corrupt state", "failed deployment", "exhausted resources", "stuck", "in quarantine"}

// String returns the kind in words.
func (f Failure) String() string {
	if int(f) < len(failures) {
		return failures[f]
	}
	return fmt.Sprintf("failure %d", uint8(f))
}

// Exit codes by which a process says why it has ended, of sysexits.h of 4.3BSD. See
// [ExitCode].
const (
	ExitCorruptState = 65 // EX_DATAERR
	ExitQuarantined  = 77 // EX_NOPERM
	ExitSchema       = 78 // EX_CONFIG
)

// Exit is how a process has ended.
type Exit struct {
	// Code is its exit code, -1 for one that was ended by Signal.
	Code   int
	Signal string
	// Tail is the end of what it has written to its standard error.
	Tail string
	// Uptime is how long it has run.
	Uptime time.Duration
}

// Evidence is what is known of an agent at one moment.
type Evidence struct {
	// Exit is how its process has ended, nil while it runs.
	Exit *Exit
	// Ready: since its start it has owned the agent, or saved, or said that it is ready.
	Ready bool
	// FailedStarts counts the starts of this build in a row that have ended before it
	// was ready, this one included.
	FailedStarts int
	// Idle is for how long it has shown no progress while it was to show some; 0 when
	// it need not.
	Idle time.Duration
	// Unhealthy names the checks of its own that fail, with what they say.
	Unhealthy []string
}

// Limits are what evidence is measured by.
type Limits struct {
	// IdleAfter is how long an agent may show no progress; 0 is for ever.
	IdleAfter time.Duration
	// Starts is how many failed starts in a row make a failed deployment; 0 is 2.
	Starts int
}

// outOfMemory is what processes write when they get no memory: Go, the C++ and
// Python runtimes, Node.js and Java, and the kernel's words for ENOMEM.
var outOfMemory = []string{"out of memory", "cannot allocate memory", "bad_alloc", "memoryerror", "heap out of memory", "outofmemoryerror"}

// Classify derives the kind of failure from what is known, and says from what.
func Classify(e Evidence, l Limits) (Failure, []string) {
	if e.Exit != nil {
		return classifyExit(e, max(l.Starts, 0))
	}
	var evidence []string
	kind := None
	if l.IdleAfter > 0 && e.Idle >= l.IdleAfter {
		kind = Stuck
		evidence = append(evidence, fmt.Sprintf("no progress for %v", e.Idle.Round(time.Millisecond)))
	}
	for _, check := range e.Unhealthy {
		evidence = append(evidence, "unhealthy: "+check)
		if kind = max(kind, Stuck); strings.HasPrefix(check, "memory") {
			kind = ExhaustedResources
		}
	}
	return kind, evidence
}

func classifyExit(e Evidence, starts int) (Failure, []string) {
	if starts == 0 {
		starts = 2
	}
	x := e.Exit
	evidence := []string{fmt.Sprintf("exit code %d after %v", x.Code, x.Uptime.Round(time.Millisecond))}
	if x.Signal != "" {
		evidence[0] = fmt.Sprintf("ended by signal %s after %v", x.Signal, x.Uptime.Round(time.Millisecond))
	}
	if last := lastLine(x.Tail); last != "" {
		evidence = append(evidence, "last words: "+last)
	}
	if !e.Ready {
		evidence = append(evidence, fmt.Sprintf("it was not ready; %d starts of this build in a row have ended so", e.FailedStarts))
	}
	switch {
	case x.Code == 0:
		return None, evidence
	case x.Code == ExitCorruptState:
		return CorruptState, evidence
	case x.Code == ExitQuarantined:
		return Forbidden, evidence
	case x.Code == ExitSchema:
		return FailedDeployment, evidence
	case lacksMemory(x.Tail):
		return ExhaustedResources, evidence
	case !e.Ready && e.FailedStarts >= starts:
		return FailedDeployment, evidence
	}
	return Crash, evidence
}

func lacksMemory(tail string) bool {
	tail = strings.ToLower(tail)
	for _, words := range outOfMemory {
		if strings.Contains(tail, words) {
			return true
		}
	}
	return false
}

// lastLine returns the line that says most: the first one of a panic or fatal error,
// else the last one that is not empty.
func lastLine(tail string) (line string) {
	const most = 200
	for l := range strings.Lines(tail) {
		if l = strings.TrimSpace(l); l == "" {
			continue
		}
		line = l
		if says([]byte(l)) {
			break
		}
	}
	if len(line) > most {
		line = strings.ToValidUTF8(line[:most], "")
	}
	return line
}
