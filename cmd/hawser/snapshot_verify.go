// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/snapshot"
)

func (p *program) snapshotVerify() *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "rebuild every version in an archive and compare its SHA-256", ArgsUsage: "FILE",
		Description: `Needs no server. Checks the hash over the whole file, the checksum of each
frame, the table against the contents, and every version of every agent. Names
the first damaged frame by its offset and agent, and every version that cannot be
restored; the others can be (see "hawser snapshot extract"). Exit code 1 when
anything is wrong.

Examples:
   hawser snapshot verify backup.hawser
   hawser snapshot verify backup.hawser -o json`,
		Action: func(c *cli.Context) error {
			return withArchive(c, func(a *snapshot.Archive) error {
				report, err := p.verifyArchive(c.Context, a)
				if err != nil {
					return err
				}
				if wantsJSON(c) {
					err = p.writeJSON(viewReport(c.Args().First(), a, report))
				} else {
					err = p.printReport(a, report)
				}
				if err != nil {
					return err
				}
				if err := report.Err(); err != nil {
					return hint(err, "%s", wayOut)
				}
				return nil
			})
		},
	}
}

// wayOut says what can be done with an archive of which some is bad.
const wayOut = "a restore of everything refuses this archive, but all that is not listed can be restored, agent by agent:\n" +
	"\"hawser snapshot restore FILE --" + flagAgent + " NAME\" (--" + flagVersion + " N for an older version), or --" + flagPrefix + "; " +
	"while the cluster is there, save again:\n" +
	"it marks versions that were saved wrong as bad within minutes, and an archive made after that is restored whole"

// verifyArchive verifies with a progress bar.
func (p *program) verifyArchive(ctx context.Context, a *snapshot.Archive) (*snapshot.Report, error) {
	bar := p.progress("verifying")
	defer bar.clear()
	return a.Verify(ctx, func(done, total int64) { bar.show(done, total, "") })
}

func (p *program) printReport(a *snapshot.Archive, r *snapshot.Report) error {
	if len(r.Bad) > 0 {
		t := newTable("AGENT", "VERSION", "REASON")
		for _, b := range r.Bad {
			t.add(agentText(b.Agent), optional(b.Number), b.Err.Error())
		}
		if err := t.write(p.stdout); err != nil {
			return err
		}
		if len(r.Bad) == snapshot.MaxBad {
			say(p.stderr, "hawser: these are the first %d\n", snapshot.MaxBad)
		}
	}
	if !r.OK() {
		return nil
	}
	known := ""
	if r.KnownBad > 0 {
		known = fmt.Sprintf(" (%s had been marked as bad in the cluster before)", plural(r.KnownBad, "version"))
	}
	_, err := fmt.Fprintf(p.stdout, "verified %s with %s, %d bytes of content: all good%s, sha256 %s\n",
		agentCount(r.Agents, r.Deleted), plural(r.Versions, "version"), r.Bytes, known, a.SHA256())
	return err
}

// reportView is a verification as JSON.
type reportView struct {
	File        string      `json:"file"`
	OK          bool        `json:"ok"`
	SHA256      string      `json:"sha256"`
	SHA256OK    bool        `json:"sha256_ok"`
	Agents      uint64      `json:"agents"`
	Deleted     uint64      `json:"deleted"`
	Versions    uint64      `json:"versions"`
	Bytes       int64       `json:"bytes"`
	KnownBad    uint64      `json:"known_bad"`
	Faults      uint64      `json:"faults"`
	BadVersions uint64      `json:"bad_versions"`
	First       *damageView `json:"first"`
	Bad         []badView   `json:"bad"`
}

type damageView struct {
	Offset int64  `json:"offset"`
	Agent  string `json:"agent"`
	Reason string `json:"reason"`
}

type badView struct {
	Agent   string `json:"agent"`
	Version uint64 `json:"version"`
	Reason  string `json:"reason"`
}

func viewReport(path string, a *snapshot.Archive, r *snapshot.Report) reportView {
	view := reportView{
		File: path, OK: r.OK(), SHA256: a.SHA256().String(), SHA256OK: r.SHA256, Agents: r.Agents, Deleted: r.Deleted, Versions: r.Versions,
		Bytes: r.Bytes, KnownBad: r.KnownBad, Faults: r.Faults, BadVersions: r.BadVersions, Bad: []badView{},
	}
	if r.First != nil {
		view.First = &damageView{r.First.Offset, agentText(r.First.Agent), r.First.Err.Error()}
	}
	for _, b := range r.Bad {
		view.Bad = append(view.Bad, badView{agentText(b.Agent), b.Number, b.Err.Error()})
	}
	return view
}

// agentText is an agent's full name, "" for none.
func agentText(id hawser.AgentID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}
