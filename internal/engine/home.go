// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"strconv"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/hawserdb/hawser/internal/halt"
)

// Home is a directory that holds one store at a time and can put another in
// its place, at once and durably.
//
//	<dir>/current   names the store in use: "hawser-state 1 <n> ready <crc>"
//	<dir>/<n>/      the stores; all but the one named are leftovers
//
// While the first store is being made, current says "new" instead of "ready":
// a missing pointer beside stores, or a pointer to a missing store, is damage
// and never mistaken for a new directory.
type Home struct {
	fs   vfs.FS
	dir  string
	opts Options
	n    uint64
	// staged is store n+1 while it waits for Switch, else nil.
	staged *DB
}

const (
	pointerName = "current"
	pointerTmp  = "current.tmp"
	pointerForm = "hawser-state 1 %d %s %08x\n"
	pointerMax  = 128

	statusNew, statusReady = "new", "ready"
)

// OpenHome opens the store of dir, making both if there is neither, and
// removes leftovers. Errors are *halt.Error values.
func OpenHome(dir string, opts Options) (*Home, *DB, error) {
	h := &Home{fs: opts.FS, dir: dir, opts: opts}
	if h.fs == nil {
		h.fs = vfs.Default
	}
	h.opts.ErrorIfMissing = true
	db, err := h.open()
	if err != nil {
		return nil, nil, halt.Wrap(halt.Directory, dir, err)
	}
	return h, db, nil
}

func (h *Home) open() (*DB, error) {
	if err := h.makeDir(h.dir); err != nil {
		return nil, err
	}
	stores, err := h.stores()
	if err != nil {
		return nil, err
	}
	n, status, err := h.readPointer()
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(stores) == 0:
		n, status = 1, statusNew
	case errors.Is(err, fs.ErrNotExist):
		return nil, h.damaged(pointerName, fmt.Errorf("it is missing, but there are stores %v", stores))
	case err != nil:
		return nil, err
	}
	h.n = n
	for _, m := range stores {
		if m != n || status == statusNew {
			if err := h.fs.RemoveAll(h.path(m)); err != nil {
				return nil, err
			}
		}
	}
	if status == statusNew {
		return h.create()
	}
	return Open(h.path(n), h.opts)
}

// create makes the first store.
func (h *Home) create() (*DB, error) {
	if err := h.writePointer(h.n, statusNew); err != nil {
		return nil, err
	}
	opts := h.opts
	opts.ErrorIfMissing, opts.ErrorIfExists = false, true
	db, err := Open(h.path(h.n), opts)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(db.Flush(), h.syncDir(h.dir), h.writePointer(h.n, statusReady)); err != nil {
		return nil, errors.Join(err, db.Discard())
	}
	return db, nil
}

// Stage moves the store in src, which is closed and on the same file system,
// to the place of the next one and opens it. After Switch it is the one in
// use; until then a crash leaves the present one, and a failure of the staged
// one is told to its callers only, not to Options.OnFatal.
func (h *Home) Stage(src string) (*DB, error) {
	next := h.path(h.n + 1)
	if err := h.fs.RemoveAll(next); err != nil { // of a Stage that failed
		return nil, err
	}
	if err := h.syncTree(src); err != nil {
		return nil, err
	}
	if err := h.fs.Rename(src, next); err != nil {
		return nil, err
	}
	if err := h.syncDir(h.dir); err != nil {
		return nil, err
	}
	opts := h.opts
	opts.OnFatal = nil
	db, err := Open(next, opts)
	if err != nil {
		return nil, errors.Join(err, h.fs.RemoveAll(next))
	}
	h.staged = db
	return db, nil
}

// Switch durably makes the staged store the one in use. The one before stays
// where it is until [Home.Remove] or the next OpenHome.
func (h *Home) Switch() error {
	if h.staged == nil {
		return errors.New("nothing is staged")
	}
	if err := h.writePointer(h.n+1, statusReady); err != nil {
		return err
	}
	h.n++
	h.staged.tell(h.opts.OnFatal)
	h.staged = nil
	return nil
}

// Unstage forgets the staged store, which is closed, and removes it.
func (h *Home) Unstage() error {
	h.staged = nil
	return h.fs.RemoveAll(h.path(h.n + 1))
}

// Remove removes a store that is closed and not in use any more.
func (h *Home) Remove(dir string) error {
	if dir == h.path(h.n) {
		return fmt.Errorf("store %s is in use", dir)
	}
	return h.fs.RemoveAll(dir)
}

// makeDir makes dir and what is missing above it, durably.
func (h *Home) makeDir(dir string) error {
	parent := h.fs.PathDir(dir)
	if parent != dir {
		if _, err := h.fs.Stat(parent); errors.Is(err, fs.ErrNotExist) {
			if err := h.makeDir(parent); err != nil {
				return err
			}
		}
	}
	if err := h.fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return h.syncDir(parent)
}

func (h *Home) path(n uint64) string {
	return h.fs.PathJoin(h.dir, strconv.FormatUint(n, 10))
}

// stores lists the numbers of the stores in dir.
func (h *Home) stores() ([]uint64, error) {
	names, err := h.fs.List(h.dir)
	if err != nil {
		return nil, err
	}
	var found []uint64
	for _, name := range names {
		if n, err := strconv.ParseUint(name, 10, 64); err == nil && n > 0 && strconv.FormatUint(n, 10) == name {
			found = append(found, n)
		}
	}
	return found, nil
}

func (h *Home) readPointer() (n uint64, status string, err error) {
	f, err := h.fs.Open(h.fs.PathJoin(h.dir, pointerName))
	if err != nil {
		return 0, "", err
	}
	b, err := io.ReadAll(io.LimitReader(f, pointerMax+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return 0, "", err
	}
	n, status, err = parsePointer(b)
	if err != nil {
		return 0, "", h.damaged(pointerName, err)
	}
	return n, status, nil
}

func (h *Home) writePointer(n uint64, status string) error {
	tmp := h.fs.PathJoin(h.dir, pointerTmp)
	f, err := h.fs.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(formatPointer(n, status))
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := h.fs.Rename(tmp, h.fs.PathJoin(h.dir, pointerName)); err != nil {
		return err
	}
	return h.syncDir(h.dir)
}

func formatPointer(n uint64, status string) []byte {
	sum := crc32.Checksum(fmt.Appendf(nil, "%d %s", n, status), crc32.MakeTable(crc32.Castagnoli))
	return fmt.Appendf(nil, pointerForm, n, status, sum)
}

func parsePointer(b []byte) (n uint64, status string, err error) {
	var sum uint32
	if _, err := fmt.Sscanf(string(b), pointerForm, &n, &status, &sum); err != nil {
		return 0, "", fmt.Errorf("it is not a pointer: %w", err)
	}
	if string(formatPointer(n, status)) != string(b) || n == 0 || status != statusNew && status != statusReady {
		return 0, "", errors.New("its checksum does not match")
	}
	return n, status, nil
}

// syncTree syncs the files of a store and its directory.
func (h *Home) syncTree(dir string) error {
	names, err := h.fs.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		path := h.fs.PathJoin(dir, name)
		info, err := h.fs.Stat(path)
		if err != nil {
			return err
		}
		if info.IsDir() {
			continue // a store has none
		}
		f, err := h.fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return h.syncDir(dir)
}

func (h *Home) syncDir(dir string) error {
	d, err := h.fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (h *Home) damaged(name string, err error) error {
	return &halt.Error{Reason: halt.Damaged, Where: h.fs.PathJoin(h.dir, name), Err: err}
}
