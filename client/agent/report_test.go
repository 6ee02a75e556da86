// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/agent"
	"github.com/hawserdb/hawser/client/health"
	"github.com/hawserdb/hawser/hawsertest"
)

// instance is a process that runs agents.
func instance(t *testing.T, cluster *hawsertest.Cluster, name string) *client.Client {
	t.Helper()
	var endpoints []string
	for i := range cluster.Size() {
		endpoints = append(endpoints, cluster.Endpoint(i))
	}
	c, err := client.Dial(client.Config{Endpoints: endpoints, Instance: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ailing returns a monitor with a check that fails when it is told to.
func ailing(t *testing.T) (*health.Monitor, *atomic.Bool) {
	t.Helper()
	var ill atomic.Bool
	m, err := health.Start(health.Config{Checks: []health.Check{{
		Name: "lung", Interval: 100 * time.Millisecond, Limits: health.Limits{Failures: 1}, Run: func(context.Context) error {
			if ill.Load() {
				return errors.New("short of breath")
			}
			return nil
		},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m, &ill
}

// idle is a step that takes a moment.
func idle(ctx context.Context, _ *agent.Turn[tally]) error {
	select {
	case <-time.After(100 * time.Millisecond):
	case <-ctx.Done():
	}
	return nil
}

// stateOf returns how an instance of an agent does.
func stateOf(t *testing.T, c *client.Client, name, instance string) hawser.InstanceHealth {
	t.Helper()
	list, err := c.Agent(name).Health(t.Context())
	if err != nil && !errors.Is(err, hawser.ErrUnavailable) {
		t.Fatal(err)
	}
	for _, h := range list {
		if h.Instance == instance {
			return h
		}
	}
	return hawser.InstanceHealth{}
}

func ownerOf(t *testing.T, c *client.Client, name string) string {
	t.Helper()
	h, err := c.Agent(name).Owner(t.Context())
	if err != nil || len(h.Holders) == 0 {
		return ""
	}
	return h.Holders[0].Instance
}

// Claim: instances report with their signs of life, the leader judges them, the log is
// told of a change, and after a change of the leader all is unknown first.
func TestReport_JudgedByTheLeader(t *testing.T) {
	t.Parallel()
	cluster := hawsertest.StartCluster(t, 3)
	c := cluster.Client()
	monitor, ill := ailing(t)
	cfg, _ := config("a", func(cfg *agent.Config[tally]) {
		cfg.Health = monitor
		cfg.Report = func(r *hawser.HealthReport) { r.Metrics = []hawser.Metric{{Name: "tokens", Value: 7}} }
	})
	start(t, instance(t, cluster, "worker"), cfg, idle)
	eventually(t, "it reports", func() bool {
		h := stateOf(t, c, "a", "worker")
		return h.Report.Steps > 0 && len(h.Results) > 1 && len(h.Report.Metrics) == 1 && h.State == hawser.HealthUnknown && h.Token != 0
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	changed := make(chan hawser.Event, 1)
	go func() {
		for b, err := range c.Watch(ctx, client.Name("a"), client.Kinds(hawser.EventHealthChanged)) {
			if err == nil && len(b.Events) > 0 {
				changed <- b.Events[0]
				return
			}
		}
	}()
	ill.Store(true)
	eventually(t, "it is unhealthy", func() bool {
		h := stateOf(t, c, "a", "worker")
		return h.State == hawser.HealthUnhealthy && strings.Contains(h.Reasons[0], "failures in a row: lung: ")
	})
	eventually(t, "the log says so", func() bool {
		h, err := c.Agent("a").Owner(t.Context())
		return err == nil && len(h.Holders) == 1 && h.Holders[0].Health == hawser.HealthUnhealthy
	})
	select {
	case e := <-changed:
		if hawser.HealthState(e.Number) != hawser.HealthUnhealthy || e.Instance != "worker" || !strings.Contains(e.Reason, "short of breath") {
			t.Errorf("%+v", e)
		}
	case <-ctx.Done():
		t.Error("no event")
	}
	cluster.KillLeader()
	eventually(t, "a new leader judges anew", func() bool {
		list, err := c.Agent("a").Health(t.Context())
		return err == nil && len(list) == 1 && list[0].State == hawser.HealthUnknown && len(list[0].Results) < 3
	})
	eventually(t, "it is unhealthy again", func() bool { return stateOf(t, c, "a", "worker").State == hawser.HealthUnhealthy })
}

// Claim: of two instances that wait the one that does better gets the agent, though the
// other has waited for longer; and an unhealthy owner that has asked for it is relieved.
func TestReport_PromotesTheHealthiest(t *testing.T) {
	t.Parallel()
	cluster := hawsertest.StartCluster(t, 3)
	c := cluster.Client()
	yield := func(m *health.Monitor) func(*agent.Config[tally]) {
		return func(cfg *agent.Config[tally]) { cfg.Health, cfg.Yield = m, true }
	}
	first, firstIll := ailing(t)
	cfg, _ := config("a", yield(first))
	start(t, instance(t, cluster, "first"), cfg, idle)
	eventually(t, "the first owns it", func() bool { return ownerOf(t, c, "a") == "first" })
	second, secondIll := ailing(t)
	cfg, _ = config("a", yield(second))
	start(t, instance(t, cluster, "second"), cfg, idle)
	eventually(t, "the second waits", func() bool { return stateOf(t, c, "a", "second").Report.Waiting })
	third, _ := ailing(t)
	cfg, _ = config("a", yield(third))
	start(t, instance(t, cluster, "third"), cfg, idle)
	secondIll.Store(true)
	eventually(t, "the leader knows the passives", func() bool {
		return stateOf(t, c, "a", "second").State == hawser.HealthUnhealthy && stateOf(t, c, "a", "third").State == hawser.HealthHealthy
	})
	if owner := ownerOf(t, c, "a"); owner != "first" {
		t.Fatalf("%q owns it before anything is wrong", owner)
	}
	firstIll.Store(true)
	began := time.Now()
	eventually(t, "the third owns it", func() bool { return ownerOf(t, c, "a") == "third" })
	t.Logf("relieved %v after its first failed check", time.Since(began).Round(10*time.Millisecond))
}
