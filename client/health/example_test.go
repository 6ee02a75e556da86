// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package health_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/hawserdb/hawser/client/health"
)

// An instance that is well, and not ready while the model that it asks is away.
func ExampleStart() {
	checked := make(chan struct{}, 1)
	m, err := health.Start(health.Config{
		Progress: time.Minute,
		Checks: []health.Check{
			{Name: "memory", Run: health.Memory(64 << 30)},
			{Name: "model", ReadyOnly: true, Limits: health.Limits{Failures: 1}, Run: func(context.Context) error {
				defer func() { checked <- struct{}{} }()
				return errors.New("no answer")
			}},
		},
	})
	if err != nil {
		panic(err)
	}
	<-checked
	m.Step()
	if err := m.Close(); err != nil {
		panic(err)
	}
	for _, path := range []string{"/health", "/ready"} {
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		fmt.Println(path, w.Code)
	}
	// Output:
	// /health 200
	// /ready 503
}

// Results from anywhere can be judged: it needs no clock.
func ExampleJudge() {
	j, err := health.NewJudge(health.Limits{Progress: time.Minute})
	if err != nil {
		panic(err)
	}
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	j.Step(now, 0)
	for n := range 20 {
		now = now.Add(time.Second)
		r := health.Result{At: now, Took: 20 * time.Millisecond}
		if n > 16 {
			r.Problem = "refused"
		}
		j.Note(r)
	}
	v := j.Verdict(now.Add(time.Minute))
	fmt.Println(v.Failing, v.Reasons)
	fmt.Printf("%s: %.2f of %d, at least %.2f\n", v.Trend.State, v.Trend.Share, v.Trend.Sample, v.Trend.AtLeast)
	// Output:
	// true [3 failures in a row: refused no step for 1m20s, more than 1m0s]
	// degrading: 0.85 of 20, at least 0.64
}
