// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser/client"
)

// The changes, as JSON names them.
const (
	actionTransfer = "transfer"
	actionPromote  = "promote"
	actionRemove   = "remove"
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
		_, err := fmt.Fprintln(p.stdout, done(action, escape(node)))
		return err
	})
}

// done says in words what is true after a change.
func done(action, node string) string {
	switch {
	case action == actionTransfer && node == "":
		return "the leadership is handed to the voter that follows best; \"hawser cluster members\" shows it"
	case action == actionTransfer:
		return node + " leads"
	case action == actionPromote:
		return node + " is a voter"
	}
	return node + " is removed; its process stops by itself"
}
