// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser/client"
)

func (p *program) stateShow() *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "describe one version of an agent's state", ArgsUsage: "AGENT",
		Description: "Examples:\n   hawser state show researcher-7\n   hawser state show researcher-7 --version 1 -o json",
		Flags:       []cli.Flag{&cli.Uint64Flag{Name: flagVersion, Usage: "describe version `N`", DefaultText: "the head"}},
		Action: func(c *cli.Context) error {
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				v, err := conn.Agent(c.Args().First()).ShowVersion(ctx, c.Uint64(flagVersion))
				if err != nil {
					return err
				}
				return p.printVersion(wantsJSON(c), v)
			})
		},
	}
}
