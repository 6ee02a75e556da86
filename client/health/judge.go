// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/judge"
)

// What judges results here judges reports at the cluster's leader too.
type (
	// Judge holds results and steps up to limits. It reads no clock. It is not safe for
	// concurrent use. Make one with [NewJudge].
	Judge = judge.Judge
	// Limits say what is a failure. Zero values are defaults.
	Limits = judge.Limits
	// Result is what came of one run of a check.
	Result = judge.Result
	// Verdict is what results and steps come to at one time.
	Verdict = judge.Verdict
	// State is how a check has done for a while.
	State = hawser.HealthState
)

// The states, from the worst to the best, and the one of too few results.
const (
	Unhealthy = hawser.HealthUnhealthy
	Degrading = hawser.HealthDegrading
	Healthy   = hawser.HealthHealthy
	Unknown   = hawser.HealthUnknown
)

// NewJudge returns a judge that knows nothing yet. Errors match hawser.ErrInvalid.
func NewJudge(limits Limits) (*Judge, error) { return judge.New(limits) }
