// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"strings"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/health"
)

// reportEvery is how often an instance reports how it does.
const reportEvery = time.Second

// report tells the cluster how this instance does, until ctx ends.
func (r *runner[S]) report(ctx context.Context, to *client.Reporter) {
	ticker := time.NewTicker(reportEvery)
	defer ticker.Stop()
	for {
		report := r.vitals.report()
		report.Yield = r.cfg.Yield
		if r.cfg.Report != nil {
			r.cfg.Report(&report)
		}
		to.Set(report)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// report is what there is to report. How long a step takes is judged by who takes the
// report.
func (v *vitals) report() hawser.HealthReport {
	v.mu.Lock()
	r := hawser.HealthReport{
		Steps: v.status.Steps, Waiting: v.status.State != "active" || !v.waiting.IsZero(), Limit: v.limit, Problem: v.problem,
	}
	v.mu.Unlock()
	if v.monitor == nil {
		return r
	}
	checks := v.monitor.Report()
	if problems := checks.Unhealthy(); r.Problem == "" && len(problems) > 0 {
		r.Problem = strings.Join(problems, "; ")
	}
	for _, c := range checks.Checks {
		if c.Last != nil && !c.ReadyOnly {
			r.Took = max(r.Took, c.Last.Took)
		}
	}
	return r
}

// checked adds to a status what the checks of its process say.
func (s *Status) checked(m *health.Monitor) {
	s.Ready = s.State == "waiting" || s.State == "active"
	if m == nil {
		return
	}
	checks := m.Report()
	s.Ready = s.Ready && checks.Ready
	s.Checks = checks.Checks
	if problems := checks.Unhealthy(); s.Problem == "" && len(problems) > 0 {
		s.Problem = strings.Join(problems, "; ")
	}
}

// note records a bad version in the cluster's log, which is worth no outage.
func (r *runner[S]) note(ctx context.Context, e Event) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer cancel()
	if err := r.client.Agent(r.cfg.Name).Note(ctx, hawser.EventRuntimeStateBad, e.Version, e.Err.Error()); err != nil {
		r.cfg.Logger.Warn("agent: that a version is bad was not recorded", "agent", r.cfg.Name, "version", e.Version, "error", err)
	}
}

// noteTime bounds the recording of an event.
const noteTime = 2 * time.Second
