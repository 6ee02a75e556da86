// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"math"

	"github.com/hawserdb/hawser"
)

// What part of the results is good of what is healthy, and of what is degrading.
const (
	healthyShare   = 0.95
	degradingShare = 0.7
)

// trend says what results come to of which some are good.
func trend(good, sample, minSample int) hawser.HealthTrend {
	t := hawser.HealthTrend{Sample: sample, AtLeast: wilson(good, sample)}
	if sample > 0 {
		t.Share = float64(good) / float64(sample)
	}
	t.State = stateOf(good, sample, minSample)
	return t
}

func stateOf(good, sample, minSample int) hawser.HealthState {
	share := float64(good) / float64(max(sample, 1))
	switch {
	case sample < minSample:
		return hawser.HealthUnknown
	case share >= healthyShare:
		return hawser.HealthHealthy
	case share >= degradingShare:
		return hawser.HealthDegrading
	}
	return hawser.HealthUnhealthy
}

// z is the 97.5 % quantile of the normal distribution, for 95 % between both ends.
const z = 1.959963984540054

// wilson returns the lower end of the score interval of E. B. Wilson, "Probable
// Inference, the Law of Succession, and Statistical Inference", Journal of the American
// Statistical Association 22 (1927), with 95 % between both ends. Unlike the plain
// interval around the share, it says something of few results, and of results that are
// all good.
func wilson(good, sample int) float64 {
	if sample == 0 {
		return 0
	}
	n, p := float64(sample), float64(good)/float64(sample)
	center := p + z*z/(2*n)
	margin := z * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return max(0, (center-margin)/(1+z*z/n))
}
