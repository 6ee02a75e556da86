// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package faultfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// sector is what a disk writes whole or not at all.
const sector = 512

// change is one that a file has gone through since it was synced: a write, or a
// new length.
type change struct {
	at       int64
	old, new []byte
	// oldSize and newSize are the length of the file before and after.
	oldSize, newSize int64
	number           uint64
}

// entry is a change of a directory since it was synced.
type entry struct {
	kind entryKind
	name string
	// to is where it was renamed to, in the directory toDir.
	to    string
	toDir uint64
	// kept is where what was removed or replaced lies, "" for nothing.
	kept   string
	number uint64
}

type entryKind uint8

const (
	made entryKind = iota
	removed
	renamed
)

// volatile is what a power failure may undo. Inodes are those of the files behind
// the mount.
type volatile struct {
	root string // behind the mount
	lost string // where what was removed lies until its directory is synced

	files   map[uint64][]change
	entries map[uint64][]entry
	// last is the number of the newest change.
	last uint64
}

func newVolatile(root, lost string) *volatile {
	return &volatile{root: root, lost: lost, files: map[uint64][]change{}, entries: map[uint64][]entry{}}
}

// writes notes that data is about to be written to f.
func (v *volatile) writes(f io.ReaderAt, inode uint64, size int64, data []byte, at int64) {
	c := change{at: at, new: slices.Clone(data), oldSize: size, newSize: max(size, at+int64(len(data)))}
	if at < size {
		c.old = make([]byte, min(int64(len(data)), size-at))
		n, _ := f.ReadAt(c.old, at) // what cannot be read cannot be put back either
		c.old = c.old[:n]
	}
	v.changes(inode, c)
}

func (v *volatile) changes(inode uint64, c change) {
	v.last++
	c.number = v.last
	v.files[inode] = append(v.files[inode], c)
}

func (v *volatile) enters(inode uint64, e entry) {
	v.last++
	e.number = v.last
	v.entries[inode] = append(v.entries[inode], e)
}

// resizes notes that a file is about to get another length.
func (v *volatile) resizes(f io.ReaderAt, inode uint64, from, to int64) {
	c := change{at: min(from, to), oldSize: from, newSize: to}
	if to < from {
		c.old = make([]byte, from-to)
		n, _ := f.ReadAt(c.old, to)
		c.old = c.old[:n]
	}
	v.changes(inode, c)
}

// keep moves a file that is about to be removed aside, and returns where to.
func (v *volatile) keep(path string) (string, error) {
	v.last++
	aside := filepath.Join(v.lost, strconv.FormatUint(v.last, 10))
	return aside, os.Rename(path, aside)
}

// synced notes that the changes of a file up to a number are safe.
func (v *volatile) synced(inode, upTo uint64) {
	if v.files[inode] = slices.DeleteFunc(v.files[inode], func(c change) bool { return c.number <= upTo }); len(v.files[inode]) == 0 {
		delete(v.files, inode)
	}
}

// syncedDir notes that those of a directory are.
func (v *volatile) syncedDir(inode, upTo uint64) {
	v.entries[inode] = slices.DeleteFunc(v.entries[inode], func(e entry) bool {
		if e.number <= upTo && e.kept != "" {
			v.forget(e.kept)
			_ = os.RemoveAll(e.kept) // it is aside, where nobody finds it
		}
		return e.number <= upTo
	})
	if len(v.entries[inode]) == 0 {
		delete(v.entries, inode)
	}
}

// forget drops the changes of what is about to be removed for good: its inodes are given
// to other files.
func (v *volatile) forget(kept string) {
	_ = filepath.WalkDir(kept, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // then it has no inode
		}
		if inode, err := inodeOf(path); err == nil {
			delete(v.files, inode)
			delete(v.entries, inode)
		}
		return nil
	})
}

// lose undoes what a power failure undoes. How much of it is rng's to say: all,
// none, or by sectors and entries. It returns how many changes were undone.
func (v *volatile) lose(rng *rand.Rand) (undone int, err error) {
	paths := map[uint64]string{}
	err = filepath.WalkDir(v.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inode, err := inodeOf(path)
		paths[inode] = path
		return err
	})
	if err != nil {
		return 0, err
	}
	keep := []float64{0, 0.5, 0.9, 1}[rng.IntN(4)]
	for _, inode := range sorted(v.files) {
		path, ok := paths[inode]
		if !ok {
			continue // it was removed
		}
		n, err := undoFile(path, v.files[inode], keep, rng)
		if undone += n; err != nil {
			return undone, fmt.Errorf("undo the changes of %s: %w", path, err)
		}
	}
	var errs []error
	for _, inode := range sorted(v.entries) {
		list := v.entries[inode]
		kept := 0 // a directory's changes are lost from the newest on
		for kept < len(list) && rng.Float64() < keep {
			kept++
		}
		for _, e := range slices.Backward(list[kept:]) {
			undone++
			errs = append(errs, v.undoEntry(paths, inode, e))
		}
	}
	v.files, v.entries = map[uint64][]change{}, map[uint64][]entry{}
	return undone, errors.Join(errs...)
}

func sorted[T any](m map[uint64]T) []uint64 {
	var keys []uint64
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// undoFile takes all changes back, and makes those sectors of them again that
// were written before the power failed.
func undoFile(path string, changes []change, keep float64, rng *rand.Rand) (undone int, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for _, c := range slices.Backward(changes) {
		if _, err := f.WriteAt(c.old, c.at); err != nil {
			return undone, err
		}
		if err := f.Truncate(c.oldSize); err != nil {
			return undone, err
		}
	}
	for _, c := range changes {
		if c.new == nil { // a new length is kept or lost whole
			if rng.Float64() >= keep {
				undone++
			} else if err := f.Truncate(c.newSize); err != nil {
				return undone, err
			}
			continue
		}
		for begin := 0; begin < len(c.new); {
			end := min(len(c.new), begin+sector-int((c.at+int64(begin))%sector))
			if rng.Float64() >= keep {
				undone++
			} else if _, err := f.WriteAt(c.new[begin:end], c.at+int64(begin)); err != nil {
				return undone, err
			}
			begin = end
		}
	}
	return undone, nil
}

func (v *volatile) undoEntry(paths map[uint64]string, inode uint64, e entry) error {
	dir, ok := paths[inode]
	if !ok {
		return nil // the directory is gone
	}
	path := filepath.Join(dir, e.name)
	switch e.kind {
	case made:
		return os.RemoveAll(path)
	case removed:
		return os.Rename(e.kept, path)
	case renamed:
		toDir, ok := paths[e.toDir]
		if !ok {
			return nil // it went with its new directory
		}
		target := filepath.Join(toDir, e.to)
		if err := os.Rename(target, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if e.kept != "" {
			return os.Rename(e.kept, target)
		}
	}
	return nil
}

func inodeOf(path string) (uint64, error) {
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		return 0, &os.PathError{Op: "lstat", Path: path, Err: err}
	}
	return st.Ino, nil
}
