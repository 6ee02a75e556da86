// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser/client"
)

func (p *program) agentList() *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list the agents of a namespace by name", ArgsUsage: "[PREFIX]",
		Description: "PREFIX is whole segments of a name: \"crew\" lists crew and crew/a, not crewman.\n\n" +
			"Examples:\n   hawser agent list\n   hawser agent list crew -o json",
		Flags: []cli.Flag{limitFlag()},
		Action: func(c *cli.Context) error {
			limit, err := limitOf(c)
			if err != nil {
				return err
			}
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				agents, err := collect(conn.Agents(ctx, c.Args().First(), limit))
				if err != nil {
					return err
				}
				if wantsJSON(c) {
					views := make([]agentView, len(agents))
					for i, a := range agents {
						views[i] = viewAgent(a)
					}
					return p.writeJSON(views)
				}
				t := newTable("AGENT", "HEAD", "VERSIONS", "STORED", "CREATED")
				for _, a := range agents {
					t.add(a.ID.Name, number(a.Head), number(a.Versions), strconv.FormatInt(a.StoredSize, 10), clock(a.CreatedAt))
				}
				return t.write(p.stdout)
			})
		},
	}
}
