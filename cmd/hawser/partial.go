// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hawserdb/hawser/internal/durable"
)

// partial is a file that gets its name only when it is complete and durable.
// Until then it is NAME.partial- and some digits, in the same folder.
type partial struct {
	*os.File
	path    string
	replace bool
}

// createPartial begins a file, readable by its owner alone. Unless replace is
// set, the name must be free.
func createPartial(path string, replace bool) (*partial, error) {
	f := &partial{path: path, replace: replace}
	if err := f.check(); err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".partial-*")
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	f.File = file
	return f, nil
}

// check refuses a name that may not be taken.
func (f *partial) check() error {
	info, err := os.Lstat(f.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("write %s: %w", f.path, err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("write %s: it is there and not a regular file", f.path)
	case !f.replace:
		return hint(fmt.Errorf("write %s: %w", f.path, os.ErrExist), "--%s replaces it", flagForce)
	}
	return nil
}

// commit makes the file durable and gives it its name.
func (f *partial) commit() error {
	err := f.Sync()
	if err = errors.Join(err, f.Close()); err == nil {
		err = f.check() // somebody else may have made one meanwhile
	}
	if err == nil {
		err = os.Rename(f.Name(), f.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", f.path, err), os.Remove(f.Name()))
	}
	return durable.SyncDir(filepath.Dir(f.path))
}

// discard removes what was written.
func (f *partial) discard() error { return errors.Join(f.Close(), os.Remove(f.Name())) }
