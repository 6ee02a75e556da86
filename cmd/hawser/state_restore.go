// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser/client"
)

const flagVersion = "version"

func (p *program) stateRestore() *cli.Command {
	return &cli.Command{
		Name: "restore", Usage: "write a version of an agent's state to stdout or a file", ArgsUsage: "AGENT",
		Description: `The bytes come out as they were saved, checked against their SHA-256. A file is
replaced whole or not at all. With -o json and a file the version's description
goes to stdout.

Examples:
   hawser state restore researcher-7
   hawser state restore researcher-7 --version 1 -f state.json`,
		Flags: []cli.Flag{
			&cli.Uint64Flag{Name: flagVersion, Usage: "restore version `N`", DefaultText: "the head"},
			&cli.StringFlag{Name: flagFile, Aliases: []string{"f"}, Usage: "write to `FILE`; - is stdout"},
		},
		Action: func(c *cli.Context) error {
			path := c.String(flagFile)
			toFile := path != "" && path != "-"
			if wantsJSON(c) && !toFile {
				return usageError("-o json describes what was restored, so the state itself needs a file: -f FILE")
			}
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				restored, err := conn.Agent(c.Args().First()).Restore(ctx, client.AtVersion(c.Uint64(flagVersion)))
				if err != nil {
					return err
				}
				if !toFile {
					_, err := p.stdout.Write(restored.State)
					return err
				}
				if err := writeFile(path, restored.State); err != nil {
					return err
				}
				v := restored.Version
				if wantsJSON(c) {
					return p.writeJSON(viewVersion(v))
				}
				_, err = fmt.Fprintf(p.stderr, "restored version %d of %s: %d bytes, sha256 %s\n", v.Number, escape(v.Agent.String()), v.Size, v.SHA256)
				return err
			})
		},
	}
}
