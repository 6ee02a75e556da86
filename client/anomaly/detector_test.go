// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package anomaly_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client/anomaly"
)

func detector(t testing.TB, cfg anomaly.Config) *anomaly.Detector {
	t.Helper()
	d, err := anomaly.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

var epoch = time.Unix(1_700_000_000, 0)

// at is when vector n is seen: one a second.
func at(n int) time.Time { return epoch.Add(time.Duration(n) * time.Second) }

// observe has a detector judge vectors.
func observe(t testing.TB, d *anomaly.Detector, vectors [][]float64) []anomaly.Verdict {
	t.Helper()
	verdicts := make([]anomaly.Verdict, len(vectors))
	for i, v := range vectors {
		var err error
		if verdicts[i], err = d.Observe(at(i), v); err != nil {
			t.Fatal(err)
		}
	}
	return verdicts
}

// usual returns vectors of two metrics.
func usual(seed uint64, count int) [][]float64 {
	random := rand.New(rand.NewPCG(seed, 7))
	vectors := make([][]float64, count)
	for i := range vectors {
		vectors[i] = []float64{200 + 20*random.NormFloat64(), random.ExpFloat64()}
	}
	return vectors
}

var names = []string{"latency", "errors"}

// Claim: the same seed and the same vectors give the same verdicts, however the
// goroutines run; another seed gives others.
func TestDetector_IsDeterministic(t *testing.T) {
	vectors := usual(1, 3000)
	judge := func(seed uint64) []anomaly.Verdict {
		return observe(t, detector(t, anomaly.Config{Metrics: names, Seed: seed, Window: 500}), vectors)
	}
	first := judge(7)
	if again := judge(7); !reflect.DeepEqual(first, again) {
		t.Error("the same seed gives other verdicts")
	}
	if other := judge(8); reflect.DeepEqual(first, other) {
		t.Error("another seed gives the same verdicts")
	}
	// The first forest is made of 100 vectors and judges the next one; each later one is
	// begun 100 vectors after the one before, and judges when half of the next are there.
	var changes []uint64
	for i, v := range first[1:] {
		if v.Threshold != first[i].Threshold {
			changes = append(changes, v.Number)
		}
	}
	want := []uint64{101}
	for n := uint64(251); n <= 3000; n += 100 {
		want = append(want, n)
	}
	if !slices.Equal(changes, want) {
		t.Errorf("forests judge from the vectors %d on, want %d", changes, want)
	}
}

// Claim: nothing is judged before there are 100 vectors, everything is from the next
// one on; an odd one is found at once, with what makes it odd, and of the usual ones
// about as many as the contamination says.
func TestDetector_Judges(t *testing.T) {
	d := detector(t, anomaly.Config{Metrics: names})
	anomalies := 0
	for i, v := range observe(t, d, usual(2, 1100)) {
		if v.Judged != (i >= 100) || v.Number != uint64(i+1) || !v.At.Equal(at(i)) || !v.Judged && (v.Anomaly || v.Score != 0) {
			t.Fatalf("vector %d: %+v", i+1, v)
		}
		if v.Judged && (v.Score <= 0 || v.Score >= 1) {
			t.Fatalf("vector %d: score %v", i+1, v.Score)
		}
		if v.Anomaly {
			anomalies++
		}
	}
	if anomalies < 60 || anomalies > 140 {
		t.Errorf("%d anomalies of 1000 usual vectors", anomalies)
	}
	v, err := d.Observe(at(1100), []float64{200, 40})
	if err != nil || !v.Anomaly || len(v.Causes) == 0 || v.Causes[0].Metric != "errors" || v.Causes[0].Value != 40 || v.Causes[0].Median > 1 {
		t.Errorf("40 errors: %+v, %v", v, err)
	}
}

// Claim: what lasts becomes usual, when the window has moved on.
func TestDetector_WindowMoves(t *testing.T) {
	d := detector(t, anomaly.Config{Metrics: names, Window: 1000})
	observe(t, d, usual(3, 1000))
	moved := usual(4, 2000)
	for _, v := range moved {
		v[0] += 500
	}
	verdicts := observe(t, d, moved)
	count := func(part []anomaly.Verdict) (n int) {
		for _, v := range part {
			if v.Anomaly {
				n++
			}
		}
		return n
	}
	if before, after := count(verdicts[:50]), count(verdicts[1500:]); before < 45 || after > 100 {
		t.Errorf("%d of the first 50 are anomalies, %d of the last 500", before, after)
	}
}

// Claim: a vector that cannot be judged is refused by name, and all others are judged
// as if it had never come.
func TestDetector_RefusesAndLosesNothing(t *testing.T) {
	vectors := usual(5, 400)
	want := observe(t, detector(t, anomaly.Config{Metrics: names}), vectors)
	d := detector(t, anomaly.Config{Metrics: names})
	bad := []struct {
		vector []float64
		says   string
	}{
		{nil, "0 values for 2"},
		{[]float64{1}, "1 values for 2"},
		{[]float64{1, 2, 3}, "3 values for 2"},
		{[]float64{math.NaN(), 1}, `"latency" is NaN`},
		{[]float64{1, math.Inf(1)}, `"errors" is +Inf`},
		{[]float64{1, math.Inf(-1)}, `"errors" is -Inf`},
	}
	for i, v := range vectors {
		b := bad[i%len(bad)]
		if _, err := d.Observe(at(i), b.vector); !errors.Is(err, hawser.ErrInvalid) || !strings.Contains(err.Error(), b.says) {
			t.Fatalf("%v: %v, want %q", b.vector, err, b.says)
		}
		got, err := d.Observe(at(i), v)
		if err != nil || !reflect.DeepEqual(got, want[i]) {
			t.Fatalf("vector %d: %+v, %v; want %+v", i, got, err, want[i])
		}
		v[0], v[1] = math.NaN(), -1 // the values were copied
	}
}

// Claim: vectors that are all alike are no anomalies. A metric that never differed is
// not looked at: that is a limit of the method, and said in docs/health.md.
func TestDetector_Constants(t *testing.T) {
	d := detector(t, anomaly.Config{Metrics: names})
	alike := make([][]float64, 1000)
	for i := range alike {
		alike[i] = []float64{5, math.Copysign(0, float64(i%2)-0.5)}
	}
	for i, v := range observe(t, d, alike) {
		if v.Anomaly || v.Judged && math.Abs(v.Score-0.5) > 1e-12 {
			t.Fatalf("vector %d, alike: %+v", i, v)
		}
	}
	d = detector(t, anomaly.Config{Metrics: names})
	one := usual(6, 1000)
	for _, v := range one {
		v[1] = 3
	}
	observe(t, d, one)
	// No tree splits by what never differs.
	v, err := d.Observe(at(1000), []float64{200, 1e9})
	if err != nil || v.Anomaly {
		t.Errorf("a metric that never differed: %+v, %v", v, err)
	}
}

// Claim: a summary counts what lies in its span, shows the last ten anomalies with
// their causes, and says when some of the span is forgotten.
func TestDetector_Summary(t *testing.T) {
	d := detector(t, anomaly.Config{Metrics: names, Window: 600})
	vectors := usual(7, 1000)
	for i := 500; i < 1000; i += 20 { // 25 that are odd
		vectors[i] = []float64{2000, 0}
	}
	verdicts := observe(t, d, vectors)
	none := time.Time{}
	for name, c := range map[string]struct {
		from, to    time.Time
		first, last int // of the vectors that it is to count
		partial     bool
	}{
		"all that is kept":  {none, none, 400, 1000, true},
		"a span":            {at(500), at(600), 500, 600, false},
		"to the end":        {at(990), none, 990, 1000, false},
		"partly forgotten":  {at(300), at(450), 400, 450, true},
		"before everything": {none, at(0), 0, 0, false},
		"forgotten":         {at(10), at(20), 0, 0, true},
		"after everything":  {at(5000), none, 0, 0, false},
		"backwards":         {at(600), at(500), 0, 0, false},
	} {
		var want anomaly.Summary
		for _, v := range verdicts[c.first:c.last] {
			want.Count++
			if v.Anomaly {
				want.Anomalies++
				want.Last = append([]anomaly.Verdict{v}, want.Last...)
			}
		}
		if want.Last = want.Last[:min(10, len(want.Last))]; want.Count > 0 {
			want.Rate = float64(want.Anomalies) / float64(want.Count)
		}
		want.Partial = c.partial
		if got := d.Summary(c.from, c.to); len(got.Last) != len(want.Last) || len(got.Last) > 0 && !reflect.DeepEqual(got, want) ||
			got.Count != want.Count || got.Partial != want.Partial {
			t.Errorf("%s: %+v\nwant %+v", name, got, want)
		}
	}
	odd := d.Summary(at(900), none)
	if len(odd.Last) != 10 || odd.Anomalies < 5 {
		t.Fatalf("of the last 100: %+v", odd)
	}
	for _, v := range odd.Last {
		if v.Causes[0].Value == 2000 && v.Causes[0].Metric != "latency" {
			t.Errorf("caused by %+v", v.Causes)
		}
	}
	fresh := detector(t, anomaly.Config{Metrics: names})
	observe(t, fresh, vectors[:100])
	if s := fresh.Summary(none, none); s.Unjudged != 100 || s.Count != 0 || s.Rate != 0 || s.Partial {
		t.Errorf("of 100 that were not judged: %+v", s)
	}
}

// Claim: a detector may be used by many goroutines, and every vector is taken once.
func TestDetector_Concurrent(t *testing.T) {
	d := detector(t, anomaly.Config{Metrics: names, Window: 300, Every: 50})
	vectors := usual(8, 1600)
	var all sync.WaitGroup
	var mu sync.Mutex
	seen := map[uint64]bool{}
	for part := range 8 {
		all.Go(func() {
			for i, v := range vectors[part*200 : (part+1)*200] {
				verdict, err := d.Observe(at(i), v)
				if err != nil {
					t.Error(err)
					return
				}
				d.Summary(at(0), at(i))
				mu.Lock()
				seen[verdict.Number] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(seen) != 1600 {
		t.Errorf("%d numbers", len(seen))
	}
}

// Claim: after Close nothing is taken, what was found is still there, and it may be
// closed again.
func TestDetector_Close(t *testing.T) {
	d := detector(t, anomaly.Config{Metrics: names})
	observe(t, d, usual(9, 100)) // a forest is being made
	d.Close()
	d.Close()
	if _, err := d.Observe(at(0), []float64{1, 2}); !errors.Is(err, hawser.ErrCanceled) {
		t.Error(err)
	}
	if s := d.Summary(time.Time{}, time.Time{}); s.Unjudged != 100 {
		t.Errorf("%+v", s)
	}
}

// Claim: what is named is put in order, and nothing is made up or left out.
func TestDetector_Vector(t *testing.T) {
	d := detector(t, anomaly.Config{Metrics: names})
	if v, err := d.Vector(map[string]float64{"errors": 2, "latency": 1}); err != nil || !reflect.DeepEqual(v, []float64{1, 2}) {
		t.Error(v, err)
	}
	for _, bad := range []map[string]float64{nil, {"errors": 1}, {"errors": 1, "other": 2}, {"errors": 1, "latency": 2, "other": 3}} {
		if v, err := d.Vector(bad); !errors.Is(err, hawser.ErrInvalid) {
			t.Error(v, err)
		}
	}
}

func TestNew_Refuses(t *testing.T) {
	many := make([]string, anomaly.MaxMetrics+1)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	for name, cfg := range map[string]anomaly.Config{
		"no metrics": {}, "too many": {Metrics: many}, "no name": {Metrics: []string{"a", ""}}, "twice": {Metrics: []string{"a", "b", "a"}},
		"window": {Metrics: names, Window: anomaly.MaxWindow + 1}, "small window": {Metrics: names, Window: 50}, "train": {Metrics: names, MinTrain: 1},
		"every": {Metrics: names, Every: -1}, "trees": {Metrics: names, Trees: 1001}, "no trees": {Metrics: names, Trees: -1},
		"subsample": {Metrics: names, Subsample: 1}, "large subsample": {Metrics: names, Subsample: 1025},
		"contamination": {Metrics: names, Contamination: 0.5}, "negative": {Metrics: names, Contamination: -0.1}, "no number": {Metrics: names, Contamination: math.NaN()},
	} {
		if _, err := anomaly.New(cfg); !errors.Is(err, hawser.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Claim: no finite vectors, however far apart, close or alike, make it panic or give a
// score that is not between 0 and 1; what is not finite is refused.
func FuzzDetector(f *testing.F) {
	f.Add(uint8(1), uint8(1), []byte("all alike all alike all alike all alike all alike all alike "))
	f.Add(uint8(3), uint8(0), make([]byte, 8*3*40))
	var extremes []byte
	for i := range 64 {
		for _, v := range []float64{math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, 0, 1, math.Nextafter(1, 2), math.NaN(), math.Inf(1)}[i%3 : 6+i%3] {
			extremes = binary.LittleEndian.AppendUint64(extremes, math.Float64bits(v))
		}
	}
	f.Add(uint8(2), uint8(5), extremes)
	f.Fuzz(func(t *testing.T, width, every uint8, data []byte) {
		metrics := []string{"a", "b", "c", "d"}[:1+width%4]
		d := detector(t, anomaly.Config{Metrics: metrics, Window: 16, MinTrain: 4, Every: int(every % 20), Trees: 5, Subsample: 8})
		data = data[:min(len(data), 4096)] // each vector may make a forest
		taken := 0
		for size := 8 * len(metrics); len(data) >= size; data = data[size:] {
			vector, finite := make([]float64, len(metrics)), true
			for i := range vector {
				vector[i] = math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:]))
				finite = finite && !math.IsNaN(vector[i]) && !math.IsInf(vector[i], 0)
			}
			v, err := d.Observe(epoch, vector)
			if (err == nil) != finite {
				t.Fatalf("%v: %v", vector, err)
			}
			if err != nil {
				continue
			}
			if taken++; v.Number != uint64(taken) || v.Judged != (taken > 4) || v.Judged && !(v.Score > 0 && v.Score < 1) {
				t.Fatalf("vector %d, %v: %+v", taken, vector, v)
			}
			for _, c := range v.Causes {
				if !(c.Drop > 0 && c.Drop < 1) {
					t.Fatalf("cause %+v", c)
				}
			}
		}
		if s := d.Summary(time.Time{}, time.Time{}); s.Count+s.Unjudged != min(taken, 16) {
			t.Fatalf("%d were taken: %+v", taken, s)
		}
	})
}

// What the caller of Observe waits for, forests included.
func BenchmarkObserve(b *testing.B) {
	metrics := make([]string, 8)
	for i := range metrics {
		metrics[i] = fmt.Sprint(i)
	}
	random := rand.New(rand.NewPCG(9, 9))
	vectors := make([][]float64, 4*anomaly.MaxWindow)
	for i := range vectors {
		vectors[i] = make([]float64, len(metrics))
		for j := range vectors[i] {
			vectors[i][j] = random.NormFloat64()
		}
	}
	d := detector(b, anomaly.Config{Metrics: metrics})
	observe(b, d, vectors[:anomaly.MaxWindow])
	b.ReportAllocs()
	var longest time.Duration
	for n := 0; b.Loop(); n++ {
		begin := time.Now()
		if _, err := d.Observe(begin, vectors[n%len(vectors)]); err != nil {
			b.Fatal(err)
		}
		longest = max(longest, time.Since(begin))
	}
	b.ReportMetric(float64(longest.Microseconds())/1000, "ms/longest")
}

// Claim: what makes a vector odd is said in words, also when no single metric does.
func TestVerdict_Why(t *testing.T) {
	causes := []anomaly.Cause{{Metric: "latency", Value: 4000.5, Median: 1.0 / 3}, {Metric: "errors"}}
	for want, v := range map[string]anomaly.Verdict{
		"": {Judged: true}, "no metric alone": {Anomaly: true}, "latency is 4000.5, its median 0.333333": {Anomaly: true, Causes: causes},
	} {
		if got := v.Why(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
