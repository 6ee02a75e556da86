// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hawserdb/hawser/client/health"
)

// Status is how an agent does that is run by this process.
type Status struct {
	Agent string `json:"agent"`
	// State is "waiting" for the ownership, "restoring" or "active".
	State string    `json:"state"`
	Since time.Time `json:"since"`
	// Version is the newest that was restored or saved here.
	Version uint64 `json:"version,omitempty"`
	// Steps were done by this process. Step is for how long the one under way has been
	// done, without the time in which it has waited for a message; 0 for none.
	Steps uint64        `json:"steps"`
	Step  time.Duration `json:"step,omitempty"`
	// Problem is what is wrong, "" for nothing: a save that fails, a step that takes
	// longer than Config.StepLimit, a check of Config.Health that fails.
	Problem string `json:"problem,omitempty"`
	// Ready: it waits for the ownership or is active, and all checks have passed.
	Ready bool `json:"ready"`
	// Checks are those of Config.Health.
	Checks []health.CheckReport `json:"checks,omitempty"`
}

// vitals are kept of each agent that is run.
type vitals struct {
	limit   time.Duration
	monitor *health.Monitor // nil for none

	mu      sync.Mutex
	status  Status
	problem string    // that a save has
	began   time.Time // of the step, zero for none; moved on by what it has waited
	waiting time.Time // since when it waits for a message, zero for not
}

// running are the agents that this process runs.
var running struct {
	mu  sync.Mutex
	all map[*vitals]struct{}
}

// admit notes an agent that is run, until discharge is called.
func admit(name string, limit time.Duration, monitor *health.Monitor) (v *vitals, discharge func()) {
	v = &vitals{limit: limit, monitor: monitor, status: Status{Agent: name, Since: time.Now()}}
	running.mu.Lock()
	defer running.mu.Unlock()
	if running.all == nil {
		running.all = map[*vitals]struct{}{}
	}
	running.all[v] = struct{}{}
	return v, func() {
		running.mu.Lock()
		defer running.mu.Unlock()
		delete(running.all, v)
	}
}

// note notes what an event says.
func (v *vitals) note(e Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	state := v.status.State
	switch e.Kind {
	case Waiting, Lost:
		state, v.problem = "waiting", ""
	case Owned:
		state = "restoring"
	case Restored:
		state, v.status.Version = "active", e.Version
	case Saved:
		v.status.Version, v.problem = e.Version, ""
	case SaveFailed:
		v.problem = fmt.Sprintf("a save fails: %v", e.Err)
	case Bad, RolledBack, Ended:
	}
	if state != v.status.State {
		v.status.State, v.status.Since = state, e.At
	}
}

// beginStep and endStep are called around each step, pause and resume around its wait
// for a message.
func (v *vitals) beginStep() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.began, v.waiting = time.Now(), time.Time{}
}

func (v *vitals) endStep() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.began = time.Time{}
	v.status.Steps++
}

func (v *vitals) pause() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.waiting = time.Now()
}

func (v *vitals) resume() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.began, v.waiting = v.began.Add(time.Since(v.waiting)), time.Time{}
}

// now returns the status of an agent.
func (v *vitals) now() Status {
	s := v.own()
	s.checked(v.monitor)
	return s
}

// own is the status without the checks.
func (v *vitals) own() Status {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.status
	if !v.began.IsZero() {
		until := time.Now()
		if !v.waiting.IsZero() {
			until = v.waiting
		}
		s.Step = until.Sub(v.began)
	}
	switch {
	case v.problem != "":
		s.Problem = v.problem
	case v.limit > 0 && s.Step > v.limit:
		s.Problem = fmt.Sprintf("a step takes %v, more than %v", s.Step.Round(time.Millisecond), v.limit)
	}
	return s
}

// Running returns how the agents do that this process runs, by name.
func Running() []Status {
	running.mu.Lock()
	defer running.mu.Unlock()
	list := make([]Status, 0, len(running.all))
	for v := range running.all {
		list = append(list, v.now())
	}
	slices.SortFunc(list, func(a, b Status) int { return strings.Compare(a.Agent, b.Agent) })
	return list
}

// HealthHandler serves probes about the agents that this process runs: /health
// answers 503 while one of them has a problem, /ready while one is not ready, or none is
// run. Both answer with a JSON
// list of [Status].
func HealthHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		list := Running()
		answer(w, list, !slices.ContainsFunc(list, func(s Status) bool { return s.Problem != "" }))
	})
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		list := Running()
		answer(w, list, len(list) > 0 && !slices.ContainsFunc(list, func(s Status) bool { return !s.Ready }))
	})
	return mux
}

func answer(w http.ResponseWriter, list []Status, well bool) {
	data, err := json.Marshal(list)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if !well {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write(data) // who asked may have gone
}
