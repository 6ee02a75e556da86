// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"iter"
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
		Action: listed(p, func(ctx context.Context, c *cli.Context, conn *client.Client, limit int) iter.Seq2[hawser.Agent, error] {
			return conn.Agents(ctx, c.Args().First(), beyond(limit))
		}, viewAgent, p.printAgents),
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
