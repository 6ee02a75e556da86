// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

func sampleReport() HealthReport {
	return HealthReport{
		Lease: hawser.LeaseID{1}, Agent: hawser.AgentID{Namespace: "team", Name: "a/b"}, Token: 7,
		HealthReport: hawser.HealthReport{
			Steps: 9, Waiting: true, Limit: time.Minute, Problem: "torn", Took: time.Second, Metrics: []hawser.Metric{{Name: "m", Value: 2.5}},
			Observed: 100, Odd: 11, LastOdd: "m", Yield: true,
		},
	}
}

// Claim: reports and what they come to return from their messages unchanged, with every
// field set.
func TestConvert_HealthRoundTrips(t *testing.T) {
	report := sampleReport()
	if got, err := HealthReportFromProto(HealthReportToProto(report)); err != nil || !reflect.DeepEqual(got, report) {
		t.Errorf("report: got %+v, %v, want %+v", got, err, report)
	}
	health := hawser.InstanceHealth{
		Agent: report.Agent, Lease: report.Lease, Token: report.Token, Instance: "i", State: hawser.HealthUnhealthy, Reasons: []string{"r", "s"},
		Trend: hawser.HealthTrend{State: hawser.HealthDegrading, Sample: 20, Share: 0.9, AtLeast: 0.7}, Age: time.Second, Idle: time.Minute, Report: report.HealthReport,
		Results: []hawser.HealthResult{{Age: time.Second, Problem: "p", Took: time.Millisecond}},
	}
	if got := InstanceHealthFromProto(InstanceHealthToProto(health)); !reflect.DeepEqual(got, health) {
		t.Errorf("health: got %+v, want %+v", got, health)
	}
	findings := hawser.AgentFindings{Agent: report.Agent, Findings: []hawser.Finding{{Detector: hawser.DetectorLoop, What: "w", Since: time.Unix(1_700_000_000, 5).UTC()}}}
	if got := FindingsFromProto(FindingsToProto(findings)); !reflect.DeepEqual(got, findings) {
		t.Errorf("findings: got %+v, want %+v", got, findings)
	}
	for of, want := range map[reflect.Type]int{
		reflect.TypeFor[hawser.HealthReport](): 10, reflect.TypeFor[hawser.InstanceHealth](): 11, reflect.TypeFor[hawser.HealthTrend](): 4,
		reflect.TypeFor[hawser.HealthResult](): 3, reflect.TypeFor[hawser.Finding](): 3,
	} {
		if n := of.NumField(); n != want {
			t.Errorf("%s has %d fields: add the new one to the conversion and to this test", of, n)
		}
	}
	if got := healthState(99); got != hawser.HealthUnknown {
		t.Errorf("a state of a newer node: %s", got)
	}
	if healthState(-1) != hawser.HealthUnknown || healthState(hawserv1.HealthState_HEALTH_STATE_HEALTHY) != hawser.HealthHealthy {
		t.Error("states are mixed up")
	}
}

// Claim: a report that names nobody, or has more in it than may be, is refused as
// invalid.
func TestConvert_HealthReportRefuses(t *testing.T) {
	long := strings.Repeat("x", hawser.MaxProblem+1)
	for name, spoil := range map[string]func(*HealthReport){
		"lease": func(r *HealthReport) { r.Lease = hawser.LeaseID{} }, "agent": func(r *HealthReport) { r.Agent.Name = "" },
		"problem": func(r *HealthReport) { r.Problem = long }, "odd": func(r *HealthReport) { r.LastOdd = long }, "text": func(r *HealthReport) { r.Problem = "\xff" },
		"metrics": func(r *HealthReport) { r.Metrics = make([]hawser.Metric, hawser.MaxMetrics+1) },
		"name":    func(r *HealthReport) { r.Metrics[0].Name = long }, "no name": func(r *HealthReport) { r.Metrics[0].Name = "" },
		"nan": func(r *HealthReport) { r.Metrics[0].Value = math.NaN() }, "inf": func(r *HealthReport) { r.Metrics[0].Value = math.Inf(-1) },
	} {
		r := sampleReport()
		spoil(&r)
		if _, err := HealthReportFromProto(HealthReportToProto(r)); !errors.Is(err, hawser.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
