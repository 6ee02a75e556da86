// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

const flagKeepWithin = "keep-within"

func (p *program) retentionShow() *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "show which versions are kept", ArgsUsage: "[PREFIX]",
		Description: `Lists the policies of the namespace, and says which one counts for the agents
below PREFIX: the one with the longest prefix, else that of the namespace, else
the default.

Examples:
   hawser retention show
   hawser retention show crew/`,
		Action: func(c *cli.Context) error {
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				r, err := conn.Retention(ctx, c.Args().First())
				if err != nil {
					return err
				}
				if wantsJSON(c) {
					return p.writeJSON(viewRetention(r))
				}
				return p.printRetention(r)
			})
		},
	}
}

func (p *program) retentionSet() *cli.Command {
	return &cli.Command{
		Name: "set", Usage: "set which versions are kept", ArgsUsage: "[PREFIX]",
		Description: `Sets the policy of the agents below PREFIX, or of the whole namespace. A version
is kept when any rule keeps it; the head and pinned versions always are. What no
rule keeps is removed soon after, for good: --dry-run tells first.

Examples:
   hawser retention set crew/ --keep-last 10 --keep-daily 7 --dry-run
   hawser retention set crew/ --keep-last 10 --keep-daily 7
   hawser retention set --keep-within 30d
   hawser retention set --keep-all
   hawser retention set crew/ --remove`,
		Flags: []cli.Flag{
			&cli.Uint64Flag{Name: "keep-last", Usage: "keep the newest `N` versions"},
			&cli.StringFlag{Name: flagKeepWithin, Usage: "keep what is younger than this `DURATION`, such as 30d, 2w or 1d12h"},
			&cli.Uint64Flag{Name: "keep-hourly", Usage: "keep the newest version of each of the last `N` hours that have one"},
			&cli.Uint64Flag{Name: "keep-daily", Usage: "the same for `N` days"},
			&cli.Uint64Flag{Name: "keep-weekly", Usage: "the same for `N` weeks"},
			&cli.BoolFlag{Name: "keep-all", Usage: "keep every version"},
			&cli.BoolFlag{Name: "remove", Usage: "remove the policy, so that the next wider one counts"},
			&cli.BoolFlag{Name: "dry-run", Usage: "change nothing, say what would be removed"},
		},
		Action: p.runRetentionSet,
	}
}

func (p *program) runRetentionSet(c *cli.Context) error {
	rules, err := retentionRules(c)
	if err != nil {
		return err
	}
	prefix, dry := c.Args().First(), c.Bool("dry-run")
	return withClient(c, func(ctx context.Context, conn *client.Client) error {
		var options []client.RetentionOption
		if dry {
			options = append(options, client.DryRun())
		}
		change, err := setRetention(ctx, conn, c.Bool("remove"), prefix, rules, options)
		if err != nil {
			return err
		}
		return p.printRetentionChange(c, change)
	})
}

func setRetention(ctx context.Context, conn *client.Client, remove bool, prefix string, rules hawser.Retention, options []client.RetentionOption) (client.Pruning, error) {
	if remove {
		return conn.RemoveRetention(ctx, prefix, options...)
	}
	return conn.SetRetention(ctx, prefix, rules, options...)
}

// retentionRules reads the rules, of which there must be one, or a word that
// says what else is meant.
func retentionRules(c *cli.Context) (hawser.Retention, error) {
	r := hawser.Retention{
		KeepLast: c.Uint64("keep-last"), KeepHourly: c.Uint64("keep-hourly"),
		KeepDaily: c.Uint64("keep-daily"), KeepWeekly: c.Uint64("keep-weekly"),
	}
	if c.IsSet(flagKeepWithin) {
		var err error
		if r.KeepWithin, err = parseAge(flagKeepWithin, c.String(flagKeepWithin)); err != nil {
			return r, err
		}
	}
	asked := 0
	for _, is := range []bool{!r.KeepsAll(), c.Bool("keep-all"), c.Bool("remove")} {
		if is {
			asked++
		}
	}
	if asked != 1 {
		return r, usageErrorf("name either rules (--keep-last N and so on, N from 1), or --keep-all, or --remove")
	}
	return r, nil
}

func (p *program) printRetentionChange(c *cli.Context, change client.Pruning) error {
	dry := c.Bool("dry-run")
	if wantsJSON(c) {
		return p.writeJSON(struct {
			DryRun   bool   `json:"dry_run"`
			Agents   uint64 `json:"agents"`
			Versions uint64 `json:"versions"`
			Bytes    int64  `json:"bytes"`
		}{dry, change.Agents, change.Versions, change.Bytes})
	}
	if !dry {
		done := "set"
		if c.Bool("remove") {
			done = "removed"
		}
		_, err := fmt.Fprintf(p.stdout, "%s; what is no longer kept goes in the background\n", done)
		return err
	}
	_, err := fmt.Fprintf(p.stdout, "would remove %s of %s, up to %d bytes as stored\n",
		plural(change.Versions, "version"), plural(change.Agents, "agent"), change.Bytes)
	return err
}

// rulesView is rules as JSON. Keys are stable: add, never rename.
type rulesView struct {
	KeepLast   uint64 `json:"keep_last"`
	KeepWithin string `json:"keep_within"`
	KeepHourly uint64 `json:"keep_hourly"`
	KeepDaily  uint64 `json:"keep_daily"`
	KeepWeekly uint64 `json:"keep_weekly"`
}

type policyView struct {
	Namespace string    `json:"namespace"`
	Prefix    string    `json:"prefix"`
	Rules     rulesView `json:"rules"`
}

type retentionView struct {
	Policies []policyView `json:"policies"`
	Rules    rulesView    `json:"rules"`
	Source   *policyView  `json:"source"`
}

func viewRules(r hawser.Retention) rulesView {
	return rulesView{r.KeepLast, r.KeepWithin.String(), r.KeepHourly, r.KeepDaily, r.KeepWeekly}
}

func viewPolicy(p hawser.Policy) policyView {
	return policyView{p.Namespace, p.Prefix, viewRules(p.Retention)}
}

func viewRetention(r client.EffectiveRetention) retentionView {
	view := retentionView{Policies: []policyView{}, Rules: viewRules(r.Rules)}
	for _, policy := range r.Policies {
		view.Policies = append(view.Policies, viewPolicy(policy))
	}
	if r.Source != nil {
		source := viewPolicy(*r.Source)
		view.Source = &source
	}
	return view
}

func (p *program) printRetention(r client.EffectiveRetention) error {
	if len(r.Policies) > 0 {
		t := newTable("PREFIX", "KEEPS")
		for _, policy := range r.Policies {
			t.add(prefixText(policy.Prefix), rulesText(policy.Retention))
		}
		if err := t.write(p.stdout); err != nil {
			return err
		}
	}
	source := "the default"
	if r.Source != nil {
		source = "the policy of " + prefixText(r.Source.Prefix)
	}
	_, err := fmt.Fprintf(p.stdout, "kept: %s, by %s\n", rulesText(r.Rules), escape(source))
	return err
}

func prefixText(prefix string) string {
	if prefix == "" {
		return "(the namespace)"
	}
	return prefix
}

// rulesText is rules in words.
func rulesText(r hawser.Retention) string {
	if r.KeepsAll() {
		return "all versions"
	}
	var rules []string
	for _, rule := range []struct {
		n    uint64
		what string
	}{{r.KeepLast, "last %d"}, {r.KeepHourly, "%d hourly"}, {r.KeepDaily, "%d daily"}, {r.KeepWeekly, "%d weekly"}} {
		if rule.n > 0 {
			rules = append(rules, fmt.Sprintf(rule.what, rule.n))
		}
	}
	if r.KeepWithin > 0 {
		rules = append(rules, "within "+ageText(r.KeepWithin))
	}
	return strings.Join(rules, ", ")
}
