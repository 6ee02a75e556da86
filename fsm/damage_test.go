// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/halt"
)

// rewrite changes the bytes of one file.
func rewrite(t *testing.T, fs vfs.FS, path string, change func([]byte) []byte) {
	t.Helper()
	f, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	if err := fs.Remove(path); err != nil {
		t.Fatal(err)
	}
	out, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Write(change(b)); err != nil || out.Close() != nil {
		t.Fatal(err)
	}
}

// damageAll zeroes the middle of every table and manifest in dir.
func damageAll(t *testing.T, fs vfs.FS, dir string) {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".sst") || strings.HasPrefix(name, "MANIFEST") {
			rewrite(t, fs, fs.PathJoin(dir, name), func(b []byte) []byte {
				clear(b[len(b)/4 : len(b)*3/4])
				return b
			})
		}
	}
}

// damages are the ways to damage a file.
func damages(rng *rand.Rand) map[string]func([]byte) []byte {
	flip := func(b []byte) []byte {
		if len(b) > 0 {
			b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		}
		return b
	}
	return map[string]func([]byte) []byte{
		"emptied": func([]byte) []byte { return nil },
		"halved":  func(b []byte) []byte { return b[:len(b)/2] },
		"cut":     func(b []byte) []byte { return b[:max(len(b)-1, 0)] },
		"longer":  func(b []byte) []byte { return append(b, "garbage"...) },
		"flip 1":  flip, "flip 2": flip, "flip 3": flip, "flip 4": flip, "flip 5": flip, "flip 6": flip, "flip 7": flip, "flip 8": flip,
	}
}

// TestMachine_DamagedFiles: with any file of the state directory damaged or
// missing, the machine either says so or shows exactly a state that it had.
func TestMachine_DamagedFiles(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	log := randomLog(t, rng, 200)
	digests := prefixes(t, log)
	disk := vfs.NewMem()
	if err := applyAndFlush(log, smallEngine(disk), new(atomic.Uint64)); err != nil {
		t.Fatal(err)
	}
	said := map[string]int{}
	for _, path := range filesBelow(t, disk, "state") {
		kind := fileKind(path)
		ways := damages(rng)
		ways["missing"] = nil
		for name, change := range ways {
			fs := vfs.NewMem()
			if _, err := vfs.Clone(disk, fs, "state", "state"); err != nil {
				t.Fatal(err)
			}
			if change == nil {
				if err := fs.Remove(path); err != nil {
					t.Fatal(err)
				}
			} else {
				rewrite(t, fs, path, change)
			}
			index, sum, err := inspect(t, fs)
			switch {
			case err == nil && digests[index].state != sum:
				t.Errorf("%s %s: shows a state that never was, at index %d", path, name, index)
			case err != nil && reasonOf(err) == 0 && !errors.Is(err, hawser.ErrCorrupt):
				t.Errorf("%s %s: not a halt error: %v", path, name, err)
			case err != nil && reasonOf(err) == halt.Damaged:
				said[kind]++
			}
		}
	}
	t.Logf("damage noticed, by kind of file: %v", said)
	for _, kind := range []string{"current", "MANIFEST", "OPTIONS", "sst", "marker"} {
		if said[kind] == 0 {
			t.Errorf("damage of no %s was ever noticed", kind)
		}
	}
}

// inspect opens a state and reads all of it.
func inspect(t *testing.T, fs vfs.FS) (index uint64, sum hawser.Hash, err error) {
	t.Helper()
	m, err := fsm.Open("state", smallEngine(fs))
	if err != nil {
		return 0, hawser.Hash{}, err
	}
	defer m.Close()
	index, _ = m.Applied()
	sum, err = m.Digest(t.Context())
	return index, sum, err
}

func filesBelow(t *testing.T, fs vfs.FS, dir string) []string {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		info, err := fs.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			files = append(files, filesBelow(t, fs, path)...)
		} else {
			files = append(files, path)
		}
	}
	return files
}

func fileKind(path string) string {
	name := path[strings.LastIndex(path, "/")+1:]
	if strings.HasPrefix(name, "marker") {
		return "marker"
	}
	if kind, _, ok := strings.Cut(name, "-"); ok {
		return kind
	}
	return name[strings.LastIndex(name, ".")+1:]
}
