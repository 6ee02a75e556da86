// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/hawserdb/hawser/internal/halt"
)

// guardedFS fails the engine when a directory cannot be synced, and lets the
// goroutine go no further: the store panics there, on a goroutine of its own,
// where nobody could turn the panic into a reason to halt.
type guardedFS struct {
	vfs.FS
	d *DB
}

// Unwrap returns the file system below.
func (g *guardedFS) Unwrap() vfs.FS { return g.FS }

// OpenDir opens a directory for syncing.
func (g *guardedFS) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &guardedDir{File: f, d: g.d, name: name}, nil
}

type guardedDir struct {
	vfs.File
	d    *DB
	name string
}

// Sync syncs the directory, or does not return.
func (g *guardedDir) Sync() error {
	if err := g.File.Sync(); err != nil {
		_ = g.d.fail(&halt.Error{Reason: halt.Engine, Where: g.name, Err: fmt.Errorf("sync directory: %w", err)})
		select {}
	}
	return nil
}
