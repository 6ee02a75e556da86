// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser/client"
)

func (p *program) clusterPromote() *cli.Command {
	return &cli.Command{
		Name: "promote", Usage: "make a standby a voter", ArgsUsage: "NODE",
		Description: "NODE is the id or the name of a standby. Promoting a voter changes nothing.\n\n" +
			"Example:\n   hawser cluster promote n3",
		Action: func(c *cli.Context) error {
			node := c.Args().First()
			return p.change(c, actionPromote, node, func(ctx context.Context, cluster *client.Cluster) error {
				return cluster.Promote(ctx, node)
			})
		},
	}
}
