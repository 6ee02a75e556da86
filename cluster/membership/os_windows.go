// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

//go:build windows

package membership

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockFile takes the lock on f or returns errLocked at once. The range lies
// beyond the process id in the file, so that others can read it.
func lockFile(f *os.File) error {
	at := windows.Overlapped{Offset: 1 << 30}
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return errLocked
	}
	return err
}

// FreeSpace returns how many bytes the user may still write to the file system
// that holds path, and how large that is.
func FreeSpace(path string) (free, total uint64, err error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, 0, &os.PathError{Op: "free space", Path: path, Err: err}
	}
	var all uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, &total, &all); err != nil {
		return 0, 0, &os.PathError{Op: "free space", Path: path, Err: err}
	}
	return free, total, nil
}
