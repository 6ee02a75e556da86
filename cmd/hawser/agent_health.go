// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

const flagResults = "results"

func (p *program) agentHealth() *cli.Command {
	return &cli.Command{
		Name: "health", Usage: "show how the instances do that own agents or wait for them", ArgsUsage: "[PREFIX]",
		Description: `Of instances that report, as those do that use the client's runtime. The leader judges
their reports; after a change of the leader every state is unknown at first. TREND is
the part of the results that was good, of how many, and in brackets what that part would
be at least of many such results, with 95 % confidence.

PREFIX is whole segments of a name: "crew" shows crew and crew/a, not crewman.

Examples:
   hawser agent health
   hawser agent health crew -o json
   hawser agent health researcher-7 --results`,
		Flags: []cli.Flag{&cli.BoolFlag{Name: flagResults, Usage: "show the newest results of an agent's instances, PREFIX being its name"}},
		Action: func(c *cli.Context) error {
			if c.Bool(flagResults) && c.Args().First() == "" {
				return usageErrorf("--%s needs the name of an agent", flagResults)
			}
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				list, err := listHealth(ctx, conn, c.Args().First(), c.Bool(flagResults))
				switch {
				case err != nil:
					return err
				case wantsJSON(c):
					return p.writeJSON(viewAll(list, viewHealth))
				case c.Bool(flagResults):
					return p.printResults(list)
				}
				return p.printHealth(list)
			})
		},
	}
}

func listHealth(ctx context.Context, conn *client.Client, prefix string, results bool) (list []hawser.InstanceHealth, err error) {
	if results {
		return conn.Agent(prefix).Health(ctx)
	}
	for h, err := range conn.Health(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		list = append(list, h)
	}
	return list, nil
}

func (p *program) printHealth(list []hawser.InstanceHealth) error {
	t := newTable("AGENT", "INSTANCE", "ROLE", "STATE", "TREND", "STEPS", "REPORTED", "WHY")
	for _, h := range list {
		t.add(h.Agent.Name, h.Instance, roleOf(h), h.State.String(), trendText(h.Trend), number(h.Report.Steps), ageText(h.Age)+" ago", strings.Join(h.Reasons, "; "))
	}
	return t.write(p.stdout)
}

func roleOf(h hawser.InstanceHealth) string {
	if h.Token == 0 {
		return "waits"
	}
	return "owner"
}

func trendText(t hawser.HealthTrend) string {
	if t.Sample == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f of %d (%.2f)", t.Share, t.Sample, t.AtLeast)
}

func (p *program) printResults(list []hawser.InstanceHealth) error {
	t := newTable("INSTANCE", "AGO", "TOOK", "PROBLEM")
	for _, h := range list {
		for _, r := range h.Results {
			t.add(h.Instance, ageText(r.Age), r.Took.String(), r.Problem)
		}
	}
	return t.write(p.stdout)
}

// healthView is the JSON form of an instance's health.
type healthView struct {
	Agent     string                `json:"agent"`
	Instance  string                `json:"instance"`
	Role      string                `json:"role"`
	State     hawser.HealthState    `json:"state"`
	Reasons   []string              `json:"reasons"`
	Trend     hawser.HealthTrend    `json:"trend"`
	AgeMS     int64                 `json:"age_ms"`
	IdleMS    int64                 `json:"idle_ms"`
	Steps     uint64                `json:"steps"`
	Waiting   bool                  `json:"waiting"`
	Problem   string                `json:"problem,omitempty"`
	TookMS    int64                 `json:"took_ms"`
	Metrics   map[string]float64    `json:"metrics,omitempty"`
	Anomalies *instanceAnomalies    `json:"anomalies,omitempty"`
	Results   []instanceHealthEvent `json:"results,omitempty"`
}

// instanceAnomalies are what an instance finds odd about its own metrics.
type instanceAnomalies struct {
	Observed uint64 `json:"observed"`
	Odd      uint64 `json:"odd"`
	Last     string `json:"last,omitempty"`
}

type instanceHealthEvent struct {
	AgeMS   int64  `json:"age_ms"`
	TookMS  int64  `json:"took_ms"`
	Problem string `json:"problem,omitempty"`
}

func viewHealth(h hawser.InstanceHealth) healthView {
	v := healthView{
		Agent: h.Agent.String(), Instance: h.Instance, Role: roleOf(h), State: h.State, Reasons: append([]string{}, h.Reasons...), Trend: h.Trend,
		AgeMS: h.Age.Milliseconds(), IdleMS: h.Idle.Milliseconds(), Steps: h.Report.Steps, Waiting: h.Report.Waiting, Problem: h.Report.Problem,
		TookMS: h.Report.Took.Milliseconds(), Anomalies: viewOdd(h.Report),
	}
	for _, m := range h.Report.Metrics {
		if v.Metrics == nil {
			v.Metrics = map[string]float64{}
		}
		v.Metrics[m.Name] = m.Value
	}
	for _, r := range h.Results {
		v.Results = append(v.Results, instanceHealthEvent{r.Age.Milliseconds(), r.Took.Milliseconds(), r.Problem})
	}
	return v
}

func viewOdd(r hawser.HealthReport) *instanceAnomalies {
	if r.Observed == 0 {
		return nil
	}
	return &instanceAnomalies{r.Observed, r.Odd, r.LastOdd}
}

func viewAll[T, V any](list []T, view func(T) V) []V {
	views := make([]V, 0, len(list))
	for _, x := range list {
		views = append(views, view(x))
	}
	return views
}

func (p *program) agentAnomalies() *cli.Command {
	return &cli.Command{
		Name: "anomalies", Usage: "show what is odd about agents", ArgsUsage: "[PREFIX]",
		Description: `What the store notices by itself (the cadence of saves, the growth of states, the same
states or calls over and over, errors), and what instances report of their own metrics.
They are hints: nothing is done about them. An agent without a line has nothing odd.

Examples:
   hawser agent anomalies
   hawser agent anomalies crew -o json`,
		Action: func(c *cli.Context) error {
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				list, err := listAnomalies(ctx, conn, c.Args().First())
				switch {
				case err != nil:
					return err
				case wantsJSON(c):
					return p.writeJSON(list)
				}
				t := newTable("AGENT", "DETECTOR", "INSTANCE", "SINCE", "WHAT")
				for _, a := range list {
					t.add(a.Agent, a.Detector, a.Instance, a.sinceText(), a.What)
				}
				return t.write(p.stdout)
			})
		},
	}
}

// anomalyView is one thing that is odd about an agent.
type anomalyView struct {
	Agent    string     `json:"agent"`
	Detector string     `json:"detector"`
	Instance string     `json:"instance,omitempty"`
	Since    *time.Time `json:"since,omitempty"`
	What     string     `json:"what"`
}

func (a *anomalyView) sinceText() string {
	if a.Since == nil {
		return ""
	}
	return clock(*a.Since)
}

// listAnomalies returns what the store has found, then what instances have.
func listAnomalies(ctx context.Context, conn *client.Client, prefix string) ([]anomalyView, error) {
	list := []anomalyView{}
	for f, err := range conn.Findings(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		for _, found := range f.Findings {
			since := found.Since.UTC()
			list = append(list, anomalyView{Agent: f.Agent.Name, Detector: found.Detector, Since: &since, What: found.What})
		}
	}
	for h, err := range conn.Health(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		if r := h.Report; r.Odd > 0 {
			what := strconv.FormatUint(r.Odd, 10) + " of " + strconv.FormatUint(r.Observed, 10) + " vectors of metrics were odd of late"
			if r.LastOdd != "" {
				what += ", the last one: " + r.LastOdd
			}
			list = append(list, anomalyView{Agent: h.Agent.Name, Detector: "metrics", Instance: h.Instance, What: what})
		}
	}
	return list, nil
}
