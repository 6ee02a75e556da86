// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser/client"
)

func (p *program) clusterRemove() *cli.Command {
	return &cli.Command{
		Name: "remove", Usage: "take a node out of the cluster", ArgsUsage: "NODE",
		Description: `NODE is the id of a node or, where only one has it, the name. It is refused when
too few live voters would be left, unless --force is given.

Example:
   hawser cluster remove n3`,
		Flags: []cli.Flag{&cli.BoolFlag{Name: "force", Usage: "remove it even if too few live voters are left"}},
		Action: func(c *cli.Context) error {
			node := c.Args().First()
			return p.change(c, actionRemove, node, func(ctx context.Context, cluster *client.Cluster) error {
				return cluster.Remove(ctx, node, c.Bool("force"))
			})
		},
	}
}
