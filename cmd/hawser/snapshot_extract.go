// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/durable"
	"github.com/hawserdb/hawser/snapshot"
)

func (p *program) snapshotExtract() *cli.Command {
	return &cli.Command{
		Name: "extract", Usage: "write versions of an agent to files, without a server", ArgsUsage: "FILE AGENT",
		Description: `Writes the newest version, one by its number, or all of them, each only after its
SHA-256 was compared. In a folder a version's file is called AGENT@NUMBER; what
is not a letter, a digit, - or _ in the agent's name stands there as % and two
hex digits. Files that are there are not replaced without --force. Of a damaged
archive it writes what can be rebuilt.

Examples:
   hawser snapshot extract backup.hawser researcher-7 -f state.json
   hawser snapshot extract backup.hawser researcher-7 --version 12 -f -
   hawser snapshot extract backup.hawser crew/planner --all -d states`,
		Flags: []cli.Flag{
			&cli.Uint64Flag{Name: flagVersion, Usage: "the version with number `N`", DefaultText: "the newest"},
			&cli.BoolFlag{Name: flagAll, Usage: "all versions"},
			&cli.StringFlag{Name: flagDir, Aliases: []string{"d"}, Usage: "write files into the folder `DIR`, which is made if it is missing"},
			&cli.StringFlag{Name: flagFile, Aliases: []string{"f"}, Usage: "write one version to `FILE`; - is stdout"},
			&cli.BoolFlag{Name: flagForce, Usage: "replace files that are there"},
		},
		Action: func(c *cli.Context) error {
			if (c.String(flagDir) == "") == (c.String(flagFile) == "") {
				return usageErrorf("where to? Give either --%s or --%s", flagDir, flagFile)
			}
			if c.Bool(flagAll) && (c.IsSet(flagVersion) || c.String(flagFile) != "") {
				return usageErrorf("--%s needs --%s, and no --%s", flagAll, flagDir, flagVersion)
			}
			id, err := hawser.NewAgentID(c.String(flagNamespace), c.Args().Get(1))
			if err != nil {
				return err
			}
			return withArchive(c, func(a *snapshot.Archive) error { return p.extract(c, a, id) })
		},
	}
}

// extracted is a file that was written, as JSON.
type extracted struct {
	File    string `json:"file"`
	Version uint64 `json:"version"`
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256"`
}

func (p *program) extract(c *cli.Context, a *snapshot.Archive, id hawser.AgentID) error {
	h, err := p.openHistory(a, id)
	if err != nil {
		return err
	}
	wanted := func(*snapshot.Version) bool { return true }
	if !c.Bool(flagAll) {
		v, state, err := pick(c.Context, h, c.Uint64(flagVersion), "")
		if err != nil {
			return err
		}
		if c.String(flagFile) != "" {
			return p.extractFile(c, v, state)
		}
		wanted = func(other *snapshot.Version) bool { return other.Number == v.Number }
	}
	files, err := extractDir(c, id, h, wanted)
	if len(files) == 0 && err != nil {
		return err
	}
	return errors.Join(p.printExtracted(wantsJSON(c), files), err)
}

// openHistory opens an agent's history. Of a damaged one it says so, and
// returns what is left.
func (p *program) openHistory(a *snapshot.Archive, id hawser.AgentID) (*snapshot.History, error) {
	e, err := a.Agent(id)
	if err != nil {
		return nil, err
	}
	if e.Live == 0 {
		return nil, &hawser.Error{Code: hawser.CodeNotFound, Op: "agent", Key: id.String(), Msg: "it was deleted before the archive was made"}
	}
	h, err := a.History(e)
	if h != nil && err != nil {
		say(p.stderr, "hawser: going on with what is left: %s\n", escapeLines(err.Error()))
		err = nil
	}
	return h, err
}

func (p *program) extractFile(c *cli.Context, v *snapshot.Version, state []byte) error {
	path := c.String(flagFile)
	if path == "-" {
		_, err := p.stdout.Write(state)
		return err
	}
	f, err := createPartial(path, c.Bool(flagForce))
	if err != nil {
		return err
	}
	if _, err := f.Write(state); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), f.discard())
	}
	if err := f.commit(); err != nil {
		return err
	}
	return p.printExtracted(wantsJSON(c), []extracted{{path, v.Number, v.Size, v.SHA256.String()}})
}

// extractDir writes the versions that are wanted into the folder. Those that
// cannot be rebuilt do not keep the others back.
func extractDir(c *cli.Context, id hawser.AgentID, h *snapshot.History, wanted func(*snapshot.Version) bool) ([]extracted, error) {
	dir := c.String(flagDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	var files []extracted
	var failed error
	bad := 0
	for v, err := range h.Versions() {
		if err != nil {
			return files, err
		}
		if !wanted(v) {
			continue
		}
		if err := c.Err(); err != nil {
			return files, err
		}
		state, err := h.Materialise(v)
		if err != nil {
			bad++
			failed = err
			continue
		}
		name := fileName(hawser.VersionRef{Agent: id, Number: v.Number})
		if err := writeInto(root, name, state, c.Bool(flagForce)); err != nil {
			return files, fmt.Errorf("write %s: %w", filepath.Join(dir, name), err)
		}
		files = append(files, extracted{filepath.Join(dir, name), v.Number, v.Size, v.SHA256.String()})
	}
	if bad > 0 {
		return files, fmt.Errorf("%s cannot be rebuilt, such as the last: %w", plural(uint64(bad), "version"), failed)
	}
	return files, durable.SyncDir(dir)
}

// writeInto writes a file of the folder that is complete or not there.
func writeInto(root *os.Root, name string, data []byte, replace bool) (err error) {
	if _, err := root.Lstat(name); err == nil && !replace {
		return hint(os.ErrExist, "--%s replaces it", flagForce)
	}
	tmp := name + ".partial"
	if err := root.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = root.Rename(tmp, name)
	}
	if err != nil {
		return errors.Join(err, root.Remove(tmp))
	}
	return nil
}

func (p *program) printExtracted(asJSON bool, files []extracted) error {
	if asJSON {
		if files == nil {
			files = []extracted{}
		}
		return p.writeJSON(files)
	}
	t := newTable("FILE", "VERSION", "SIZE", "SHA256")
	for _, f := range files {
		t.add(f.File, number(f.Version), strconv.FormatInt(f.Size, 10), f.SHA256[:12])
	}
	return t.write(p.stdout)
}
