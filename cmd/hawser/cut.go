// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

func (p *program) cut() *cli.Command {
	return group("cut", "record the versions of a crew, and roll it back", p.cutCreate(), p.cutList(), p.cutShow(), p.cutRollback(), p.cutDelete())
}

func (p *program) cutCreate() *cli.Command {
	return &cli.Command{
		Name: "create", Usage: "record the current versions of several agents", ArgsUsage: "NAME [AGENT...]",
		Description: `The agents may work meanwhile: the versions are those of one revision. Each AGENT
must have a version; --prefix takes those that have one. Retention removes none of
the versions until the cut is deleted. A cut that is there already, of the same
agents and with the same label, is printed and stays what it is.

Examples:
   hawser cut create before-upgrade --prefix crew --label "before v2"
   hawser cut create before-merge planner researcher-7`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "prefix", Usage: "all agents under `PREFIX`, which is whole segments; empty for all of the namespace"},
			&cli.StringFlag{Name: "label", Usage: "say what it is for: `TEXT`"},
		},
		Action: func(c *cli.Context) error {
			agents := c.Args().Tail()
			option := client.CutPrefix(c.String("prefix"))
			switch {
			case c.IsSet("prefix") == (len(agents) > 0):
				return usageErrorf("name agents, or give --prefix")
			case len(agents) > 0:
				option = client.CutAgents(agents...)
			}
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				cut, existed, err := conn.EnsureCut(ctx, c.Args().First(), option, client.CutLabel(c.String("label")))
				if err != nil {
					return err
				}
				if existed {
					say(p.stderr, "hawser: the cut was there already, made at %s; nothing was recorded now\n", clock(cut.CreatedAt))
				}
				return p.printCut(wantsJSON(c), cut)
			})
		},
	}
}

func (p *program) cutList() *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list the cuts of a namespace",
		Description: "Examples:\n   hawser cut list\n   hawser cut list -o json",
		Flags:       []cli.Flag{limitFlag()},
		Action: listed(p, func(ctx context.Context, _ *cli.Context, conn *client.Client, limit int) iter.Seq2[hawser.Cut, error] {
			return conn.Cuts(ctx, beyond(limit))
		}, viewCut, p.printCuts),
	}
}

func (p *program) printCuts(cuts []hawser.Cut) error {
	t := newTable("CUT", "CREATED", "REVISION", "AGENTS", "OF", "ROLLED BACK", "LABEL")
	for _, cut := range cuts {
		t.add(cut.Name.Name, clock(cut.CreatedAt), fmt.Sprint(cut.Revision), fmt.Sprint(cut.Size), cutOf(cut), number(cut.RolledBack), cut.Label)
	}
	return t.write(p.stdout)
}

// cutOf says what a cut was made of.
func cutOf(cut hawser.Cut) string {
	switch {
	case !cut.ByPrefix:
		return "agents by name"
	case cut.Prefix == "":
		return "all agents"
	}
	return "prefix " + cut.Prefix
}

func (p *program) cutShow() *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "show a cut with its agents", ArgsUsage: "NAME",
		Description: "Says of each agent that cannot be restored any more why.\n\nExamples:\n   hawser cut show before-upgrade\n   hawser cut show before-upgrade -o json",
		Action: func(c *cli.Context) error {
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				cut, err := conn.ShowCut(ctx, c.Args().First())
				if err != nil {
					return err
				}
				return p.printCut(wantsJSON(c), cut)
			})
		},
	}
}

func (p *program) printCut(asJSON bool, cut hawser.Cut) error {
	if asJSON {
		return p.writeJSON(viewCut(cut))
	}
	pairs := []string{"cut", cut.Name.Name, "created", clock(cut.CreatedAt), "revision", fmt.Sprint(cut.Revision), "of", cutOf(cut)}
	if cut.Label != "" {
		pairs = append(pairs, "label", cut.Label)
	}
	for _, b := range cut.Rollbacks {
		pairs = append(pairs, "rolled back", fmt.Sprintf("%s by %s, %s%s", clock(b.Time), b.Instance, plural(b.Size, "agent"), because(b.Reason)))
	}
	if err := fields(p.stdout, pairs...); err != nil {
		return err
	}
	t := newTable("AGENT", "VERSION", "PROBLEM")
	for _, a := range cut.Agents {
		t.add(a.Agent.Name, fmt.Sprint(a.Number), a.Problem)
	}
	return t.write(p.stdout)
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

func (p *program) cutRollback() *cli.Command {
	return &cli.Command{
		Name: "rollback", Usage: "roll all agents of a cut back to it, at once", ArgsUsage: "NAME",
		Description: `Each agent gets a new version equal to the one in the cut; its undecided
transactions are aborted, its claim ends and its epoch rises, so that no worker of
before can write. If one of them cannot be rolled back, nothing is done. Look at
--dry-run first.

Examples:
   hawser cut rollback before-upgrade --dry-run
   hawser cut rollback before-upgrade --reason looping
   hawser cut rollback before-upgrade --leave-out`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: flagDryRun, Usage: "change nothing, print what would happen"},
			&cli.BoolFlag{Name: "leave-out", Usage: "leave agents that cannot be rolled back as they are"},
			&cli.StringFlag{Name: flagReason, Usage: "tell all why: `TEXT`"},
			&cli.StringFlag{Name: flagRequestID, Usage: "repeat the rollback that printed this `ID`, unchanged"},
		},
		Action: func(c *cli.Context) error {
			options := []client.RollbackOption{client.BecauseOf(c.String(flagReason))}
			if c.IsSet(flagRequestID) {
				id, err := parseRequest(c, hawser.RequestCutRollback)
				if err != nil {
					return err
				}
				options = append(options, client.RepeatOf(id))
			}
			if c.Bool("leave-out") {
				options = append(options, client.LeaveOut())
			}
			if c.Bool(flagDryRun) {
				options = append(options, client.DryRun())
			}
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				report, err := conn.RollbackTo(ctx, c.Args().First(), options...)
				switch {
				case errors.Is(err, hawser.ErrRefused):
					return hint(err, "hawser cut rollback %s --%s shows what there is; --leave-out rolls the others back", c.Args().First(), flagDryRun)
				case err != nil:
					return err
				}
				return p.printRollback(wantsJSON(c), report)
			})
		},
	}
}

func (p *program) printRollback(asJSON bool, r hawser.RollbackReport) error {
	if asJSON {
		return p.writeJSON(viewRollback(r))
	}
	t := newTable("AGENT", "HEAD", "CUT", "NEW VERSION", "EPOCH", "CLAIM ENDED OF", "TRANSACTIONS ABORTED", "PROBLEM")
	done := 0
	for _, a := range r.Agents {
		if a.Problem == "" {
			done++
		}
		made := ""
		if a.Made != 0 {
			made = number(a.Made)
		}
		t.add(a.Agent.Name, number(a.Head), number(a.Number), made, number(a.Epoch), a.Owner, strings.Join(a.Txns, ", "), a.Problem)
	}
	if err := t.write(p.stdout); err != nil {
		return err
	}
	summary := fmt.Sprintf("%s of %d rolled back to %s at revision %d", plural(done, "agent"), len(r.Agents), r.Cut.Name, r.Revision)
	switch {
	case r.DryRun && r.Problem != "":
		summary = "nothing was done, and it would be refused: " + r.Problem
	case r.DryRun && done < len(r.Agents):
		summary = fmt.Sprintf("nothing was done, and it would be refused: %d of %d can be rolled back; --leave-out leaves out the others", done, len(r.Agents))
	case r.DryRun:
		summary = fmt.Sprintf("nothing was done; %s would be rolled back to %s", plural(done, "agent"), r.Cut.Name)
	case r.Repeated:
		summary += ", as was found: it had been done"
	}
	_, err := fmt.Fprintln(p.stdout, escape(summary))
	return err
}

func (p *program) cutDelete() *cli.Command {
	return &cli.Command{
		Name: "delete", Usage: "delete a cut", ArgsUsage: "NAME",
		Description: "Its versions stay as long as retention keeps them.\n\nExamples:\n   hawser cut delete before-upgrade",
		Action: func(c *cli.Context) error {
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				if err := conn.DeleteCut(ctx, c.Args().First()); err != nil {
					return err
				}
				_, err := fmt.Fprintf(p.stdout, "%s is deleted\n", escape(c.Args().First()))
				return err
			})
		},
	}
}
