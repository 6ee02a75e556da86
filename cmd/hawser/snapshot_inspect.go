// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"fmt"
	"iter"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser/snapshot"
)

func (p *program) snapshotInspect() *cli.Command {
	return &cli.Command{
		Name: "inspect", Usage: "show what an archive holds, without a server", ArgsUsage: "FILE [PREFIX]",
		Description: `Reads the header, the totals and the table of contents, never the contents
themselves; with a prefix only the parts of the table that it concerns. Without a
prefix it lists the agents of all namespaces, or of --namespace if that is given.
The ratio is content bytes by bytes in the file. What it prints is what the
archive says of itself; "hawser snapshot verify" compares it with the bytes.

Examples:
   hawser snapshot inspect backup.hawser
   hawser snapshot inspect backup.hawser crew --limit 0
   hawser snapshot inspect backup.hawser --namespace research -o json`,
		Flags: []cli.Flag{limitFlag()},
		Action: func(c *cli.Context) error {
			limit, err := limitOf(c)
			if err != nil {
				return err
			}
			namespace, prefix, err := selection(c, c.Args().Get(1))
			if err != nil {
				return err
			}
			return withArchive(c, func(a *snapshot.Archive) error {
				entries := cut(limit, present(a.Agents(namespace, prefix)), p)
				if wantsJSON(c) {
					return p.inspectJSON(c.Args().First(), a, entries)
				}
				return p.inspectTable(a, entries)
			})
		},
	}
}

// present leaves deleted agents out; the totals count them.
func present(entries iter.Seq2[snapshot.Entry, error]) iter.Seq2[snapshot.Entry, error] {
	return func(yield func(snapshot.Entry, error) bool) {
		for e, err := range entries {
			if (err != nil || e.Live != 0) && !yield(e, err) {
				return
			}
		}
	}
}

// cut ends a sequence after limit items, 0 for never, and says so on stderr.
func cut[T any](limit int, items iter.Seq2[T, error], p *program) iter.Seq2[T, error] {
	if limit == 0 {
		return items
	}
	return func(yield func(T, error) bool) {
		n := 0
		for item, err := range items {
			if n == limit && err == nil {
				say(p.stderr, "hawser: there are more; these are the first %d (--%s 0 lists all)\n", limit, flagLimit)
				return
			}
			if n++; !yield(item, err) {
				return
			}
		}
	}
}

// archiveView is an archive as JSON. Keys are stable: add, never rename.
type archiveView struct {
	File       string     `json:"file"`
	Format     int        `json:"format"`
	Size       int64      `json:"size"`
	SHA256     string     `json:"sha256"`
	ClusterID  string     `json:"cluster_id"`
	Generation uint64     `json:"generation"`
	Revision   uint64     `json:"revision"`
	CreatedAt  string     `json:"created_at"`
	Namespace  string     `json:"namespace"`
	Prefix     string     `json:"prefix"`
	Totals     totalsView `json:"totals"`
}

type totalsView struct {
	Agents       uint64  `json:"agents"`
	Deleted      uint64  `json:"deleted"`
	Versions     uint64  `json:"versions"`
	BadVersions  uint64  `json:"bad_versions"`
	ContentBytes int64   `json:"content_bytes"`
	StoredBytes  int64   `json:"stored_bytes"`
	Ratio        float64 `json:"ratio"`
	Oldest       string  `json:"oldest"`
	Newest       string  `json:"newest"`
	Segments     uint64  `json:"segments"`
	Contents     uint64  `json:"contents"`
	Policies     uint64  `json:"policies"`
	Floors       uint64  `json:"floors"`
	Transactions uint64  `json:"transactions"`
	Locks        uint64  `json:"locks"`
	Leases       uint64  `json:"leases"`
}

// entryView is an agent of an archive as JSON.
type entryView struct {
	Namespace    string  `json:"namespace"`
	Agent        string  `json:"agent"`
	Version      uint64  `json:"version"`
	Versions     uint64  `json:"versions"`
	ContentBytes int64   `json:"content_bytes"`
	StoredBytes  int64   `json:"stored_bytes"`
	Ratio        float64 `json:"ratio"`
	Oldest       string  `json:"oldest"`
	Newest       string  `json:"newest"`
	Offset       int64   `json:"offset"`
}

func viewArchive(path string, a *snapshot.Archive) archiveView {
	h, s, sha := a.Header(), a.Summary(), a.SHA256()
	return archiveView{
		File: path, Format: snapshot.Format, Size: a.Size(), SHA256: sha.String(),
		ClusterID: hex.EncodeToString(h.ClusterID[:]), Generation: uint64(h.Generation), Revision: uint64(h.Revision),
		CreatedAt: timestamp(h.CreatedAt), Namespace: h.Namespace, Prefix: h.Prefix,
		Totals: totalsView{
			Agents: s.Agents, Deleted: s.Deleted, Versions: s.Versions, BadVersions: s.BadVersions,
			ContentBytes: s.ContentBytes, StoredBytes: s.StoredBytes, Ratio: ratio(s.ContentBytes, s.StoredBytes),
			Oldest: timestamp(s.Oldest), Newest: timestamp(s.Newest), Segments: s.Segments, Contents: s.Contents,
			Policies: s.Policies, Floors: s.Floors, Transactions: s.Transactions, Locks: s.Locks, Leases: s.Leases,
		},
	}
}

func viewEntry(e snapshot.Entry) entryView {
	return entryView{
		Namespace: e.ID.Namespace, Agent: e.ID.Name, Version: e.Live, Versions: e.Versions,
		ContentBytes: e.ContentBytes, StoredBytes: e.StoredBytes(), Ratio: ratio(e.ContentBytes, e.StoredBytes()),
		Oldest: timestamp(e.Oldest), Newest: timestamp(e.Newest), Offset: e.Offset(),
	}
}

// ratio returns content by stored, to two digits; 0 when nothing is stored.
func ratio(content, stored int64) float64 {
	if stored == 0 {
		return 0
	}
	return float64(content*100/stored) / 100
}

// inspectJSON writes one object whose last member, "agents", is written as the
// table is read.
func (p *program) inspectJSON(path string, a *snapshot.Archive, entries iter.Seq2[snapshot.Entry, error]) error {
	return p.streamJSON(viewArchive(path, a), "agents", func(yield func(any, error) bool) {
		for e, err := range entries {
			if !yield(viewEntry(e), err) {
				return
			}
		}
	})
}

func (p *program) inspectTable(a *snapshot.Archive, entries iter.Seq2[snapshot.Entry, error]) error {
	h, s := a.Header(), a.Summary()
	whole := "all namespaces"
	if !h.Whole() {
		whole = h.Namespace + "/" + h.Prefix
	}
	err := fields(p.stdout,
		"archive of", whole, "cluster", hex.EncodeToString(h.ClusterID[:]), "generation", number(uint64(h.Generation)), "revision", number(uint64(h.Revision)),
		"created at", timestamp(h.CreatedAt), "size", strconv.FormatInt(a.Size(), 10), "sha256", a.SHA256().String(),
		"agents", number(s.Agents), "deleted agents", optional(s.Deleted), "versions", number(s.Versions), "bad versions", optional(s.BadVersions),
		"content bytes", strconv.FormatInt(s.ContentBytes, 10), "stored bytes", strconv.FormatInt(s.StoredBytes, 10), "ratio", ratioText(s.ContentBytes, s.StoredBytes),
		"oldest", clock(s.Oldest), "newest", clock(s.Newest), "policies", optional(s.Policies),
		"transactions", number(s.Transactions), "locks", number(s.Locks), "leases", number(s.Leases))
	if err != nil {
		return err
	}
	rows := newRows("AGENT", "VERSION", "VERSIONS", "CONTENT", "STORED", "RATIO", "OLDEST", "NEWEST")
	for e, err := range entries {
		if err != nil {
			return err
		}
		if rows.empty() {
			if _, err := fmt.Fprintln(p.stdout); err != nil {
				return err
			}
		}
		if err := rows.add(p.stdout, e.ID.String(), number(e.Live), number(e.Versions), strconv.FormatInt(e.ContentBytes, 10),
			strconv.FormatInt(e.StoredBytes(), 10), ratioText(e.ContentBytes, e.StoredBytes()), clock(e.Oldest), clock(e.Newest)); err != nil {
			return err
		}
	}
	return rows.flush(p.stdout)
}

func ratioText(content, stored int64) string {
	return strconv.FormatFloat(ratio(content, stored), 'f', 1, 64)
}
