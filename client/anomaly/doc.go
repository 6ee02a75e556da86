// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package anomaly tells which of an agent's metric vectors are odd beside those that
// came before, inside the agent's process, and which metrics make them so.
//
//	d, err := anomaly.New(anomaly.Config{Metrics: []string{"latency_ms", "tokens", "errors"}})
//	defer d.Close()
//	verdict, err := d.Observe(time.Now(), []float64{210, 1800, 0})
//
// It is an isolation forest (Liu, Ting and Zhou, "Isolation Forest", ICDM 2008): trees
// split random parts of the vectors at random places until each vector is alone, and
// those that are soon alone are odd. It knows nothing of what the metrics mean, and
// nothing of order: a vector is judged by itself.
//
// # What is promised
//
// A [Detector] keeps the newest vectors, 10,000 at most, learns from them anew as they
// move on, and judges each vector by a forest that was made from vectors before it. The
// same seed and the same vectors in the same order give the same verdicts, on machines
// of one kind. A vector that is refused changes nothing. Everything is bounded.
//
// # What is not
//
// A tenth of what it learns from is taken to be odd ([Config.Contamination]), whether
// or not anything is wrong: one anomaly means little, a rate well above that does. What
// lasts becomes usual.
//
// # Goroutines
//
// A forest is made by a goroutine of the detector, one at a time, which [Detector.Close]
// waits for. It reads no clock: times come with the vectors.
package anomaly
