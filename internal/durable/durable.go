// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package durable writes small files so that a crash or a power cut leaves the
// old bytes or the new ones, and makes names in a folder durable.
package durable

import (
	"errors"
	"os"
	"path/filepath"
)

// WriteFile replaces the file at path by data, with mode 0600: when it returns
// nil the new bytes are durable under that name, and until then the old ones
// are. It uses path with ".tmp" appended; one that a crash left is overwritten.
// Two calls for one path must not overlap.
func WriteFile(path string, data []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}
