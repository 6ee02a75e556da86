// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawser

import (
	"fmt"
	"time"
)

// HealthState is how an instance of an agent does. Values are stored and cross the
// network: append only.
type HealthState uint8

const (
	// HealthUnknown is when nobody can tell, since too little is known of it.
	HealthUnknown HealthState = iota
	// HealthUnhealthy is one that fails, or has failed more often than not of late.
	HealthUnhealthy
	// HealthDegrading is one that has failed now and then.
	HealthDegrading
	// HealthHealthy is one that does well.
	HealthHealthy
)

// String returns the state in words.
func (s HealthState) String() string {
	switch s {
	case HealthUnknown:
		return "unknown"
	case HealthUnhealthy:
		return "unhealthy"
	case HealthDegrading:
		return "degrading"
	case HealthHealthy:
		return "healthy"
	}
	return fmt.Sprintf("health state %d", uint8(s))
}

// MarshalText implements encoding.TextMarshaler.
func (s HealthState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Errors match [ErrInvalid].
func (s *HealthState) UnmarshalText(text []byte) error {
	for state := range HealthHealthy + 1 {
		if state.String() == string(text) {
			*s = state
			return nil
		}
	}
	return &Error{Code: CodeInvalid, Op: "health state", Key: shorten(string(text)), Msg: "is unknown, unhealthy, degrading or healthy"}
}

// Worse returns the worse of two states; one that is not known is better than
// degrading and worse than healthy.
func (s HealthState) Worse(other HealthState) HealthState {
	rank := [...]int{HealthUnknown: 2, HealthUnhealthy: 0, HealthDegrading: 1, HealthHealthy: 3}
	if s <= HealthHealthy && other <= HealthHealthy && rank[other] < rank[s] {
		return other
	}
	return s
}

// Limits of what an instance reports.
const (
	// MaxProblem is the longest text of a problem or of an odd metric, in bytes.
	MaxProblem = 256
	// MaxMetrics is the most metrics of a report, MaxMetricName the longest name of one,
	// in bytes.
	MaxMetrics    = 16
	MaxMetricName = 64
)

// HealthReport is what an instance tells of itself with its signs of life.
type HealthReport struct {
	// Steps counts the steps that the agent has done. Waiting says that none is to be
	// expected now, Limit how long there may be none otherwise; 0 is for ever.
	Steps   uint64
	Waiting bool
	Limit   time.Duration
	// Problem is what is wrong, "" for nothing, and Took how long the slowest check took.
	Problem string
	Took    time.Duration
	// Metrics are shown, and judged by nobody but the instance.
	Metrics []Metric
	// Observed counts the vectors of metrics that the instance has judged of late, Odd
	// those of them that were anomalies; LastOdd says what made the last one odd.
	Observed, Odd uint64
	LastOdd       string
	// Yield asks for the agent to be handed over to a healthy instance that waits for it
	// while this one is unhealthy. A fresh sign of life vetoes it.
	Yield bool
}

// Metric is a number that an instance reports.
type Metric struct {
	Name  string
	Value float64
}

// HealthTrend is what part of the results was good, within a window.
type HealthTrend struct {
	// State is HealthHealthy from a share of 0.95 on, HealthDegrading from 0.7 on, and
	// HealthUnhealthy below; HealthUnknown of too few results.
	State HealthState `json:"state"`
	// Sample is the number of results, Share the part of them that was good, 0 of none.
	Sample int     `json:"sample"`
	Share  float64 `json:"share"`
	// AtLeast is what the share would be at least if there were many more results like
	// these, with 95 % confidence: the lower end of Wilson's interval. It is far below
	// Share when the sample is small; 0 of none. It takes results to be independent of
	// each other, which failures that last are not.
	AtLeast float64 `json:"at_least"`
}

// InstanceHealth is how the leader sees an instance that owns an agent or waits for it.
type InstanceHealth struct {
	Agent    AgentID
	Lease    LeaseID
	Instance string
	// Token is that of the claim, 0 of an instance that waits.
	Token uint64
	// State is HealthUnknown until this leader has seen enough; Reasons say why it is not
	// healthy.
	State   HealthState
	Reasons []string
	Trend   HealthTrend
	// Age is how long ago the newest report came, Idle for how long there was no step,
	// declared waits left out.
	Age, Idle time.Duration
	// Report is the newest one.
	Report HealthReport
	// Results are the newest, the oldest first. They are told of a single agent only.
	Results []HealthResult
}

// HealthResult is what came of one report.
type HealthResult struct {
	// Age is how long ago it came.
	Age time.Duration
	// Problem is what was wrong, "" for nothing.
	Problem string
	Took    time.Duration
}

// The detectors.
const (
	DetectorCadence = "cadence"
	DetectorGrowth  = "growth"
	DetectorLoop    = "loop"
	DetectorErrors  = "errors"
)

// Finding is something odd about an agent that the store has noticed by itself. It is a
// hint for people: nothing is done about it.
type Finding struct {
	// Detector is one of the above.
	Detector string
	// What is odd, in a sentence, and since when at least.
	What  string
	Since time.Time
}

// AgentFindings are those about one agent.
type AgentFindings struct {
	Agent    AgentID
	Findings []Finding
}
