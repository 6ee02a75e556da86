// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package health says whether an instance of an agent is well: checks that are run in
// its process, by turns, and what their results and its progress come to.
//
//	m, err := health.Start(health.Config{Progress: time.Minute, Checks: []health.Check{
//		{Name: "memory", Run: health.Memory(2 << 30)},
//		{Name: "model", Run: health.HTTP(nil, "https://model.example/healthz", 200), ReadyOnly: true},
//	}})
//	defer m.Close()
//	http.Handle("/", m.Handler())
//
// # The parts
//
// A [Judge] makes a [Verdict] of results and steps. It has no clock and no goroutine:
// times are passed in, so that results from anywhere can be judged, and tested. A
// [Monitor] runs checks and has a judge for each.
//
// # Goroutines
//
// A monitor has one goroutine for each check, and one more while a check runs, so that
// one that hangs is seen: it counts as failed, again at each turn, and is not begun
// again before it has returned. [Monitor.Close] stops and joins all of them; it says
// which checks do not heed their context, and leaves those behind.
package health
