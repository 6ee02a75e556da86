// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package anomaly

import (
	"fmt"
	"slices"
	"time"
)

// Verdict is what was found of one vector.
type Verdict struct {
	At time.Time `json:"at"`
	// Number counts the vectors that the detector has taken, from 1.
	Number uint64 `json:"number"`
	// Judged: there were enough vectors before it. If not, what follows is zero.
	Judged bool `json:"judged"`
	// Score lies between 0 and 1: the nearer to 1, the odder; below one half are vectors
	// that lie close to others. Threshold is what it is measured by, and it is an Anomaly
	// if it is above.
	Score     float64 `json:"score"`
	Threshold float64 `json:"threshold"`
	Anomaly   bool    `json:"anomaly"`
	// Causes are the metrics that make an anomaly one, up to five, those that do most
	// first. They are shared with what is kept: do not change them. None says that no
	// single one does.
	Causes []Cause `json:"causes,omitempty"`
}

// Cause is a metric that makes a vector odd.
type Cause struct {
	Metric string `json:"metric"`
	// Value is the one in the vector, Median that of the vectors that were learned from.
	Value  float64 `json:"value"`
	Median float64 `json:"median"`
	// Drop is by how much the score would be less if the metric had its median and
	// everything else were as it is. Always above 0.
	Drop float64 `json:"drop"`
}

// Why says in words what makes a vector odd: "latency_ms is 4000, its median 210". It
// is "" for one that is not odd.
func (v Verdict) Why() string {
	switch {
	case !v.Anomaly:
		return ""
	case len(v.Causes) == 0:
		return "no metric alone"
	}
	c := v.Causes[0]
	return fmt.Sprintf("%s is %.6g, its median %.6g", c.Metric, c.Value, c.Median)
}

// lastKept is how many anomalies a summary shows.
const lastKept = 10

// Summary is what was found in a span of time.
type Summary struct {
	// Count vectors were judged, of which Anomalies are odd; Rate is that part, 0 of
	// none. About [Config.Contamination] is usual.
	Count     int     `json:"count"`
	Anomalies int     `json:"anomalies"`
	Rate      float64 `json:"rate"`
	// Unjudged came before there were enough to judge by.
	Unjudged int `json:"unjudged"`
	// Last are the anomalies that came last, up to ten, the last one first.
	Last []Verdict `json:"last,omitempty"`
	// Partial: verdicts of the span are not kept any more.
	Partial bool `json:"partial"`
}

// history holds the newest verdicts.
type history struct {
	window[Verdict]

	// gone: some are not kept any more. Their times lie between earliest and latest.
	gone             bool
	earliest, latest time.Time
}

func (h *history) note(v Verdict) {
	old, full := h.put(v)
	if !full {
		return
	}
	if !h.gone || old.At.Before(h.earliest) {
		h.earliest = old.At
	}
	if !h.gone || old.At.After(h.latest) {
		h.latest = old.At
	}
	h.gone = true
}

func (h *history) summary(from, to time.Time) Summary {
	s := Summary{Partial: h.gone && !h.latest.Before(from) && (to.IsZero() || h.earliest.Before(to))}
	for v := range h.all {
		switch {
		case v.At.Before(from) || !to.IsZero() && !v.At.Before(to):
		case !v.Judged:
			s.Unjudged++
		default:
			s.add(*v)
		}
	}
	s.Last = slices.Clone(s.Last)
	slices.Reverse(s.Last)
	if s.Count > 0 {
		s.Rate = float64(s.Anomalies) / float64(s.Count)
	}
	return s
}

// add counts a verdict that is newer than those before.
func (s *Summary) add(v Verdict) {
	s.Count++
	if v.Anomaly {
		s.Anomalies++
		s.Last = append(s.Last[max(0, len(s.Last)+1-lastKept):], v)
	}
}
