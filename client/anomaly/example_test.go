// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package anomaly_test

import (
	"fmt"
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
		if _, err := d.Observe(begin.Add(time.Duration(n)*time.Second), []float64{float64(180 + n*37%41), float64(1200 + n*53%600)}); err != nil {
			panic(err)
		}
	}
	v, err := d.Observe(begin.Add(time.Hour), []float64{4000, 1500})
	if err != nil {
		panic(err)
	}
	fmt.Println(v.Why())
	s := d.Summary(begin.Add(time.Hour), time.Time{})
	fmt.Println(s.Count, s.Anomalies, s.Rate)
	// Output:
	// latency_ms is 4000, its median 200
	// 1 1 1
}
