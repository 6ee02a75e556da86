// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

func (p *program) agentDelete() *cli.Command {
	return &cli.Command{
		Name: "delete", Usage: "delete an agent and all its versions", ArgsUsage: "AGENT",
		Description: `The delete is conditional on the head that the command finds when it starts, or
that --expect-version names. Numbers are not given again: an agent made anew
under the name goes on counting.

Examples:
   hawser agent delete researcher-7
   hawser agent delete researcher-8 --expect-version 1`,
		Flags: []cli.Flag{
			&cli.Uint64Flag{Name: flagExpect, Usage: "delete only if the head is version `N`", DefaultText: "the head found at the start"},
			&cli.StringFlag{Name: flagRequestID, Usage: "repeat the delete that printed this `ID`, unchanged"},
		},
		Action: func(c *cli.Context) error {
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				return p.deleteAgent(ctx, c, conn.Agent(c.Args().First()))
			})
		},
	}
}

func (p *program) deleteAgent(ctx context.Context, c *cli.Context, agent *client.Agent) error {
	options, err := deleteOptions(c)
	if err != nil {
		return err
	}
	if err := agent.Delete(ctx, options...); err != nil {
		return err
	}
	if wantsJSON(c) {
		return p.writeJSON(struct {
			Namespace string `json:"namespace"`
			Agent     string `json:"agent"`
			Deleted   bool   `json:"deleted"`
		}{agent.ID().Namespace, agent.ID().Name, true})
	}
	_, err = fmt.Fprintf(p.stdout, "deleted %s\n", escape(agent.ID().String()))
	return err
}

// deleteOptions returns the condition of the delete. Without a flag there is
// none: a handle that has seen nothing deletes the head that it finds.
func deleteOptions(c *cli.Context) ([]client.DeleteOption, error) {
	switch {
	case c.IsSet(flagRequestID) && c.IsSet(flagExpect):
		return nil, usageErrorf("--%s and --%s exclude each other", flagExpect, flagRequestID)
	case c.IsSet(flagExpect) && c.Uint64(flagExpect) == 0:
		return nil, usageErrorf("--%s 0: there would be nothing to delete", flagExpect)
	case c.IsSet(flagExpect):
		return []client.DeleteOption{client.ExpectVersion(c.Uint64(flagExpect))}, nil
	case c.IsSet(flagRequestID):
		id, err := parseRequest(c, hawser.RequestDelete)
		return []client.DeleteOption{client.WithRequestID(id)}, err
	}
	return nil, nil
}
