// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/snapshot"
)

const (
	flagPrefix        = "prefix"
	flagAllNamespaces = "all-namespaces"
	flagForce         = "force"
	flagDryRun        = "dry-run"
	flagAgent         = "agent"
	flagAs            = "as"
	flagAll           = "all"
	flagDir           = "dir"
)

// patience is how long a stream may stand still, unless --timeout says more or
// less.
const patience = time.Minute

func (p *program) snapshot() *cli.Command {
	return group("snapshot", "write histories to an archive file, look into it, restore from it",
		p.snapshotSave(), p.snapshotInspect(), p.snapshotVerify(), p.snapshotExtract(), p.snapshotDiff(), p.snapshotRestore())
}

// openArchive opens an archive, which the returned function closes.
func openArchive(path string) (*snapshot.Archive, func(), error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	a, err := snapshot.Open(f, info.Size())
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return a, func() { _ = f.Close() }, nil
}

// withArchive calls f with the archive that is the first argument.
func withArchive(c *cli.Context, f func(*snapshot.Archive) error) error {
	a, closeFile, err := openArchive(c.Args().First())
	if err != nil {
		return err
	}
	defer closeFile()
	if err := f(a); err != nil {
		return inFile(c.Args().First(), err)
	}
	return nil
}

// inFile names the archive in an error that is about its bytes.
func inFile(path string, err error) error {
	if hawser.CodeOf(err) == hawser.CodeCorrupt {
		return fmt.Errorf("%s: %w", path, err)
	}
	return err
}

// agentCount says how many agents an archive has, the same way everywhere:
// those with versions, and those that were deleted before it was made.
func agentCount(live, deleted uint64) string {
	if deleted == 0 {
		return plural(live, "agent")
	}
	return fmt.Sprintf("%s (and %d deleted)", plural(live, "agent"), deleted)
}

// selection returns the namespace and the prefix that a command line names:
// none without a prefix, unless --namespace is there.
func selection(c *cli.Context, prefix string) (string, string, error) {
	namespace := c.String(flagNamespace)
	if prefix == "" && !c.IsSet(flagNamespace) {
		return "", "", nil
	}
	if err := hawser.CheckNamespace(namespace); err != nil {
		return "", "", err
	}
	prefix, err := hawser.NewPrefix(prefix)
	return namespace, prefix, err
}

// stallTimeout is how long a stream may stand still.
func stallTimeout(c *cli.Context) time.Duration {
	if c.IsSet(flagTimeout) {
		return c.Duration(flagTimeout)
	}
	return patience
}
