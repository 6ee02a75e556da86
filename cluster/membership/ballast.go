// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	ballastName         = "ballast"
	defaultBallastBytes = 64 << 20
	// ballastRoom is how many times its size must be free before the ballast
	// is made again, so that it does not come and go.
	ballastRoom = 4
)

// EnsureBallast keeps the ballast file: space that is set aside so that a node
// on a full disk can still truncate its log and free more. Where less than its
// size is free the ballast is given up; where there is room, four times its
// size, it is made. Call it at the start and now and then. It returns whether
// the ballast is there; a ballast that cannot be made for lack of space is no
// error.
func (d *Directory) EnsureBallast() (bool, error) {
	if d.ballastBytes < 0 {
		return false, d.ReleaseBallast()
	}
	free, _, err := d.free(d.path)
	if err != nil {
		return false, err
	}
	size := uint64(d.ballastBytes)
	info, err := os.Stat(d.ballastPath())
	switch {
	case err == nil && free < size:
		return false, d.ReleaseBallast()
	case err == nil && info.Size() == d.ballastBytes:
		return true, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return false, err
	case free < ballastRoom*size:
		return false, nil
	}
	return d.makeBallast()
}

// ReleaseBallast gives the ballast's space back. It is no error if there is none.
func (d *Directory) ReleaseBallast() error {
	for _, path := range []string{d.ballastPath() + ".tmp", d.ballastPath()} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (d *Directory) ballastPath() string { return filepath.Join(d.path, ballastName) }

// makeBallast writes real bytes: a hole would set nothing aside.
func (d *Directory) makeBallast() (bool, error) {
	tmp := d.ballastPath() + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return false, err
	}
	err = fill(f, d.ballastBytes)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(tmp, d.ballastPath())
	}
	if err == nil {
		return true, nil
	}
	err = errors.Join(err, os.Remove(tmp))
	if free, _, freeErr := d.free(d.path); freeErr == nil && free < ballastRoom*uint64(d.ballastBytes) {
		return false, nil // somebody else took the space meanwhile
	}
	return false, err
}

func fill(f *os.File, size int64) error {
	if err := preallocate(f, size); err == nil {
		return f.Sync()
	}
	chunk := make([]byte, 1<<20)
	for left := size; left > 0; {
		n, err := f.Write(chunk[:min(left, int64(len(chunk)))])
		if err != nil {
			return err
		}
		left -= int64(n)
	}
	return f.Sync()
}
