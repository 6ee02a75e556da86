// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
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
				agents, err := collect(p, limit, conn.Agents(ctx, c.Args().First(), beyond(limit)))
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
				return p.printAgents(agents)
			})
		},
	}
}

func (p *program) printAgents(agents []hawser.Agent) error {
	t := newTable("AGENT", "HEAD", "VERSIONS", "STORED", "CREATED", "SAVED")
	for _, a := range agents {
		saved := ""
		if a.Version != nil {
			saved = clock(a.Version.CreatedAt)
		}
		t.add(a.ID.Name, number(a.Head), number(a.Versions), strconv.FormatInt(a.StoredSize, 10), clock(a.CreatedAt), saved)
	}
	return t.write(p.stdout)
}
