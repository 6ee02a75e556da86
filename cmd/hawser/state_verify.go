// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

func (p *program) stateVerify() *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "rebuild every version and compare it with its SHA-256", ArgsUsage: "[PREFIX]",
		Description: `The node that answers does the work, on what it has stored, for all agents of the
namespace or those below PREFIX. Exit code 1 when a version does not match.

Examples:
   hawser state verify
   hawser state verify crew/`,
		Action: func(c *cli.Context) error {
			conn, err := dial(c, endpoints(c))
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close() }()
			return explain(p.verify(c.Context, wantsJSON(c), conn, c.Args().First()), endpoints(c))
		},
	}
}

// verifyView is the result as JSON. Keys are stable: add, never rename.
type verifyView struct {
	Agents   int              `json:"agents"`
	Versions uint64           `json:"versions"`
	Bytes    int64            `json:"bytes"`
	Bad      []badVersionView `json:"bad"`
}

type badVersionView struct {
	Namespace string `json:"namespace"`
	Agent     string `json:"agent"`
	Version   uint64 `json:"version"`
	Reason    string `json:"reason"`
}

func (p *program) verify(ctx context.Context, asJSON bool, conn *client.Client, prefix string) error {
	view := verifyView{Bad: []badVersionView{}}
	for agent, err := range conn.Verify(ctx, prefix) {
		if err != nil {
			return err
		}
		view.Agents++
		view.Versions += agent.Versions
		view.Bytes += agent.Bytes
		for _, bad := range agent.Bad {
			view.Bad = append(view.Bad, badVersionView{agent.Agent.Namespace, agent.Agent.Name, bad.Number, bad.Reason})
			say(p.stderr, "bad: version %d of %s: %s\n", bad.Number, escape(agent.Agent.String()), escape(bad.Reason))
		}
	}
	if view.Agents == 0 && prefix != "" {
		say(p.stderr, "hawser: there is no agent below %s\n", escape(prefix))
	}
	err := p.printVerified(asJSON, view)
	if err == nil && len(view.Bad) > 0 {
		err = &hawser.Error{Code: hawser.CodeCorrupt, Op: "verify", Msg: plural(len(view.Bad), "version") + " cannot be restored; older ones may"}
	}
	return err
}

func (p *program) printVerified(asJSON bool, view verifyView) error {
	if asJSON {
		return p.writeJSON(view)
	}
	_, err := fmt.Fprintf(p.stdout, "%s of %s verified, %d bytes; %d bad\n",
		plural(view.Versions, "version"), plural(view.Agents, "agent"), view.Bytes, len(view.Bad))
	return err
}
