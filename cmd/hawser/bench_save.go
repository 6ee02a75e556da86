// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"

	"github.com/urfave/cli/v2"
)

func (p *program) benchSave() *cli.Command {
	return &cli.Command{
		Name: "save", Usage: "measure saves",
		Description: `Every client saves to agents of its own, named bench/..., which stay there.

Example:
   hawser bench save --clients 8 --size 1024 --duration 2s -o json`,
		Flags: benchFlags(),
		Action: func(c *cli.Context) error {
			return p.runBench(c, nil, saveNumbered)
		},
	}
}

// saveNumbered saves a state that differs from all others of the worker.
func saveNumbered(ctx context.Context, w *worker, n int) error {
	if len(w.state) >= 8 {
		binary.BigEndian.PutUint64(w.state, uint64(n))
	}
	_, err := w.agents[n%len(w.agents)].Save(ctx, w.state)
	return err
}
