// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/agent"
)

// Claim: how instances do, what came of their reports, and what is odd about agents is
// told by any node, as a table and as JSON; who asks for what is not there gets an empty
// list.
func TestProcesses_Health(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 3)
	for _, command := range []string{"health", "anomalies"} {
		if out := f.want(t, 0, "", "agent", command, "-o", "json").stdout; strings.TrimSpace(out) != "[]" {
			t.Errorf("%s of nobody: %s", command, out)
		}
	}
	f.want(t, 2, "", "agent", "health", "--results")
	c, err := client.Dial(client.Config{Endpoints: f.Endpoints(), Instance: "worker"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	cfg := agent.Config[struct{ N int }]{Name: "crew/a", Report: func(r *hawser.HealthReport) {
		r.Problem, r.Took, r.Metrics = "out of tokens", 1500*time.Millisecond, []hawser.Metric{{Name: "tokens", Value: 7}}
		r.Observed, r.Odd, r.LastOdd = 100, 12, "latency"
	}}
	go func() {
		done <- agent.Run(ctx, c, cfg, func(ctx context.Context, _ *agent.Turn[struct{ N int }]) error {
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
			return nil
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	var found []healthView
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		found = decode[[]healthView](t, f.want(t, 0, "", "agent", "health", "crew", "-o", "json").stdout)
		if len(found) == 1 && found[0].State == hawser.HealthUnhealthy && found[0].Steps > 30 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%+v", found)
		}
	}
	if h := found[0]; h.Agent != "default/crew/a" || h.Instance != "worker" || h.Role != "owner" || h.Problem != "out of tokens" || h.TookMS != 1500 ||
		h.Metrics["tokens"] != 7 || h.Anomalies == nil || h.Anomalies.Odd != 12 || len(h.Reasons) == 0 || len(h.Results) != 0 {
		t.Errorf("%+v", h)
	}
	out := f.want(t, 0, "", "agent", "health").stdout
	if !strings.Contains(out, "unhealthy") || !strings.Contains(out, "failures in a row: out of tokens") {
		t.Errorf("health: %s", out)
	}
	if out := f.want(t, 0, "", "agent", "health", "crew/a", "--results").stdout; strings.Count(out, "out of tokens") < 3 {
		t.Errorf("results: %s", out)
	}
	detectors := map[string]string{}
	for _, a := range decode[[]anomalyView](t, f.want(t, 0, "", "agent", "anomalies", "-o", "json").stdout) {
		detectors[a.Detector] = a.What
	}
	if want := "12 of 100 vectors of metrics were odd of late, the last one: latency"; detectors["metrics"] != want || !strings.Contains(detectors["loop"], "the same 1 states over and over") {
		t.Errorf("anomalies: %q", detectors)
	}
	if out := f.want(t, 0, "", "agent", "claims").stdout; !strings.Contains(out, "unhealthy") {
		t.Errorf("claims: %s", out)
	}
}
