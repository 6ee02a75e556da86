// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package anomaly

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/hawserdb/hawser"
)

// Bounds of a [Config], and of what is kept.
const (
	// MaxWindow vectors are kept at most.
	MaxWindow = 10_000
	// MaxMetrics is how many values a vector may have.
	MaxMetrics = 64
	// maxTrees and maxSubsample bound a forest; the paper finds no gain beyond 100 and
	// 256.
	maxTrees, maxSubsample = 1000, 1024
	// maxCauses is how many metrics are named for one anomaly.
	maxCauses = 5
)

// Config says what is watched. Zero values are the defaults that are named.
type Config struct {
	// Metrics names the values of a vector, in their order: 1 to [MaxMetrics], each name
	// once. Required.
	Metrics []string
	// Window is how many vectors are learned from, and how many verdicts are kept: the
	// newest ones; [MaxWindow], which is also the most.
	Window int
	// MinTrain is how many vectors there must be before one is judged; 100. At least 2,
	// at most Window.
	MinTrain int
	// Every is after how many vectors they are learned from anew. 0: when a tenth of
	// those that are kept is new, MinTrain at least.
	Every int
	// Trees, 100, of Subsample vectors each, 256, make a forest; at most 1000 and 1024,
	// at least 1 and 2.
	Trees, Subsample int
	// Contamination is the part of what is learned from that is taken to be odd; 0.1.
	// Below 0.5.
	Contamination float64
	// Seed decides what is drawn. 0 is one like any other.
	Seed uint64
}

// withDefaults returns the configuration with its defaults, or what is wrong with it.
func (c Config) withDefaults() (Config, error) {
	c.Metrics = slices.Clone(c.Metrics)
	orDefault(&c.Window, MaxWindow)
	orDefault(&c.MinTrain, 100)
	orDefault(&c.Trees, 100)
	orDefault(&c.Subsample, 256)
	orDefault(&c.Contamination, 0.1)
	bad := c.badNames()
	switch {
	case bad != "":
	case c.Window < 2 || c.Window > MaxWindow || c.MinTrain < 2 || c.MinTrain > c.Window || c.Every < 0:
		bad = fmt.Sprintf("a window of %d, from %d on, anew every %d makes no sense; it may have 2 to %d vectors", c.Window, c.MinTrain, c.Every, MaxWindow)
	case c.Trees < 1 || c.Trees > maxTrees || c.Subsample < 2 || c.Subsample > maxSubsample:
		bad = fmt.Sprintf("%d trees of %d vectors: there may be 1 to %d, of 2 to %d", c.Trees, c.Subsample, maxTrees, maxSubsample)
	case !(c.Contamination > 0 && c.Contamination < 0.5):
		bad = fmt.Sprintf("a contamination of %v must lie between 0 and 0.5", c.Contamination)
	}
	if bad != "" {
		return c, &hawser.Error{Code: hawser.CodeInvalid, Op: "anomaly detector", Msg: bad}
	}
	return c, nil
}

// badNames says what is wrong with the names of the metrics, "" for nothing.
func (c Config) badNames() string {
	names := slices.Sorted(slices.Values(c.Metrics))
	switch {
	case len(names) == 0 || len(names) > MaxMetrics:
		return fmt.Sprintf("%d metrics are named, there may be 1 to %d", len(names), MaxMetrics)
	case names[0] == "":
		return "a metric has no name"
	case len(slices.Compact(names)) < len(c.Metrics):
		return fmt.Sprintf("metrics %q: each name may stand for one", c.Metrics)
	}
	return ""
}

func orDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// Detector judges vectors. It is safe for concurrent use: calls wait for each other,
// mostly for the time of one score, and vectors are taken in the order in which that
// happens to be.
type Detector struct {
	cfg Config

	mu      sync.Mutex // guards what follows
	closed  bool
	seen    uint64 // vectors that were taken
	vectors window[[]float64]
	history history
	forest  *forest // nil until there are enough vectors
	// training is the forest that is being made, nil for none; it judges from a vector
	// on that is fixed when it is begun, however long it takes, so that verdicts do not
	// depend on the machine. next is the vector after which the next one is begun.
	// Invariant: training is nil when next is reached.
	training *training
	next     uint64
}

// training is a forest that is being made.
type training struct {
	from   uint64 // the first vector that it judges
	done   chan struct{}
	forest *forest // once done is closed
}

// New returns a detector that has seen nothing. Errors match hawser.ErrInvalid.
func New(cfg Config) (*Detector, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Detector{
		cfg: cfg, next: uint64(cfg.MinTrain),
		vectors: window[[]float64]{limit: cfg.Window},
		history: history{window: window[Verdict]{limit: cfg.Window}},
	}, nil
}

// Observe judges a vector by those before it, and keeps both. The time is only noted,
// for [Detector.Summary]. The values are copied.
//
// A vector of another length, and one with a value that is not finite, is refused with
// an error that matches hawser.ErrInvalid, and nothing is changed by it. After Close
// the error matches hawser.ErrCanceled.
//
// It takes some tens of microseconds, for an anomaly that times the number of metrics.
// Once in as many vectors as [Config.Every] says it also copies what is kept, and if vectors come faster than a forest is made it
// waits for that, up to some tenths of a second.
func (d *Detector) Observe(at time.Time, values []float64) (Verdict, error) {
	if err := d.check(values); err != nil {
		return Verdict{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return Verdict{}, &hawser.Error{Code: hawser.CodeCanceled, Op: "anomaly detector", Msg: "is closed"}
	}
	d.seen++
	if d.training != nil && d.training.from <= d.seen {
		<-d.training.done
		d.forest, d.training = d.training.forest, nil
	}
	v := d.judgeLocked(at, values)
	d.history.note(v)
	d.vectors.put(slices.Clone(values))
	if d.seen == d.next {
		d.beginLocked()
	}
	return v, nil
}

// check says whether a vector can be judged.
func (d *Detector) check(values []float64) error {
	bad := ""
	if len(values) != len(d.cfg.Metrics) {
		bad = fmt.Sprintf("a vector has %d values for %d metrics", len(values), len(d.cfg.Metrics))
	} else if i := slices.IndexFunc(values, notFinite); i >= 0 {
		bad = fmt.Sprintf("metric %q is %v", d.cfg.Metrics[i], values[i])
	}
	if bad != "" {
		return &hawser.Error{Code: hawser.CodeInvalid, Op: "observe", Msg: bad}
	}
	return nil
}

func notFinite(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }

// judgeLocked judges a vector by the forest that there is.
func (d *Detector) judgeLocked(at time.Time, values []float64) Verdict {
	v := Verdict{At: at, Number: d.seen}
	if d.forest == nil {
		return v
	}
	v.Judged, v.Score, v.Threshold = true, d.forest.score(values), d.forest.threshold
	if v.Anomaly = v.Score > v.Threshold; v.Anomaly {
		v.Causes = d.forest.causes(d.cfg.Metrics, values, v.Score)
	}
	return v
}

// beginLocked begins to make a forest of what is kept. The first one judges from the
// next vector on; later ones have half the time until the next is due.
func (d *Detector) beginLocked() {
	every := d.cfg.Every
	if every == 0 {
		every = max(len(d.vectors.items)/10, d.cfg.MinTrain)
	}
	t := &training{from: d.seen + 1, done: make(chan struct{})}
	if d.forest != nil {
		t.from += uint64(every / 2)
	}
	d.training, d.next = t, d.seen+uint64(every)
	number, vectors := d.seen, make([]float64, 0, len(d.vectors.items)*len(d.cfg.Metrics))
	for v := range d.vectors.all {
		vectors = append(vectors, *v...)
	}
	go func() {
		defer close(t.done)
		t.forest = train(d.cfg, vectors, number)
	}()
}

// Vector returns values in the order of the metrics, for [Detector.Observe]. Each
// metric must have one, and nothing else may; else the error matches
// hawser.ErrInvalid.
func (d *Detector) Vector(values map[string]float64) ([]float64, error) {
	vector := make([]float64, len(d.cfg.Metrics))
	for i, name := range d.cfg.Metrics {
		v, ok := values[name]
		if !ok {
			return nil, &hawser.Error{Code: hawser.CodeInvalid, Op: "vector", Msg: fmt.Sprintf("metric %q has no value", name)}
		}
		vector[i] = v
	}
	if len(values) != len(vector) {
		return nil, &hawser.Error{Code: hawser.CodeInvalid, Op: "vector", Msg: fmt.Sprintf("%d values for the metrics %q", len(values), d.cfg.Metrics)}
	}
	return vector, nil
}

// Summary says what was found in the vectors whose time is not before from and is
// before to; a zero time is no bound. It looks through all verdicts that are kept.
func (d *Detector) Summary(from, to time.Time) Summary {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.history.summary(from, to)
}

// Close waits for the forest that is being made, if there is one. What was found can
// still be asked for. It may be called more than once.
func (d *Detector) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.training != nil {
		<-d.training.done
		d.training = nil
	}
}
