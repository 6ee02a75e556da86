// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser/client"
)

func (p *program) clusterStatus() *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "show what one of the nodes knows of the cluster",
		Description: `A node answers without a leader too, so this works when nothing else does.
Give one address with --endpoints to ask that node.

Examples:
   hawser cluster status
   hawser cluster status -o json`,
		Action: func(c *cli.Context) error {
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				s, err := conn.Cluster().Status(ctx)
				if err != nil {
					return err
				}
				if wantsJSON(c) {
					return p.writeJSON(viewStatus(s))
				}
				return p.printStatus(s)
			})
		},
	}
}

func (p *program) printStatus(s client.Status) error {
	ready := "yes"
	if !s.Ready {
		ready = "no: " + s.Reason
	}
	leader := s.Leader
	if leader == "" {
		leader = "none known"
	}
	err := fields(p.stdout, "node", s.Self.ID, "ready", ready, "leader", leader, "cluster", s.ClusterID,
		"generation", optional(uint64(s.Generation)), "revision", number(uint64(s.Revision)), "term", number(s.Term),
		"commit index", number(s.CommitIndex), "applied index", number(s.AppliedIndex),
		"agents", number(s.Agents), "cluster time", timestamp(s.MachineTime), "started at", timestamp(s.StartedAt))
	if err != nil {
		return err
	}
	say(p.stdout, "\n")
	if err := p.printMembers(s.Members, s.CommitIndex); err != nil {
		return err
	}
	for _, note := range s.Notes {
		if _, err := fmt.Fprintf(p.stdout, "note: %s\n", escape(note)); err != nil {
			return err
		}
	}
	return nil
}
