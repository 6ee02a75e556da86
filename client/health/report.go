// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// Report is how an instance does at one time.
type Report struct {
	At time.Time `json:"at"`
	// Healthy: no check fails but those that are ReadyOnly, and there is progress.
	// Without any results yet it is, as nothing is wrong.
	Healthy bool `json:"healthy"`
	// Ready: no check fails, each has had a good result at least once, and there is
	// progress.
	Ready bool `json:"ready"`
	// Trend is the worst of those of the checks; Unknown without checks.
	Trend State `json:"trend"`
	// Checks are in the order in which they were given; the progress, if it has a limit,
	// comes last.
	Checks []CheckReport `json:"checks"`
}

// CheckReport is how one check does.
type CheckReport struct {
	Name      string `json:"name"`
	ReadyOnly bool   `json:"ready_only,omitempty"`
	// Passed: the newest results, 100 at most, have a good one among them.
	Passed bool `json:"passed"`
	Verdict
}

// Unhealthy says why the instance is not healthy, as "name: reason", and nothing if it
// is: what recovery.Evidence takes.
func (r Report) Unhealthy() []string {
	var list []string
	for _, c := range r.Checks {
		if c.Failing && !c.ReadyOnly {
			list = append(list, c.Name+": "+strings.Join(c.Reasons, "; "))
		}
	}
	return list
}

// Report returns how the instance does now.
func (m *Monitor) Report() Report {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := Report{At: time.Now(), Healthy: true, Ready: true, Trend: Healthy}
	for _, w := range m.watchers {
		r.add(CheckReport{Name: w.Name, ReadyOnly: w.ReadyOnly, Passed: w.judge.Passed(), Verdict: w.judge.Verdict(r.At)})
		r.Trend = r.Trend.Worse(r.Checks[len(r.Checks)-1].Trend.State)
	}
	if m.progress != nil {
		v := m.progress.Verdict(r.At)
		r.add(CheckReport{Name: progressName, Passed: !v.Failing, Verdict: v})
	}
	if len(m.watchers) == 0 {
		r.Trend = Unknown
	}
	return r
}

func (r *Report) add(c CheckReport) {
	r.Checks = append(r.Checks, c)
	r.Healthy = r.Healthy && (!c.Failing || c.ReadyOnly)
	r.Ready = r.Ready && !c.Failing && c.Passed
}

// Handler serves the report as JSON: /health with 200 if the instance is healthy,
// /ready with 200 if it is ready, both with 503 if not. The report holds the texts of
// errors: serve it to those who may read them.
func (m *Monitor) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		r := m.Report()
		r.write(w, r.Healthy)
	})
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		r := m.Report()
		r.write(w, r.Ready)
	})
	return mux
}

// write answers with the report.
func (r Report) write(w http.ResponseWriter, good bool) {
	body, err := json.Marshal(r)
	if err != nil { // a time that JSON cannot hold
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !good {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write(append(body, '\n')) // who asked may be gone
}
