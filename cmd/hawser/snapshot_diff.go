// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser/snapshot"
)

func (p *program) snapshotDiff() *cli.Command {
	return &cli.Command{
		Name: "diff", Usage: "compare two archives: agents added, removed, changed", ArgsUsage: "FILE1 FILE2",
		Description: `Reads the tables of both only. An agent has changed when its newest version has
another number or other bytes. Exit code 0 whether they differ or not.

Examples:
   hawser snapshot diff monday.hawser tuesday.hawser
   hawser snapshot diff monday.hawser tuesday.hawser -o json`,
		Action: func(c *cli.Context) error {
			from, closeFrom, err := openArchive(c.Args().Get(0))
			if err != nil {
				return err
			}
			defer closeFrom()
			to, closeTo, err := openArchive(c.Args().Get(1))
			if err != nil {
				return err
			}
			defer closeTo()
			if wantsJSON(c) {
				head := struct {
					From string `json:"from"`
					To   string `json:"to"`
				}{c.Args().Get(0), c.Args().Get(1)}
				return p.streamJSON(head, "changes", func(yield func(any, error) bool) {
					for change, err := range snapshot.Diff(from, to) {
						if !yield(viewChange(change), err) {
							return
						}
					}
				})
			}
			return p.printDiff(from, to)
		},
	}
}

func (p *program) printDiff(from, to *snapshot.Archive) error {
	table := newRows("CHANGE", "AGENT", "OLD", "NEW")
	counts := map[string]uint64{}
	for change, err := range snapshot.Diff(from, to) {
		if err != nil {
			return err
		}
		v := viewChange(change)
		counts[v.Change]++
		if err := table.add(p.stdout, v.Change, change.ID.String(), optional(v.OldVersion), optional(v.NewVersion)); err != nil {
			return err
		}
	}
	if err := table.flush(p.stdout); err != nil {
		return err
	}
	_, err := fmt.Fprintf(p.stdout, "%d added, %d removed, %d changed\n", counts[added], counts[removed], counts[changed])
	return err
}

// What became of an agent.
const (
	added   = "added"
	removed = "removed"
	changed = "changed"
)

// changeView is an agent that differs, as JSON.
type changeView struct {
	Change     string `json:"change"`
	Namespace  string `json:"namespace"`
	Agent      string `json:"agent"`
	OldVersion uint64 `json:"old_version"`
	NewVersion uint64 `json:"new_version"`
}

func viewChange(c snapshot.Change) changeView {
	v := changeView{Change: changed, Namespace: c.ID.Namespace, Agent: c.ID.Name}
	if c.Old == nil {
		v.Change = added
	} else {
		v.OldVersion = c.Old.Live
	}
	if c.New == nil {
		v.Change = removed
	} else {
		v.NewVersion = c.New.Live
	}
	return v
}
