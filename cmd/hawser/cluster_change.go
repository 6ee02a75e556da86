// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser/client"
)

// change runs one change of the cluster and says that it was made.
func (p *program) change(c *cli.Context, action, node string, f func(context.Context, *client.Cluster) error) error {
	return withClient(c, func(ctx context.Context, conn *client.Client) error {
		if err := f(ctx, conn.Cluster()); err != nil {
			return err
		}
		if wantsJSON(c) {
			return p.writeJSON(struct {
				Action string `json:"action"`
				Node   string `json:"node"`
				Done   bool   `json:"done"`
			}{action, node, true})
		}
		if node == "" {
			node = "the voter that follows best"
		}
		_, err := fmt.Fprintf(p.stdout, "%s: done for %s\n", action, escape(node))
		return err
	})
}
