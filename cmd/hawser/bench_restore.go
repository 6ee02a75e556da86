// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/urfave/cli/v2"
)

func (p *program) benchRestore() *cli.Command {
	return &cli.Command{
		Name: "restore", Usage: "measure linearizable restores",
		Description: `Every client first saves one version of agents of its own, named bench/..., which
stay there, and then restores their heads.

Example:
   hawser bench restore --clients 8 --size 1024 --duration 2s -o json`,
		Flags: benchFlags(),
		Action: func(c *cli.Context) error {
			save := func(ctx context.Context, w *worker, n int) error {
				_, err := w.agents[n].Save(ctx, w.state)
				return err
			}
			restore := func(ctx context.Context, w *worker, n int) error {
				_, err := w.agents[n%len(w.agents)].Restore(ctx)
				return err
			}
			return p.runBench(c, save, restore)
		},
	}
}
