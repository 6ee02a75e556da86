// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser/client"
)

func (p *program) clusterStatus() *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "show what one of the nodes knows of the cluster",
		Description: `A node answers without a leader too, so this works when nothing else does.
Give one address with --endpoints to ask that node. The notes about what is done
with members, and why not, come from the leader.

Examples:
   hawser cluster status
   hawser cluster status -o json`,
		Action: func(c *cli.Context) error {
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				s, err := conn.Cluster().Status(ctx)
				if err != nil {
					return err
				}
				s.Notes = append(s.Notes, leaderNotes(ctx, c, s)...)
				slices.SortFunc(s.Members, func(a, b client.Member) int { return strings.Compare(a.ID, b.ID) })
				if wantsJSON(c) {
					return p.writeJSON(viewStatus(s))
				}
				return p.printStatus(s)
			})
		},
	}
}

// leaderTimeout bounds the question to the leader, without which the answer of
// the node that was asked is good too.
const leaderTimeout = 2 * time.Second

// leaderNotes returns the notes of the leader where another node has answered:
// only the leader judges members.
func leaderNotes(ctx context.Context, c *cli.Context, s client.Status) []string {
	if s.LeaderAddress == "" || s.Leader == s.Self.ID {
		return nil
	}
	conn, err := dial(c, []string{s.LeaderAddress})
	if err != nil {
		return []string{"the leader's own notes are missing: " + err.Error()}
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(ctx, leaderTimeout)
	defer cancel()
	leader, err := conn.Cluster().Status(ctx)
	if err != nil {
		return []string{"the leader's own notes are missing: " + err.Error()}
	}
	return slices.DeleteFunc(leader.Notes, func(n string) bool { return slices.Contains(s.Notes, n) })
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
