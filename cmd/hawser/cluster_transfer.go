// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser/client"
)

func (p *program) clusterTransfer() *cli.Command {
	return &cli.Command{
		Name: "transfer", Usage: "hand the leadership to another voter", ArgsUsage: "[NODE]",
		Description: `NODE is the id or the name of a voter. Without it the leader chooses the one that
follows best.

Examples:
   hawser cluster transfer
   hawser cluster transfer n2`,
		Action: func(c *cli.Context) error {
			node := c.Args().First()
			return p.change(c, actionTransfer, node, func(ctx context.Context, cluster *client.Cluster) error {
				return cluster.TransferLeadership(ctx, node)
			})
		},
	}
}
