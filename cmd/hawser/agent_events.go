// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/agent"
)

func (p *program) agentEvents() *cli.Command {
	return &cli.Command{
		Name: "events", Usage: "list what was decided about an agent that has failed", ArgsUsage: "AGENT",
		Description: `The newest first: what kind of failure it was, from what evidence, what was done,
and what came of it. They are the versions of the agent recovery/AGENT.

Examples:
   hawser agent events researcher-7
   hawser agent events researcher-7 --limit 3 -o json`,
		Flags: []cli.Flag{&cli.IntFlag{Name: flagLimit, Value: 20, Usage: "list the newest `N`"}},
		Action: func(c *cli.Context) error {
			if c.Int(flagLimit) < 1 {
				return usageErrorf("--%s %d: must be 1 or more", flagLimit, c.Int(flagLimit))
			}
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				records, err := agent.Records(ctx, conn, c.Args().First(), c.Int(flagLimit))
				if err != nil {
					return err
				}
				if wantsJSON(c) {
					if records == nil {
						records = []agent.Record{}
					}
					return p.writeJSON(records)
				}
				return p.printRecords(records)
			})
		},
	}
}

func (p *program) printRecords(records []agent.Record) error {
	t := newTable("AT", "FAILURE", "ACTION", "ATTEMPT", "OUTCOME", "BY", "EVIDENCE")
	for _, r := range records {
		d := r.Last
		outcome := d.Outcome
		if d.Took > 0 {
			outcome += " in " + d.Took.Round(time.Millisecond).String()
		}
		evidence := strings.Join(d.Evidence, "; ")
		if r.Reason != "" && evidence == "" {
			evidence = r.Reason
		}
		t.add(clock(d.At), d.Failure, d.Action, optional(uint64(d.Attempt)), outcome, d.By, evidence)
	}
	return t.write(p.stdout)
}

func (p *program) agentQuarantine() *cli.Command {
	return &cli.Command{
		Name: "quarantine", Usage: "keep an agent from being run", ArgsUsage: "AGENT",
		Description: `Programs that run the agent by the client's runtime, and supervisors, leave it alone
until "hawser agent release". One that runs goes on; hand it over or end it.

Example:
   hawser agent quarantine researcher-7 --reason "spends too much"`,
		Flags:  []cli.Flag{&cli.StringFlag{Name: flagReason, Usage: "tell others why: `TEXT`; required"}},
		Action: decideByHand(agent.Quarantine),
	}
}

func (p *program) agentRelease() *cli.Command {
	return &cli.Command{
		Name: "release", Usage: "end the quarantine of an agent", ArgsUsage: "AGENT",
		Description: "It is run again when a program asks for it.\n\nExample:\n   hawser agent release researcher-7 --reason \"build 43 is fixed\"",
		Flags:       []cli.Flag{&cli.StringFlag{Name: flagReason, Usage: "tell others why: `TEXT`; required"}},
		Action:      decideByHand(agent.Release),
	}
}

func decideByHand(do func(ctx context.Context, c *client.Client, name, by, reason string) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		if c.String(flagReason) == "" {
			return usageErrorf("--%s: say why, for those who look at it later", flagReason)
		}
		return withClient(c, func(ctx context.Context, conn *client.Client) error {
			return do(ctx, conn, c.Args().First(), conn.Instance(), c.String(flagReason))
		})
	}
}
