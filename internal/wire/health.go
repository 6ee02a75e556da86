// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// HealthReport is a report with who makes it.
type HealthReport struct {
	Lease hawser.LeaseID
	Agent hawser.AgentID
	// Token, in answers, is that of the claim, 0 while the instance waits.
	Token uint64
	hawser.HealthReport
}

// HealthReportToProto returns r as a message.
func HealthReportToProto(r HealthReport) *hawserv1.HealthReport {
	m := &hawserv1.HealthReport{
		Lease: r.Lease[:], Agent: AgentToProto(r.Agent), Token: r.Token, Steps: r.Steps, Waiting: r.Waiting,
		Problem: r.Problem, Observed: r.Observed, Odd: r.Odd, LastOdd: r.LastOdd, Yield: r.Yield,
	}
	if r.Limit > 0 {
		m.Limit = durationpb.New(r.Limit)
	}
	if r.Took > 0 {
		m.Took = durationpb.New(r.Took)
	}
	for _, metric := range r.Metrics {
		m.Metrics = append(m.Metrics, &hawserv1.Metric{Name: metric.Name, Value: metric.Value})
	}
	return m
}

// HealthReportFromProto returns the report in a request. Errors match
// hawser.ErrInvalid.
func HealthReportFromProto(m *hawserv1.HealthReport) (HealthReport, error) {
	lease, err := LeaseFromProto(m.GetLease())
	if err != nil {
		return HealthReport{}, err
	}
	agent, err := AgentFromProto(m.GetAgent())
	if err != nil {
		return HealthReport{}, err
	}
	r := healthReport(m)
	r.Lease, r.Agent = lease, agent
	if why := badReport(&r.HealthReport); why != "" {
		return HealthReport{}, &hawser.Error{Code: hawser.CodeInvalid, Op: "health report", Key: agent.String(), Msg: why}
	}
	return r, nil
}

// healthReport reads what needs no check.
func healthReport(m *hawserv1.HealthReport) HealthReport {
	r := HealthReport{Token: m.GetToken(), HealthReport: hawser.HealthReport{
		Steps: m.GetSteps(), Waiting: m.GetWaiting(), Problem: m.GetProblem(), Limit: max(m.GetLimit().AsDuration(), 0), Took: max(m.GetTook().AsDuration(), 0),
		Observed: m.GetObserved(), Odd: m.GetOdd(), LastOdd: m.GetLastOdd(), Yield: m.GetYield(),
	}}
	for _, metric := range m.GetMetrics() {
		r.Metrics = append(r.Metrics, hawser.Metric{Name: metric.GetName(), Value: metric.GetValue()})
	}
	return r
}

func badReport(r *hawser.HealthReport) string {
	for _, text := range [...]string{r.Problem, r.LastOdd} {
		if len(text) > hawser.MaxProblem || !utf8.ValidString(text) {
			return fmt.Sprintf("a text of %d bytes; %d are possible, of valid UTF-8", len(text), hawser.MaxProblem)
		}
	}
	if len(r.Metrics) > hawser.MaxMetrics {
		return fmt.Sprintf("%d metrics, %d are possible", len(r.Metrics), hawser.MaxMetrics)
	}
	for _, m := range r.Metrics {
		if m.Name == "" || len(m.Name) > hawser.MaxMetricName || !utf8.ValidString(m.Name) || math.IsNaN(m.Value) || math.IsInf(m.Value, 0) {
			return "a metric has no name, one that is too long, or a value that is no number"
		}
	}
	return ""
}

// InstanceHealthToProto returns h as a message.
func InstanceHealthToProto(h hawser.InstanceHealth) *hawserv1.InstanceHealth {
	m := &hawserv1.InstanceHealth{
		Report:   HealthReportToProto(HealthReport{Lease: h.Lease, Agent: h.Agent, Token: h.Token, HealthReport: h.Report}),
		Instance: h.Instance, State: hawserv1.HealthState(h.State), Reasons: h.Reasons, Trend: hawserv1.HealthState(h.Trend.State),
		Sample: uint32(h.Trend.Sample), Share: h.Trend.Share, AtLeast: h.Trend.AtLeast, Age: durationpb.New(h.Age), Idle: durationpb.New(h.Idle),
	}
	for _, r := range h.Results {
		m.Results = append(m.Results, &hawserv1.HealthResult{Age: durationpb.New(r.Age), Problem: r.Problem, Took: durationpb.New(r.Took)})
	}
	return m
}

// InstanceHealthFromProto returns the instance in a node's answer.
func InstanceHealthFromProto(m *hawserv1.InstanceHealth) hawser.InstanceHealth {
	r := healthReport(m.GetReport())
	h := hawser.InstanceHealth{
		Agent: agentFromNode(m.GetReport().GetAgent()), Lease: leaseFromNode(m.GetReport().GetLease()), Instance: m.GetInstance(), Token: r.Token,
		State: healthState(m.GetState()), Reasons: m.GetReasons(), Age: m.GetAge().AsDuration(), Idle: m.GetIdle().AsDuration(), Report: r.HealthReport,
		Trend: hawser.HealthTrend{State: healthState(m.GetTrend()), Sample: int(m.GetSample()), Share: m.GetShare(), AtLeast: m.GetAtLeast()},
	}
	for _, r := range m.GetResults() {
		h.Results = append(h.Results, hawser.HealthResult{Age: r.GetAge().AsDuration(), Problem: r.GetProblem(), Took: r.GetTook().AsDuration()})
	}
	return h
}

// healthState is unknown for one that only a newer node knows.
func healthState(s hawserv1.HealthState) hawser.HealthState {
	if s < 0 || s > hawserv1.HealthState_HEALTH_STATE_HEALTHY {
		return hawser.HealthUnknown
	}
	return hawser.HealthState(s)
}

// FindingsToProto returns f as a message.
func FindingsToProto(f hawser.AgentFindings) *hawserv1.AgentFindings {
	m := &hawserv1.AgentFindings{Agent: AgentToProto(f.Agent)}
	for _, found := range f.Findings {
		m.Findings = append(m.Findings, &hawserv1.Finding{Detector: found.Detector, What: found.What, Since: timestamppb.New(found.Since)})
	}
	return m
}

// FindingsFromProto returns the findings in a node's answer.
func FindingsFromProto(m *hawserv1.AgentFindings) hawser.AgentFindings {
	f := hawser.AgentFindings{Agent: agentFromNode(m.GetAgent())}
	for _, found := range m.GetFindings() {
		f.Findings = append(f.Findings, hawser.Finding{Detector: found.GetDetector(), What: found.GetWhat(), Since: timeFromProto(found.GetSince())})
	}
	return f
}
