// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser/client"
)

func (p *program) statePin() *cli.Command {
	return &cli.Command{
		Name: "pin", Usage: "protect a version from retention", ArgsUsage: "AGENT VERSION",
		Description: `A pinned version stays, whatever the retention says, until the pin is removed or
the agent is deleted.

Examples:
   hawser state pin researcher-7 1
   hawser state pin researcher-7 1 --remove`,
		Flags: []cli.Flag{&cli.BoolFlag{Name: "remove", Usage: "end the pin"}},
		Action: func(c *cli.Context) error {
			number, err := versionArgument(c, 1)
			if err != nil {
				return err
			}
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				agent := conn.Agent(c.Args().First())
				pin, done := agent.Pin, "pinned"
				if c.Bool("remove") {
					pin, done = agent.Unpin, "no longer pinned"
				}
				v, err := pin(ctx, number)
				if err != nil {
					return err
				}
				if wantsJSON(c) {
					return p.writeJSON(viewVersion(v))
				}
				_, err = fmt.Fprintf(p.stdout, "version %d of %s is %s\n", v.Number, escape(v.Agent.String()), done)
				return err
			})
		},
	}
}
