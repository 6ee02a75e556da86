// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser/client"
)

func (p *program) stateDiff() *cli.Command {
	return &cli.Command{
		Name: "diff", Usage: "show what differs between two versions", ArgsUsage: "AGENT FROM TO",
		Description: `Of JSON it lists the paths (RFC 6901) that were added, removed or changed, of
other bytes the ranges that differ.

Examples:
   hawser state diff researcher-7 1 2
   hawser state diff researcher-7 1 2 -o json`,
		Action: func(c *cli.Context) error {
			from, err := versionArgument(c, 1)
			if err != nil {
				return err
			}
			to, err := versionArgument(c, 2)
			if err != nil {
				return err
			}
			return withClient(c, func(ctx context.Context, conn *client.Client) error {
				d, err := conn.Agent(c.Args().First()).Diff(ctx, from, to)
				if err != nil {
					return err
				}
				if wantsJSON(c) {
					return p.writeJSON(viewStateDiff(d))
				}
				return p.printStateDiff(d)
			})
		},
	}
}

// versionArgument reads the number of a version.
func versionArgument(c *cli.Context, i int) (uint64, error) {
	n, err := strconv.ParseUint(c.Args().Get(i), 10, 64)
	if err != nil || n == 0 {
		return 0, usageErrorf("%q is not the number of a version: they count from 1", c.Args().Get(i))
	}
	return n, nil
}

// stateDiffView is a comparison as JSON. Keys are stable: add, never rename.
type stateDiffView struct {
	From      versionView `json:"from"`
	To        versionView `json:"to"`
	Kind      string      `json:"kind"`
	Changes   []pathView  `json:"changes"`
	Ranges    []rangeView `json:"ranges"`
	Truncated bool        `json:"truncated"`
}

type pathView struct {
	Change string `json:"change"`
	Path   string `json:"path"`
	Old    string `json:"old,omitempty"`
	New    string `json:"new,omitempty"`
}

type rangeView struct {
	OldStart int64 `json:"old_start"`
	OldEnd   int64 `json:"old_end"`
	NewStart int64 `json:"new_start"`
	NewEnd   int64 `json:"new_end"`
}

func viewStateDiff(d client.Diff) stateDiffView {
	view := stateDiffView{
		From: viewVersion(d.From), To: viewVersion(d.To), Kind: "bytes",
		Changes: []pathView{}, Ranges: []rangeView{}, Truncated: d.Truncated,
	}
	if d.JSON {
		view.Kind = "json"
	}
	for _, ch := range d.Changes {
		view.Changes = append(view.Changes, pathView{Change: ch.Kind.String(), Path: ch.Path, Old: ch.Old, New: ch.New})
	}
	for _, r := range d.Ranges {
		view.Ranges = append(view.Ranges, rangeView{OldStart: r.OldStart, OldEnd: r.OldEnd, NewStart: r.NewStart, NewEnd: r.NewEnd})
	}
	return view
}

func (p *program) printStateDiff(d client.Diff) error {
	t := newTable("CHANGE", "PATH", "OLD", "NEW")
	for _, ch := range d.Changes {
		t.add(ch.Kind.String(), ch.Path, ch.Old, ch.New)
	}
	if !d.JSON {
		t = newTable("OLD BYTES", "NEW BYTES")
		for _, r := range d.Ranges {
			t.add(fmt.Sprintf("%d-%d", r.OldStart, r.OldEnd), fmt.Sprintf("%d-%d", r.NewStart, r.NewEnd))
		}
	}
	if len(d.Changes)+len(d.Ranges) == 0 {
		say(p.stderr, "version %d and version %d are equal: %d bytes\n", d.From.Number, d.To.Number, d.To.Size)
		return nil
	}
	if err := t.write(p.stdout); err != nil {
		return err
	}
	if d.Truncated {
		say(p.stderr, "hawser: there are more differences, or finer ones, than these\n")
	}
	say(p.stderr, "%d bytes and %d bytes\n", d.From.Size, d.To.Size)
	return nil
}
