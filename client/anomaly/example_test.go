// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package anomaly_test

import (
	"fmt"
	"math"
	"time"

	"github.com/hawserdb/hawser/client/anomaly"
)

// An agent whose model answers in 200 ms or so, until it does not.
func ExampleDetector() {
	d, err := anomaly.New(anomaly.Config{Metrics: []string{"latency_ms", "tokens"}})
	if err != nil {
		panic(err)
	}
	defer d.Close()
	begin := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for n := range 500 {
		x := float64(n)
		if _, err := d.Observe(begin.Add(time.Duration(n)*time.Second), []float64{200 + 20*math.Sin(x), 1500 + 300*math.Cos(7*x)}); err != nil {
			panic(err)
		}
	}
	v, err := d.Observe(begin.Add(time.Hour), []float64{4000, 1500})
	if err != nil {
		panic(err)
	}
	fmt.Println(v.Anomaly, v.Causes[0].Metric, v.Causes[0].Value)
	s := d.Summary(begin.Add(time.Hour), time.Time{})
	fmt.Println(s.Count, s.Anomalies, s.Rate)
	// Output:
	// true latency_ms 4000
	// 1 1 1
}
