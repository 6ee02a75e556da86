// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser/client"
)

func (p *program) clusterMembers() *cli.Command {
	return &cli.Command{
		Name: "members", Usage: "list the nodes of the cluster",
		Description: "Examples:\n   hawser cluster members\n   hawser cluster members -o json",
		Action: func(c *cli.Context) error {
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				members, err := conn.Cluster().Members(ctx)
				if err != nil {
					return err
				}
				if wantsJSON(c) {
					return p.writeJSON(viewMembers(members))
				}
				return p.printMembers(members, 0)
			})
		},
	}
}
