// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

const (
	// reportEvery is how often reports are sent at least.
	reportEvery = time.Second
	// maxReports and maxReported bound the reports of one message, in number and bytes.
	maxReports  = 1024
	maxReported = 256 << 10
)

// Reporter takes what an instance tells of itself to the cluster, with the signs of life
// of its claim, from when it begins to wait for the agent. The zero value is ready. Safe
// for concurrent use. See [Reports].
type Reporter struct {
	mu     sync.Mutex
	report hawser.HealthReport
	fresh  bool
}

// Set has a report sent, once, within a second or so; one that was not sent yet is not
// sent any more. What is too long in it is cut off.
func (r *Reporter) Set(report hawser.HealthReport) {
	report.Problem, report.LastOdd = cut(report.Problem), cut(report.LastOdd)
	report.Metrics = slices.Clone(report.Metrics[:min(len(report.Metrics), hawser.MaxMetrics)])
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report, r.fresh = report, true
}

func cut(text string) string {
	if len(text) > hawser.MaxProblem {
		text = text[:hawser.MaxProblem]
	}
	return strings.ToValidUTF8(text, "?")
}

func (r *Reporter) isFresh() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fresh
}

func (r *Reporter) take() hawser.HealthReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fresh = false
	return r.report
}

// Reports has a claim report with r, while it waits and while it lasts. One reporter is
// for one claim at a time. It means nothing to a lock.
func Reports(r *Reporter) HoldOption { return func(o *holdOptions) { o.reporter = r } }

// reporting is a reporter with what it reports about.
type reporting struct {
	agent    hawser.AgentID
	reporter *Reporter
}

// report has reports sent with the renewals of the lease until stop is called or the
// hold ends.
func (h *hold) report(r *Reporter) (stop func()) {
	if r == nil {
		return func() {}
	}
	l, added := h.lease, &reporting{agent: h.resource.Name, reporter: r}
	l.mu.Lock()
	l.reporting = append(l.reporting, added)
	l.mu.Unlock()
	remove := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if i := slices.Index(l.reporting, added); i >= 0 {
			l.reporting = slices.Delete(l.reporting, i, i+1)
		}
	}
	ended := context.AfterFunc(h.ctx, remove)
	return func() {
		if ended() {
			remove()
		}
	}
}

// Report has the claim report with r until stop is called, as [Reports] does from the
// beginning: for claims that were made otherwise.
func (c *Claim) Report(r *Reporter) (stop func()) { return c.report(r) }

// reports reports whether there is somebody who does.
func (l *lease) reports() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.reporting) > 0
}

// addReports adds what there is to report to a renewal of the lease, and reports whether
// all of it had room.
func (l *lease) addReports(req *hawserv1.KeepAliveRequest, size *int) (all bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.reporting {
		if !r.reporter.isFresh() {
			continue
		}
		if len(req.GetReports()) >= maxReports || *size >= maxReported {
			return false
		}
		m := wire.HealthReportToProto(wire.HealthReport{Lease: l.id, Agent: r.agent, HealthReport: r.reporter.take()})
		req.Reports = append(req.Reports, m)
		*size += proto.Size(m)
	}
	return true
}
