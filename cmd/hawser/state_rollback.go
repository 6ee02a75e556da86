// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

func (p *program) stateRollback() *cli.Command {
	return &cli.Command{
		Name: "rollback", Usage: "append a version equal to an older one", ArgsUsage: "AGENT VERSION",
		Description: `Nothing is removed: the agent's head becomes a new version with the content of
the old one. The rollback is conditional on the head that the command finds when
it starts, or that --expect-version names.

Example:
   hawser state rollback researcher-7 1`,
		Flags: []cli.Flag{
			&cli.Uint64Flag{Name: flagExpect, Usage: "only if the head is version `N`", DefaultText: "the head found at the start"},
			&cli.StringFlag{Name: flagRequestID, Usage: "repeat the rollback that printed this `ID`, unchanged"},
		},
		Action: func(c *cli.Context) error {
			number, err := versionArgument(c, 1)
			if err != nil {
				return err
			}
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				return p.rollback(ctx, c, conn.Agent(c.Args().First()), number)
			})
		},
	}
}

func (p *program) rollback(ctx context.Context, c *cli.Context, agent *client.Agent, number uint64) error {
	option, err := rollbackCondition(ctx, c, agent)
	if err != nil {
		return err
	}
	v, err := agent.Rollback(ctx, number, option)
	switch {
	case errors.Is(err, hawser.ErrConflict):
		return hint(err, "somebody saved in between; look at the head, then decide")
	case err != nil:
		return err
	}
	if wantsJSON(c) {
		return p.writeJSON(viewVersion(v))
	}
	_, err = fmt.Fprintf(p.stdout, "version %d of %s is version %d again: %d bytes, sha256 %s\n",
		v.Number, escape(v.Agent.String()), number, v.Size, v.SHA256)
	return err
}

func rollbackCondition(ctx context.Context, c *cli.Context, agent *client.Agent) (client.WriteOption, error) {
	switch {
	case c.IsSet(flagRequestID) && c.IsSet(flagExpect):
		return nil, usageErrorf("--%s and --%s exclude each other", flagExpect, flagRequestID)
	case c.IsSet(flagRequestID):
		id, err := parseRequest(c, hawser.RequestRollback)
		return client.WithRequestID(id), err
	case c.IsSet(flagExpect):
		return client.ExpectVersion(c.Uint64(flagExpect)), nil
	}
	head, err := headNumber(ctx, agent)
	return client.ExpectVersion(head), err
}
