// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package anomaly

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// forest is what was learned from some vectors. It does not change.
type forest struct {
	trees []tree
	// scale is the sum of the paths of a vector whose score is one half.
	scale float64
	// threshold is the score above which the contamination lies.
	threshold float64
	medians   []float64 // by metric
}

// train makes a forest of vectors that follow each other, len(cfg.Metrics) values
// each. The number tells it from other forests of the same seed.
func train(cfg Config, vectors []float64, number uint64) *forest {
	width := len(cfg.Metrics)
	count := len(vectors) / width
	sample := min(cfg.Subsample, count)
	g := newGrower(vectors, width, sample, rand.New(rand.NewPCG(cfg.Seed, number)))
	f := &forest{trees: make([]tree, cfg.Trees), scale: float64(cfg.Trees) * averagePaths[sample]}
	for i := range f.trees {
		f.trees[i] = g.grow()
	}
	scores := make([]float64, count)
	for i := range scores {
		scores[i] = f.score(vectors[i*width : (i+1)*width])
	}
	slices.Sort(scores)
	f.threshold = scores[count-1-int(cfg.Contamination*float64(count))]
	f.medians = medians(vectors, width)
	return f
}

// score returns the anomaly score of the paper, equation 2: 2 to the power of
// -E(h(x)) / c(n). It is above 0 and below 1: near 1 for what is soon alone, one half
// where paths are as long as the average, and below it where vectors lie close.
func (f *forest) score(vector []float64) float64 {
	sum := 0.0
	for _, t := range f.trees {
		sum += t.path(vector)
	}
	return math.Exp2(-sum / f.scale)
}

// causes returns the metrics that make a vector odd, those that do most first.
func (f *forest) causes(names []string, vector []float64, score float64) []Cause {
	var causes []Cause
	changed := slices.Clone(vector)
	for i, value := range vector {
		changed[i] = f.medians[i]
		if drop := score - f.score(changed); drop > 0 {
			causes = append(causes, Cause{Metric: names[i], Value: value, Median: f.medians[i], Drop: drop})
		}
		changed[i] = value
	}
	slices.SortStableFunc(causes, func(a, b Cause) int { return cmp.Compare(b.Drop, a.Drop) })
	return slices.Clip(causes[:min(len(causes), maxCauses)])
}

// medians returns the median of each metric; of an even number of values, the greater
// of the two in the middle.
func medians(vectors []float64, width int) []float64 {
	found := make([]float64, width)
	values := make([]float64, len(vectors)/width)
	for metric := range found {
		for row := range values {
			values[row] = vectors[row*width+metric]
		}
		slices.Sort(values)
		found[metric] = values[len(values)/2]
	}
	return found
}
