// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

func (p *program) effect() *cli.Command {
	return group("effect", "show and resolve what agents did to the world outside",
		p.effectList(), p.effectShow(), p.effectResolve(), p.effectForget())
}

const (
	flagOpen   = "open"
	flagDone   = "done"
	flagFailed = "failed"
	flagRetry  = "retry"
	flagBefore = "through"
)

func (p *program) effectList() *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list the effects of an agent by their ids", ArgsUsage: "AGENT",
		Description: "An open effect was begun, and nobody has said how it ended.\n\n" +
			"Examples:\n   hawser effect list researcher-7\n   hawser effect list researcher-7 --open -o json",
		Flags: []cli.Flag{limitFlag(), &cli.BoolFlag{Name: flagOpen, Usage: "only those that are open"}},
		Action: listed(p, func(ctx context.Context, c *cli.Context, conn *client.Client, limit int) iter.Seq2[hawser.Effect, error] {
			return effectsOf(ctx, c, conn, limit)
		}, viewEffect, p.printEffects),
	}
}

func (p *program) printEffects(found []hawser.Effect) error {
	t := newTable("EFFECT", "STATE", "POLICY", "ATTEMPTS", "BEGUN", "BY", "VERSION", "DESCRIPTION")
	for _, e := range found {
		t.add(e.ID, effectState(e), e.Policy.String(), number(uint64(e.Attempts)), clock(e.BegunAt), e.Instance, optional(e.Version), e.Description)
	}
	return t.write(p.stdout)
}

func effectsOf(ctx context.Context, c *cli.Context, conn *client.Client, limit int) iter.Seq2[hawser.Effect, error] {
	agent := conn.Agent(c.Args().First())
	if !c.Bool(flagOpen) {
		return agent.Effects(ctx, beyond(limit))
	}
	return func(yield func(hawser.Effect, error) bool) {
		for e, err := range agent.Effects(ctx) {
			if (err != nil || e.State == hawser.EffectOpen) && !yield(e, err) {
				return
			}
		}
	}
}

// effectState is the state of an effect in a word or two.
func effectState(e hawser.Effect) string {
	state := e.State.String()
	if e.Resolved {
		state += ", by hand"
	}
	if e.Inherited {
		state += ", inherited"
	}
	return state
}

func (p *program) effectShow() *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "show an effect, or write its result to a file", ArgsUsage: "AGENT EFFECT",
		Description: "Examples:\n   hawser effect show researcher-7 charge-4711\n   hawser effect show researcher-7 charge-4711 -f receipt.json",
		Flags:       []cli.Flag{&cli.StringFlag{Name: flagFile, Aliases: []string{"f"}, Usage: "write the result to `FILE`; - is stdout"}},
		Action: func(c *cli.Context) error {
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				e, err := conn.Agent(c.Args().First()).ShowEffect(ctx, c.Args().Get(1))
				if err != nil {
					return err
				}
				switch path := c.String(flagFile); {
				case path == "":
					return p.printEffect(c, e)
				case e.State != hawser.EffectDone:
					return &hawser.Error{Code: hawser.CodeNotFound, Op: "effect", Key: e.ID, Msg: "it is " + e.State.String() + " and has no result"}
				case path == "-":
					_, err := p.stdout.Write(e.Result)
					return err
				default:
					return writeFile(path, e.Result)
				}
			})
		},
	}
}

func (p *program) printEffect(c *cli.Context, e hawser.Effect) error {
	if wantsJSON(c) {
		return p.writeJSON(viewEffect(e))
	}
	pairs := []string{
		"agent", e.Agent.String(), "effect", e.ID, "state", effectState(e), "policy", e.Policy.String(), "key", e.Key,
		"description", e.Description, "attempts", number(uint64(e.Attempts)),
		"begun", fmt.Sprintf("%s by %q, epoch %d, at version %d", clock(e.BegunAt), e.Instance, e.Epoch, e.Head),
	}
	if e.State.Finished() {
		with := "on its own"
		if e.Version != 0 {
			with = fmt.Sprintf("with version %d", e.Version)
		}
		pairs = append(pairs, "ended", clock(e.FinishedAt)+" "+with)
	}
	if e.Reason != "" {
		pairs = append(pairs, "reason", e.Reason)
	}
	if e.State == hawser.EffectDone {
		pairs = append(pairs, "result", fmt.Sprintf("%d bytes", e.ResultSize))
	}
	return fields(p.stdout, pairs...)
}

func (p *program) effectResolve() *cli.Command {
	return &cli.Command{
		Name: "resolve", Usage: "say how an effect ended that nobody knows of", ArgsUsage: "AGENT EFFECT",
		Description: `Find out first, at the other side, by the effect's key (hawser effect show). Then
--done with the result that the agent would have got; --failed if it did not
happen and is not to; --retry if it did not happen, and the agent is to run it when
it comes by again. Refused while the one that has begun it owns the agent, because
it may be running: --force. What is done stays done.

Examples:
   hawser effect resolve researcher-7 charge-4711 --done -f receipt.json --reason "found at the bank"
   hawser effect resolve researcher-7 mail-12 --failed "no such address" --reason "the mail server's log"
   hawser effect resolve researcher-7 mail-13 --retry --reason "the mail server never saw it"`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: flagDone, Usage: "it has happened"},
			&cli.StringFlag{Name: flagFile, Aliases: []string{"f"}, Usage: "with --done: read the result from `FILE`; - is stdin", DefaultText: "no result"},
			&cli.StringFlag{Name: flagFailed, Usage: "it did not happen, and is not to: tell the agent `WHY`"},
			&cli.BoolFlag{Name: flagRetry, Usage: "it did not happen, and is to be run again"},
			&cli.StringFlag{Name: flagReason, Usage: "say how it was found out: `TEXT`; required, but with --failed"},
			&cli.BoolFlag{Name: flagForce, Usage: "also while the one that has begun it owns the agent"},
		},
		Action: func(c *cli.Context) error {
			r, err := p.resolution(c)
			if err != nil {
				return err
			}
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				e, err := conn.Agent(c.Args().First()).ResolveEffect(ctx, c.Args().Get(1), r)
				if err != nil {
					return err
				}
				return p.printEffect(c, e)
			})
		},
	}
}

// resolution is what the flags say.
func (p *program) resolution(c *cli.Context) (client.Resolution, error) {
	r := client.Resolution{Force: c.Bool(flagForce), Reason: c.String(flagReason)}
	said := 0
	if c.Bool(flagDone) {
		said++
		r.State = hawser.EffectDone
	}
	if c.IsSet(flagFailed) {
		said++
		r.State = hawser.EffectFailed
		if r.Reason == "" {
			r.Reason = c.String(flagFailed)
		} else {
			r.Reason = c.String(flagFailed) + " (" + r.Reason + ")"
		}
	}
	if c.Bool(flagRetry) {
		said++
		r.State = hawser.EffectRetry
	}
	switch {
	case said != 1:
		return r, usageErrorf("one of --%s, --%s and --%s says how it ended", flagDone, flagFailed, flagRetry)
	case c.IsSet(flagFile) && r.State != hawser.EffectDone:
		return r, usageErrorf("--%s is the result of an effect that is --%s", flagFile, flagDone)
	case r.State != hawser.EffectFailed:
		if err := needReason(c); err != nil {
			return r, err
		}
	}
	if path := c.String(flagFile); path != "" {
		result, err := p.readInput(path, "result", hawser.MaxEffectResult)
		if err != nil {
			return r, err
		}
		r.Result = result
	}
	return r, nil
}

func (p *program) effectForget() *cli.Command {
	return &cli.Command{
		Name: "forget", Usage: "remove effects that ended long ago", ArgsUsage: "AGENT",
		Description: `Removes those that ended with the version of --through or before. Begun again under
the same ids they are new, and are run: forget only what no version that somebody
may go back to asks for. What is open, was rolled back, or is inherited by a fork
stays.

Examples:
   hawser effect forget researcher-7 --through 4000`,
		Flags: []cli.Flag{
			&cli.Uint64Flag{Name: flagBefore, Usage: "those that ended with version `N` or before; required"},
			&cli.Uint64Flag{Name: flagFence, Usage: "the `TOKEN` of the claim, if the agent is or was claimed"},
		},
		Action: func(c *cli.Context) error {
			if c.Uint64(flagBefore) == 0 {
				return usageErrorf("--%s is missing", flagBefore)
			}
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				agent := conn.Agent(c.Args().First())
				n, err := agent.ForgetEffects(ctx, c.Uint64(flagBefore), client.WithFence(c.Uint64(flagFence)))
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(p.stdout, "%d effects of %s are forgotten\n", n, escape(agent.ID().String()))
				return err
			})
		},
	}
}

// effectView is an effect as JSON. Keys are stable: add, never rename.
type effectView struct {
	Namespace   string `json:"namespace"`
	Agent       string `json:"agent"`
	Effect      string `json:"effect"`
	State       string `json:"state"`
	Policy      string `json:"policy"`
	Key         string `json:"key"`
	Description string `json:"description"`
	InputSHA256 string `json:"input_sha256,omitempty"`
	Attempts    uint32 `json:"attempts"`
	Instance    string `json:"instance"`
	Epoch       uint64 `json:"epoch"`
	Head        uint64 `json:"head"`
	BegunAt     string `json:"begun_at"`
	Version     uint64 `json:"version,omitempty"`
	FinishedAt  string `json:"finished_at,omitempty"`
	Reason      string `json:"reason,omitempty"`
	Resolved    bool   `json:"resolved"`
	ResultSize  int64  `json:"result_size"`
	Revision    uint64 `json:"revision"`
	Inherited   bool   `json:"inherited"`
}

func viewEffect(e hawser.Effect) effectView {
	v := effectView{
		Namespace: e.Agent.Namespace, Agent: e.Agent.Name, Effect: e.ID, State: e.State.String(), Policy: e.Policy.String(), Key: e.Key,
		Description: e.Description, Attempts: e.Attempts, Instance: e.Instance, Epoch: e.Epoch, Head: e.Head, BegunAt: timestamp(e.BegunAt),
		Version: e.Version, Reason: e.Reason, Resolved: e.Resolved, ResultSize: e.ResultSize, Revision: uint64(e.Revision), Inherited: e.Inherited,
	}
	if e.Input != (hawser.Hash{}) {
		v.InputSHA256 = e.Input.String()
	}
	if e.FinishedAt != (time.Time{}) {
		v.FinishedAt = timestamp(e.FinishedAt)
	}
	return v
}
