// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package anomaly

import (
	"math/bits"
	"math/rand/v2"
)

// averagePaths holds c(n) of the paper, equation 1: the average length of the path of
// an unsuccessful search in a binary search tree of n keys,
//
//	c(n) = 2 H(n-1) - 2 (n-1) / n
//
// with the harmonic numbers themselves. The paper estimates them by ln(i) + 0.5772,
// which is poor where it is used most, in leaves of few vectors: it gives 0.15 for
// c(2), which is 1.
var averagePaths = func() (c [maxSubsample + 1]float64) {
	harmonic := 0.0
	for n := 2; n < len(c); n++ {
		harmonic += 1 / float64(n-1)
		c[n] = 2*harmonic - 2*float64(n-1)/float64(n)
	}
	return c
}()

// leaf is the metric of a node that does not split.
const leaf = -1

// node is one of a tree.
type node struct {
	// at is where it splits; in a leaf, the length of the path to it and on through
	// what the limit of height has cut off.
	at     float64
	metric int32
	// left is the child of vectors below at; the one of the others comes after it.
	left int32
}

// tree is an isolation tree; the first node is its root.
type tree []node

// path returns the length of a vector's path, algorithm 3 of the paper.
func (t tree) path(vector []float64) float64 {
	n := &t[0]
	for n.metric != leaf {
		child := n.left
		if vector[n.metric] >= n.at {
			child++
		}
		n = &t[child]
	}
	return n.at
}

// grower makes trees. It is used by one goroutine.
type grower struct {
	vectors []float64 // one after the other, width values each
	width   int
	sample  int // how many vectors are in a tree
	random  *rand.Rand

	rows    []int32 // all vectors, in an order that changes
	metrics []int32 // all metrics, in an order that changes
}

func newGrower(vectors []float64, width, sample int, random *rand.Rand) *grower {
	g := &grower{vectors: vectors, width: width, sample: sample, random: random, rows: make([]int32, len(vectors)/width), metrics: make([]int32, width)}
	for i := range g.rows {
		g.rows[i] = int32(i)
	}
	for i := range g.metrics {
		g.metrics[i] = int32(i)
	}
	return g
}

// grow makes a tree from vectors that are drawn at random, none twice.
func (g *grower) grow() tree {
	for i := range g.sample {
		j := i + g.random.IntN(len(g.rows)-i)
		g.rows[i], g.rows[j] = g.rows[j], g.rows[i]
	}
	t := make(tree, 1, 2*g.sample-1)
	limit := bits.Len(uint(g.sample - 1)) // of height: the logarithm, rounded up
	return g.fill(t, 0, g.rows[:g.sample], 0, limit)
}

// fill makes node at of the rows that come to it, and all below it.
func (g *grower) fill(t tree, at int, rows []int32, depth, limit int) tree {
	if depth < limit {
		if metric, value, ok := g.choose(rows); ok {
			left := len(t)
			t[at] = node{metric: metric, at: value, left: int32(left)}
			t = append(t, node{}, node{})
			below := g.part(rows, metric, value)
			t = g.fill(t, left, rows[:below], depth+1, limit)
			return g.fill(t, left+1, rows[below:], depth+1, limit)
		}
	}
	t[at] = node{metric: leaf, at: float64(depth) + averagePaths[len(rows)]}
	return t
}

// choose returns a random metric of those in which the rows differ, and a random
// value of it that parts them: some are below it, and some are not. It is not ok if
// they are all alike.
func (g *grower) choose(rows []int32) (metric int32, value float64, ok bool) {
	for i := range g.metrics {
		j := i + g.random.IntN(len(g.metrics)-i)
		g.metrics[i], g.metrics[j] = g.metrics[j], g.metrics[i]
		metric = g.metrics[i]
		if low, high := g.span(rows, metric); low < high {
			return metric, between(low, high, g.random.Float64()), true
		}
	}
	return leaf, 0, false
}

// between returns the value that lies part of the way from low to high: above low, and
// at most high. It does not overflow, and it is rounded the same way on machines that
// would multiply and add at once.
func between(low, high, part float64) float64 {
	value := float64(low*(1-part)) + float64(high*part)
	if value <= low || value > high {
		return high
	}
	return value
}

// span returns the least and the greatest value of a metric.
func (g *grower) span(rows []int32, metric int32) (low, high float64) {
	low = g.value(rows[0], metric)
	high = low
	for _, row := range rows[1:] {
		v := g.value(row, metric)
		low, high = min(low, v), max(high, v)
	}
	return low, high
}

// part moves the rows that are below a value to the front, and returns how many.
func (g *grower) part(rows []int32, metric int32, value float64) int {
	below := 0
	for i, row := range rows {
		if g.value(row, metric) < value {
			rows[i], rows[below] = rows[below], rows[i]
			below++
		}
	}
	return below
}

func (g *grower) value(row, metric int32) float64 { return g.vectors[int(row)*g.width+int(metric)] }
