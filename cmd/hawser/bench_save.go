// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"math/rand/v2"

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
			return p.runBench(c, nil, saveRandom)
		},
	}
}

// saveRandom saves a state that has nothing in common with the one before, so
// that it travels whole.
func saveRandom(ctx context.Context, w *worker, n int) error {
	for i := 0; i < len(w.state); i += 8 {
		x := rand.Uint64()
		for j := i; j < min(i+8, len(w.state)); j++ {
			w.state[j], x = byte(x), x>>8
		}
	}
	_, err := w.agents[n%len(w.agents)].Save(ctx, w.state)
	return err
}
