// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

const (
	flagFile      = "file"
	flagExpect    = "expect-version"
	flagOverwrite = "overwrite"
	flagRequestID = "request-id"
	flagLabel     = "label"
	flagDerived   = "derived-from"
	flagFence     = "fence"
	flagConsume   = "consume"
)

func (p *program) stateSave() *cli.Command {
	return &cli.Command{
		Name: "save", Usage: "save a new version of an agent's state", ArgsUsage: "AGENT",
		Description: `The state is read from stdin or a file. The save is conditional on the head that
the command finds when it starts, so that a concurrent writer is noticed
(exit code 4). When the answer is lost (exit code 6) it prints a request id;
the same command with --request-id repeats the save, which is executed once.

Examples:
   echo '{"step":1}' | hawser state save researcher-7
   hawser state save researcher-7 -f state.json --label step=2 --content-type application/json
   hawser state save researcher-8 -f state.json --expect-version 0
   hawser state save researcher-7 -f state.json --overwrite
   hawser state save researcher-7 -f state.json --consume 12 --consume 13`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: flagFile, Aliases: []string{"f"}, Usage: "read the state from `FILE`; - is stdin"},
			&cli.Uint64Flag{Name: flagExpect, Usage: "save only if the head is version `N`; 0: only if there is none", DefaultText: "the head found at the start"},
			&cli.BoolFlag{Name: flagOverwrite, Usage: "save whatever the head is"},
			&cli.StringFlag{Name: flagRequestID, Usage: "repeat the save that printed this `ID`, unchanged"},
			&cli.StringSliceFlag{Name: flagLabel, Usage: "record the label `KEY=VALUE`; may be given repeatedly"},
			&cli.StringFlag{Name: "content-type", Usage: "record that the state is of this `TYPE`"},
			&cli.Uint64Flag{Name: flagFence, Usage: "save under the claim with the fence `TOKEN`", DefaultText: "HAWSER_FENCE under hawser agent run"},
			&cli.BoolFlag{Name: flagForce, Usage: "end the claim that there is on the agent, and save"},
			&cli.StringFlag{Name: "schema", Usage: "record the `SCHEMA` by which the state was written"},
			&cli.Uint64SliceFlag{Name: flagConsume, Usage: "consume message `N` of the agent's inbox with the save; may be given repeatedly"},
			&cli.StringSliceFlag{Name: flagDerived, Usage: "record that the state was computed from `AGENT@VERSION`; may be given repeatedly"},
		},
		Action: p.runStateSave,
	}
}

func (p *program) runStateSave(c *cli.Context) error {
	options, err := p.saveOptions(c)
	if err != nil {
		return err
	}
	state, err := p.readState(c.String(flagFile))
	if err != nil {
		return err
	}
	// Under hawser agent run it is the owner who saves.
	return withInstance(c, p.getenv(envInstance), func(ctx context.Context, conn *client.Client) error {
		agent := conn.Agent(c.Args().First())
		if !c.IsSet(flagExpect) && !c.Bool(flagOverwrite) && !c.IsSet(flagRequestID) {
			head, err := headNumber(ctx, agent)
			if err != nil {
				return err
			}
			options = append(options, client.ExpectVersion(head))
		}
		v, err := agent.Save(ctx, state, options...)
		switch {
		case errors.Is(err, hawser.ErrConflict):
			return hint(err, "--overwrite saves whatever the head is")
		case err != nil:
			return err
		}
		if wantsJSON(c) {
			return p.writeJSON(viewVersion(v))
		}
		_, err = fmt.Fprintf(p.stdout, "saved version %d of %s: %d bytes, sha256 %s\n", v.Number, escape(v.Agent.String()), v.Size, v.SHA256)
		return err
	})
}

// headNumber returns the number of an agent's head, 0 when it has none.
func headNumber(ctx context.Context, agent *client.Agent) (uint64, error) {
	info, err := agent.Show(ctx)
	switch {
	case errors.Is(err, hawser.ErrNotFound):
		return 0, nil
	case err != nil:
		return 0, err
	case info.Version == nil:
		return 0, nil
	}
	return info.Version.Number, nil
}

func (p *program) saveOptions(c *cli.Context) ([]client.SaveOption, error) {
	var options []client.SaveOption
	conditions := 0
	if c.IsSet(flagExpect) {
		conditions++
		options = append(options, client.ExpectVersion(c.Uint64(flagExpect)))
	}
	if c.Bool(flagOverwrite) {
		conditions++
		options = append(options, client.Overwrite())
	}
	if c.IsSet(flagRequestID) {
		conditions++
		id, err := parseRequest(c, hawser.RequestSave)
		if err != nil {
			return nil, err
		}
		options = append(options, client.WithRequestID(id))
	}
	if conditions > 1 {
		return nil, usageErrorf("--%s, --%s and --%s exclude each other", flagExpect, flagOverwrite, flagRequestID)
	}
	fence, err := p.fenceOption(c)
	if err != nil {
		return nil, err
	}
	if fence != nil {
		options = append(options, fence)
	}
	for _, label := range c.StringSlice(flagLabel) {
		key, value, found := strings.Cut(label, "=")
		if !found || key == "" {
			return nil, usageErrorf("--%s %q: is not KEY=VALUE", flagLabel, label)
		}
		options = append(options, client.Label(key, value))
	}
	if numbers := c.Uint64Slice(flagConsume); len(numbers) > 0 {
		options = append(options, client.Consume(numbers...))
	}
	for _, text := range c.StringSlice(flagDerived) {
		ref, err := parseRef(c, text)
		if err != nil {
			return nil, err
		}
		options = append(options, client.DerivedFrom(ref))
	}
	return append(options, client.ContentType(c.String("content-type")), client.Schema(c.String("schema"))), nil
}

// fenceOption is what the save shows to an agent that is claimed: the fence of
// the flag, or of the environment that hawser agent run makes for that agent;
// nil for nothing.
func (p *program) fenceOption(c *cli.Context) (client.WriteOption, error) {
	switch {
	case c.Bool(flagForce) && c.IsSet(flagFence):
		return nil, usageErrorf("--%s and --%s exclude each other", flagForce, flagFence)
	case c.Bool(flagForce):
		return client.Force(), nil
	case c.IsSet(flagFence):
		return client.WithFence(c.Uint64(flagFence)), nil
	}
	name := c.String(flagNamespace) + "/" + c.Args().First()
	if p.getenv(envAgent) != name {
		return nil, nil //nolint:nilnil // nil for nothing, as documented
	}
	fence, err := strconv.ParseUint(p.getenv(envFence), 10, 64)
	if err != nil {
		return nil, usageErrorf("%s %q: is not a fence", envFence, p.getenv(envFence))
	}
	return client.WithFence(fence), nil
}

// parseRequest reads --request-id and compares it with the command that is to
// repeat it.
func parseRequest(c *cli.Context, kind hawser.RequestKind) (hawser.RequestID, error) {
	id, err := hawser.ParseRequestID(c.String(flagRequestID))
	if err != nil {
		return id, err
	}
	agent, err := hawser.NewAgentID(c.String(flagNamespace), c.Args().First())
	if err != nil {
		return id, err
	}
	if id.Kind != kind || id.Agent != agent {
		return id, usageErrorf("--%s: it belongs to a %s of %q, not to a %s of %q", flagRequestID, id.Kind, id.Agent, kind, agent)
	}
	return id, nil
}
