// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/snapshot"
)

func (p *program) snapshotRestore() *cli.Command {
	return &cli.Command{
		Name: "restore", Usage: "fill a new cluster from an archive, or bring back some agents", ArgsUsage: "FILE",
		Description: `Without --agent and --prefix everything goes into a new, empty cluster: the whole
archive is verified first, and the cluster begins a new generation. A restore that
was interrupted is gone on with by the same command.

With --agent or --prefix, agents of a running cluster get the archive's newest
version (or --version N) as a new version on top, with the label hawser.archive;
agents that are not there are made. Nothing is rewritten, an agent that somebody
saved to meanwhile is a conflict (exit code 4), and one whose newest version has
the same bytes already is left alone.

Examples:
   hawser snapshot restore backup.hawser
   hawser snapshot restore backup.hawser --agent researcher-7 --version 12
   hawser snapshot restore backup.hawser --agent researcher-7 --as researcher-7-old
   hawser snapshot restore backup.hawser --prefix crew --dry-run`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: flagAgent, Usage: "only this `AGENT` of --namespace"},
			&cli.Uint64Flag{Name: flagVersion, Usage: "with --agent: the version with number `N`", DefaultText: "the newest"},
			&cli.StringFlag{Name: flagAs, Usage: "with --agent: restore it under another `NAME`"},
			&cli.StringFlag{Name: flagPrefix, Usage: "only agents of --namespace whose names start with the segments of `PREFIX`"},
			&cli.BoolFlag{Name: flagDryRun, Usage: "change nothing, print what would happen"},
		},
		Action: p.runRestore,
	}
}

func (p *program) runRestore(c *cli.Context) error {
	some := c.String(flagAgent) != "" || c.String(flagPrefix) != ""
	switch {
	case c.String(flagAgent) != "" && c.String(flagPrefix) != "":
		return usageErrorf("--%s and --%s exclude each other", flagAgent, flagPrefix)
	case c.String(flagAgent) == "" && (c.IsSet(flagVersion) || c.IsSet(flagAs)):
		return usageErrorf("--%s and --%s need --%s", flagVersion, flagAs, flagAgent)
	case !some && (c.IsSet(flagAgent) || c.IsSet(flagPrefix)):
		return usageErrorf("--%s and --%s must not be empty", flagAgent, flagPrefix)
	}
	return withArchive(c, func(a *snapshot.Archive) error {
		conn, err := dial(c, endpoints(c))
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		if some {
			err = p.restoreSome(c, a, conn)
		} else {
			err = p.restoreAll(c, a, conn)
		}
		return explain(err, endpoints(c))
	})
}

// importer is the part of a client that a cluster is filled with.
type importer interface {
	exporter
	Import(ctx context.Context, start client.ImportStart, items iter.Seq2[[]byte, error]) (client.Imported, error)
}

// importedView is a whole restore, as JSON.
type importedView struct {
	Agents   uint64 `json:"agents"`
	Deleted  uint64 `json:"deleted"`
	Versions uint64 `json:"versions"`
	DryRun   bool   `json:"dry_run"`
}

func (p *program) restoreAll(c *cli.Context, a *snapshot.Archive, conn importer) error {
	report, err := p.verifyArchive(c.Context, a)
	if err != nil {
		return err
	}
	if err := report.Err(); err != nil {
		return hint(err, "nothing was restored; \"hawser snapshot verify\" lists what is bad\n%s", wayOut)
	}
	view := importedView{Agents: a.Summary().Agents, Deleted: a.Summary().Deleted, Versions: a.Summary().Versions, DryRun: c.Bool(flagDryRun)}
	if view.DryRun {
		err = checkEmpty(c.Context, conn, stallTimeout(c))
	} else {
		err = p.importArchive(c.Context, a, conn, stallTimeout(c))
	}
	if err != nil {
		return err
	}
	if wantsJSON(c) {
		return p.writeJSON(view)
	}
	verb := "restored"
	if view.DryRun {
		verb = "would restore"
	}
	_, err = fmt.Fprintf(p.stdout, "%s %s with %s\n", verb, agentCount(view.Agents, view.Deleted), plural(view.Versions, "version"))
	return err
}

var errSeen = errors.New("seen")

// checkEmpty returns an error if the cluster has agents, as an import would.
func checkEmpty(ctx context.Context, conn exporter, stall time.Duration) error {
	ctx, _, stop := untilStalled(ctx, stall)
	defer stop()
	var agents uint64
	err := conn.Export(ctx, "", "", func(s client.ExportStart) error {
		agents = s.Agents
		return errSeen
	}, func([][]byte) error { return errSeen })
	if err != nil && !errors.Is(err, errSeen) {
		return stalled(ctx, err)
	}
	if agents > 0 {
		return &hawser.Error{
			Code: hawser.CodeRefused, Op: "restore",
			Msg: fmt.Sprintf("the cluster has %s; everything can be restored into a new, empty one only", plural(agents, "agent")),
		}
	}
	return nil
}

// importArchive sends all items of the archive.
func (p *program) importArchive(ctx context.Context, a *snapshot.Archive, conn importer, stall time.Duration) error {
	ctx, moved, stop := untilStalled(ctx, stall)
	defer stop()
	bar := p.progress("restoring")
	defer bar.clear()
	h, s := a.Header(), a.Summary()
	start := client.ImportStart{
		Archive: a.SHA256(), Generation: h.Generation, Revision: h.Revision, Agents: s.Agents, Versions: s.Versions,
	}
	sent, agents := int64(0), int64(0)
	_, err := conn.Import(ctx, start, func(yield func([]byte, error) bool) {
		for item, err := range a.Encoded() {
			moved()
			sent += int64(len(item))
			if parsed, err := snapshot.ParseItem(item); err == nil {
				if _, ok := parsed.(*snapshot.Agent); ok {
					agents++
				}
			}
			bar.show(agents, int64(s.Agents+s.Deleted), byteCount(sent))
			if !yield(item, err) {
				return
			}
		}
	})
	return stalled(ctx, err)
}
