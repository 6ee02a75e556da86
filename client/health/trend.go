// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package health

import "math"

// State is how a check has done for a while.
type State string

// The states, from the worst to the best, and the one of too few results.
const (
	Unhealthy State = "unhealthy"
	Degrading State = "degrading"
	Healthy   State = "healthy"
	Unknown   State = "unknown"
)

// What part of the results is good of what is healthy, and of what is degrading.
const (
	healthyShare   = 0.95
	degradingShare = 0.7
)

// Trend is what part of the results was good, within a window.
type Trend struct {
	// State is Healthy from a share of 0.95 on, Degrading from 0.7 on, and Unhealthy
	// below; Unknown of fewer results than Limits.MinSample.
	State State `json:"state"`
	// Sample is the number of results, Share the part of them that was good, 0 of none.
	Sample int     `json:"sample"`
	Share  float64 `json:"share"`
	// AtLeast is what the share would be at least if there were many more results like
	// these, with 95 % confidence: the lower end of Wilson's interval. It is far below
	// Share when the sample is small; 0 of none. It takes results to be independent of
	// each other, which failures that last are not.
	AtLeast float64 `json:"at_least"`
}

// trend says what results come to of which some are good.
func trend(good, sample, minSample int) Trend {
	t := Trend{State: Unknown, Sample: sample, AtLeast: wilson(good, sample)}
	if sample > 0 {
		t.Share = float64(good) / float64(sample)
	}
	switch {
	case sample < minSample:
	case t.Share >= healthyShare:
		t.State = Healthy
	case t.Share >= degradingShare:
		t.State = Degrading
	default:
		t.State = Unhealthy
	}
	return t
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

// worse returns the worse of two states; one that is not known is better than
// degrading and worse than healthy.
func worse(a, b State) State {
	rank := map[State]int{Unhealthy: 0, Degrading: 1, Unknown: 2, Healthy: 3}
	if rank[a] < rank[b] {
		return a
	}
	return b
}
