// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

func (p *program) agentFork() *cli.Command {
	return &cli.Command{
		Name: "fork", Usage: "make an agent from a version of another one", ArgsUsage: "SOURCE[@VERSION] TARGET",
		Description: `The target's first version is the source's head, or the version named. It costs
one small entry, whatever the size; later changes on either side stay apart. The
target must not exist.

Examples:
   hawser agent fork researcher-7 researcher-7b
   hawser agent fork researcher-7@1 researcher-7c`,
		Flags: []cli.Flag{&cli.StringFlag{Name: flagRequestID, Usage: "repeat the fork that printed this `ID`, unchanged"}},
		Action: func(c *cli.Context) error {
			source, options, err := forkSource(c)
			if err != nil {
				return err
			}
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				v, err := conn.Agent(source).Fork(ctx, c.Args().Get(1), options...)
				switch {
				case errors.Is(err, hawser.ErrConflict):
					return hint(err, "the target exists already: choose another name, or delete it first")
				case err != nil:
					return err
				}
				if wantsJSON(c) {
					return p.writeJSON(viewVersion(v))
				}
				_, err = fmt.Fprintf(p.stdout, "version %d of %s is %s: %d bytes, sha256 %s\n",
					v.Number, escape(v.Agent.String()), escape(v.Origin.String()), v.Size, v.SHA256)
				return err
			})
		},
	}
}

// forkSource reads SOURCE[@VERSION]. A name may hold an @ itself, so what
// follows the last one counts only if it is a number.
func forkSource(c *cli.Context) (string, []client.ForkOption, error) {
	source := c.Args().First()
	var options []client.ForkOption
	if strings.Contains(source, "@") {
		ref, err := parseRef(c, source)
		if err != nil {
			return "", nil, err
		}
		source = ref.Agent.Name
		options = append(options, client.AtVersion(ref.Number))
	}
	if c.IsSet(flagRequestID) {
		id, err := hawser.ParseRequestID(c.String(flagRequestID))
		if err != nil {
			return "", nil, err
		}
		options = append(options, client.WithRequestID(id))
	}
	return source, options, nil
}
