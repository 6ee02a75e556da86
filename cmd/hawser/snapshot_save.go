// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/snapshot"
)

// exporter is the part of a client that an archive is made from.
type exporter interface {
	Export(ctx context.Context, namespace, prefix string, start func(client.ExportStart) error, items func([][]byte) error, opts ...client.ReadOption) error
}

func (p *program) snapshotSave() *cli.Command {
	return &cli.Command{
		Name: "save", Usage: "write an archive of a namespace, while the cluster works", ArgsUsage: "FILE",
		Description: `Any node serves it. The archive holds every version of every agent as of one
revision. Until it is complete and on disk it is called FILE.partial- and some
digits; whatever happens, nothing incomplete gets the name FILE. --timeout is how
long the cluster may send nothing (here 1m unless it is given).

Examples:
   hawser snapshot save backup.hawser --all-namespaces
   hawser snapshot save crew.hawser --prefix crew
   hawser snapshot save research.hawser --namespace research --force`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: flagPrefix, Usage: "only agents whose names start with the segments of `PREFIX`"},
			&cli.BoolFlag{Name: flagAllNamespaces, Usage: "all namespaces, not only --namespace"},
			&cli.BoolFlag{Name: flagForce, Usage: "replace FILE if it is there"},
		},
		Action: func(c *cli.Context) error {
			if c.Args().First() == "-" {
				return usageErrorf("an archive cannot be written to stdout: it needs a file, because it is finished by renaming that (./- is a file called -)")
			}
			job := saveJob{path: c.Args().First(), force: c.Bool(flagForce), stall: stallTimeout(c), bar: p.progress("saving")}
			if c.Bool(flagAllNamespaces) {
				if c.IsSet(flagPrefix) || c.IsSet(flagNamespace) {
					return usageErrorf("--%s excludes --%s and --%s", flagAllNamespaces, flagPrefix, flagNamespace)
				}
			} else {
				var err error
				if job.prefix, err = hawser.NewPrefix(c.String(flagPrefix)); err != nil {
					return err
				}
				job.namespace = c.String(flagNamespace)
			}
			conn, err := dial(c, endpoints(c))
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close() }()
			saved, err := job.run(c.Context, conn)
			if err != nil {
				return explain(err, endpoints(c))
			}
			if wantsJSON(c) {
				return p.writeJSON(saved)
			}
			_, err = fmt.Fprintf(p.stdout, "saved %s with %s to %s: %d bytes of content in %d bytes, sha256 %s\n",
				agentCount(saved.Agents, saved.Deleted), plural(saved.Versions, "version"), escape(saved.File), saved.ContentBytes, saved.Size, saved.SHA256)
			return err
		},
	}
}

// savedView is an archive that was made, as JSON.
type savedView struct {
	File         string `json:"file"`
	Size         int64  `json:"size"`
	SHA256       string `json:"sha256"`
	Generation   uint64 `json:"generation"`
	Revision     uint64 `json:"revision"`
	Agents       uint64 `json:"agents"`
	Deleted      uint64 `json:"deleted"`
	Versions     uint64 `json:"versions"`
	ContentBytes int64  `json:"content_bytes"`
}

// saveJob makes one archive.
type saveJob struct {
	path, namespace, prefix string
	force                   bool
	stall                   time.Duration
	bar                     *progress
}

func (j saveJob) run(ctx context.Context, from exporter) (savedView, error) {
	f, err := createPartial(j.path, j.force)
	if err != nil {
		return savedView{}, err
	}
	w, start, err := j.export(ctx, from, f)
	j.bar.clear()
	if err != nil {
		_ = f.discard() // why the save failed says more
		return savedView{}, fmt.Errorf("save an archive: %w", err)
	}
	if err := f.commit(); err != nil {
		return savedView{}, err
	}
	sum := w.Summary()
	return savedView{
		File: j.path, Size: w.Size(), SHA256: w.SHA256().String(), Generation: uint64(start.Generation), Revision: uint64(start.Revision),
		Agents: sum.Agents, Deleted: sum.Deleted, Versions: sum.Versions, ContentBytes: sum.ContentBytes,
	}, nil
}

// export writes the archive to f.
func (j saveJob) export(ctx context.Context, from exporter, f *partial) (*snapshot.Writer, client.ExportStart, error) {
	ctx, moved, stop := untilStalled(ctx, j.stall)
	defer stop()
	var w *snapshot.Writer
	var start client.ExportStart
	err := from.Export(ctx, j.namespace, j.prefix, func(s client.ExportStart) (err error) {
		moved()
		start = s
		h := snapshot.Header{Generation: s.Generation, Revision: s.Revision, CreatedAt: s.Time, Namespace: j.namespace, Prefix: j.prefix}
		copy(h.ClusterID[:], s.Cluster)
		w, err = snapshot.NewWriter(f, h)
		return err
	}, func(items [][]byte) error {
		moved()
		for _, item := range items {
			if err := w.AppendEncoded(item); err != nil {
				return err
			}
		}
		sum := w.Summary()
		j.bar.show(int64(sum.Agents), int64(start.Agents), plural(sum.Versions, "version")+", "+byteCount(w.Size()))
		return nil
	})
	if err == nil && w == nil {
		err = &hawser.Error{Code: hawser.CodeInternal, Op: "export", Msg: "the node sent nothing"}
	}
	if err != nil {
		return nil, start, stalled(ctx, err)
	}
	return w, start, w.Close()
}
