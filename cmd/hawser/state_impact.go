// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

func (p *program) stateImpact() *cli.Command {
	return &cli.Command{
		Name: "impact", Usage: "list what was computed from a version", ArgsUsage: "AGENT@VERSION",
		Description: `Saves may name versions that they were computed from (--derived-from). This lists
every version that rests on the given one, directly or not: later versions of
the same agent too, unless they were rolled back to one that does not.

Example:
   hawser state impact researcher-7@1`,
		Action: func(c *cli.Context) error {
			ref, err := parseRef(c, c.Args().First())
			if err != nil {
				return err
			}
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				impact, err := conn.Impact(ctx, ref)
				if err != nil {
					return err
				}
				if impact.Truncated {
					say(p.stderr, "hawser: more agents are affected than these\n")
				}
				if wantsJSON(c) {
					return p.writeJSON(viewImpact(impact))
				}
				if len(impact.Affected) == 0 {
					say(p.stderr, "nothing rests on %s\n", escape(ref.String()))
					return nil
				}
				t := newTable("AGENT", "VERSIONS", "FIRST", "LAST", "VIA")
				for _, a := range impact.Affected {
					t.add(a.Agent.String(), strconv.Itoa(len(a.Versions)), number(a.Versions[0]), number(a.Versions[len(a.Versions)-1]), a.Via.String())
				}
				return t.write(p.stdout)
			})
		},
	}
}

// parseRef reads AGENT@VERSION, an agent of the namespace of the command.
func parseRef(c *cli.Context, text string) (hawser.VersionRef, error) {
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return hawser.VersionRef{}, usageErrorf("%q is not AGENT@VERSION", text)
	}
	n, err := strconv.ParseUint(text[at+1:], 10, 64)
	if err != nil || n == 0 {
		return hawser.VersionRef{}, usageErrorf("%q is not AGENT@VERSION: versions count from 1", text)
	}
	agent, err := hawser.NewAgentID(c.String(flagNamespace), text[:at])
	return hawser.VersionRef{Agent: agent, Number: n}, err
}

// impactView is the answer as JSON. Keys are stable: add, never rename.
type impactView struct {
	Affected  []affectedView `json:"affected"`
	Truncated bool           `json:"truncated"`
}

type affectedView struct {
	Namespace string   `json:"namespace"`
	Agent     string   `json:"agent"`
	Versions  []uint64 `json:"versions"`
	Via       string   `json:"via"`
}

func viewImpact(impact client.Impact) impactView {
	view := impactView{Affected: []affectedView{}, Truncated: impact.Truncated}
	for _, a := range impact.Affected {
		view.Affected = append(view.Affected, affectedView{
			Namespace: a.Agent.Namespace, Agent: a.Agent.Name, Versions: a.Versions, Via: a.Via.String(),
		})
	}
	return view
}
