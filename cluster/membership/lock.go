// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hawserdb/hawser/internal/halt"
)

const lockFileName = "lock"

var errLocked = errors.New("in use")

// lockDirectory takes the directory's lock, which the process holds until the
// returned file is closed, however it ends. The file holds the process id, for
// the message that somebody else gets.
func lockDirectory(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockFileName)
	refuse := func(err error, hint string) error {
		return &halt.Error{Reason: halt.Directory, Where: path, Err: err, Hint: hint}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, refuse(err, "")
	}
	if err := lockFile(f); errors.Is(err, errLocked) {
		holder := "another process"
		if pid := lockHolder(f); pid > 0 {
			holder = fmt.Sprintf("process %d", pid)
		}
		_ = f.Close()
		return nil, refuse(fmt.Errorf("the data directory is in use by %s", holder),
			fmt.Sprintf("stop %s, or name another --data-dir", holder))
	} else if err != nil {
		_ = f.Close()
		return nil, refuse(err, "")
	}
	if err := writeHolder(f); err != nil {
		_ = f.Close()
		return nil, refuse(err, "")
	}
	return f, nil
}

func lockHolder(f *os.File) int {
	data, err := io.ReadAll(io.LimitReader(io.NewSectionReader(f, 0, 32), 32))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0
	}
	return pid
}

func writeHolder(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return err
}
