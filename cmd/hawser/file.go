// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/mattn/go-isatty"

	"github.com/hawserdb/hawser"
)

// writeFile replaces the file at path by data, atomically: whoever looks sees
// the old content or the whole new one, also after a power cut. Files are
// readable by their owner alone unless the old file said otherwise.
func writeFile(path string, data []byte) (err error) {
	mode := os.FileMode(0o600)
	if info, err := os.Stat(path); err == nil {
		if !info.Mode().IsRegular() {
			return fmt.Errorf("write %s: it is not a regular file", path)
		}
		mode = info.Mode().Perm()
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".tmp-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write %s: %w", path, err), tmp.Close(), os.Remove(tmp.Name()))
		}
	}()
	if _, err := tmp.Write(data); err != nil {
		return err
	}
	if err := errors.Join(tmp.Chmod(mode), tmp.Sync()); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// readState reads what is to be saved.
func (p *program) readState(path string) ([]byte, error) {
	return p.readInput(path, "state", hawser.MaxStateSize)
}

// readInput reads the file, or stdin for "-" and "", of which what is the name. A
// terminal is refused, for a person who forgot the file would wait for ever.
func (p *program) readInput(path, what string, most int) ([]byte, error) {
	in := p.stdin
	if path != "" && path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read the %s: %w", what, err)
		}
		defer func() { _ = f.Close() }()
		in = f
	} else if isTerminal(in) && path != "-" {
		return nil, hint(usageErrorf("the %s is read from stdin, and stdin is a terminal", what),
			"pipe the %s in, name a file with -f FILE, or type it after -f -", what)
	}
	input, err := io.ReadAll(io.LimitReader(in, int64(most)+1))
	if err != nil {
		return nil, fmt.Errorf("read the %s: %w", what, err)
	}
	if len(input) > most {
		return nil, &hawser.Error{
			Code: hawser.CodeTooLarge, Op: "read the " + what, Msg: fmt.Sprintf("it has more than %d bytes, which is the most that is possible", most),
		}
	}
	return input, nil
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}
