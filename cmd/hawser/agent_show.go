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

func (p *program) agentShow() *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "describe an agent", ArgsUsage: "AGENT",
		Description: "Example:\n   hawser agent show researcher-7",
		Action: func(c *cli.Context) error {
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				a, err := conn.Agent(c.Args().First()).Show(ctx)
				if err != nil {
					return err
				}
				if wantsJSON(c) {
					return p.writeJSON(viewAgent(a))
				}
				return p.printAgent(a)
			})
		},
	}
}

func (p *program) printAgent(a hawser.Agent) error {
	pairs := []string{
		"agent", a.ID.String(), "head", number(a.Head), "versions", number(a.Versions),
		"stored size", strconv.FormatInt(a.StoredSize, 10), "created at", timestamp(a.CreatedAt), "epoch", optional(a.Epoch),
	}
	if a.Version == nil {
		pairs = append(pairs, "state", "deleted")
	}
	if v := a.Version; v != nil {
		pairs = append(pairs, "head size", strconv.FormatInt(v.Size, 10), "head sha256", v.SHA256.String(),
			"head saved at", timestamp(v.CreatedAt), "head instance", v.Instance, "head labels", labelList(v.Labels))
	}
	return fields(p.stdout, pairs...)
}
