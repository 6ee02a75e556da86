// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/hawserdb/hawser/internal/halt"
)

func small(fs vfs.FS) Options {
	return Options{FS: fs, MemTableBytes: 64 << 10, CacheBytes: 1 << 20}
}

func mustOpen(t *testing.T, dir string, opts Options) *DB {
	t.Helper()
	d, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func set(t *testing.T, d *DB, pairs ...string) {
	t.Helper()
	b := d.NewBatch()
	for i := 0; i < len(pairs); i += 2 {
		b.Set([]byte(pairs[i]), []byte(pairs[i+1]))
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
}

func scan(t *testing.T, src interface {
	Iter(lower, upper []byte) (*Iterator, error)
}, lower, upper string,
) string {
	t.Helper()
	it, err := src.Iter([]byte(lower), []byte(upper))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for it.Next() {
		fmt.Fprintf(&b, "%s=%s ", it.Key(), it.Value())
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Batches are read back whole, a snapshot stays what it was, ranges are half open.
func TestDB_ReadsWhatWasCommitted(t *testing.T) {
	d := mustOpen(t, t.TempDir(), Options{})
	set(t, d, "a", "1", "b", "2", "c", "3")
	s, err := d.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	b := d.NewBatch()
	b.Set([]byte("b"), []byte("two"), []byte(" "), []byte("parts"))
	b.Delete([]byte("a"))
	b.DeleteRange([]byte("c"), []byte("d"))
	if b.Empty() || b.Len() == 0 {
		t.Error("the batch says that it is empty")
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	if got, want := scan(t, d, "a", "z"), "b=two parts "; got != want {
		t.Errorf("now %q, want %q", got, want)
	}
	if got, want := scan(t, s, "a", "c"), "a=1 b=2 "; got != want {
		t.Errorf("snapshot %q, want %q", got, want)
	}
	if v, ok, err := s.Get([]byte("c")); err != nil || !ok || string(v) != "3" {
		t.Errorf("snapshot c: %q %v %v", v, ok, err)
	}
	if v, ok, err := d.Get([]byte("c")); err != nil || ok {
		t.Errorf("c: %q %v %v", v, ok, err)
	}
	if err := errors.Join(s.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Get([]byte("b")); err == nil {
		t.Error("a closed engine answers")
	}
}

// Close makes everything durable, Discard does not; Durable tells beforehand.
func TestDB_DurableAfterFlushOnly(t *testing.T) {
	fs := vfs.NewCrashableMem()
	d := mustOpen(t, "db", small(fs))
	set(t, d, "a", "1", "b", "1")
	durable := func() string {
		values, err := d.Durable([]byte("a"), []byte("b"), []byte("c"))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%q", values)
	}
	if got, want := durable(), `["" "" ""]`; got != want {
		t.Errorf("before the flush %s", got)
	}
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	set(t, d, "b", "2")
	if got, want := durable(), `["1" "1" ""]`; got != want {
		t.Errorf("after the flush %s, want %s", got, want)
	}
	if err := d.Discard(); err != nil {
		t.Fatal(err)
	}
	d = mustOpen(t, "db", small(fs))
	if got, want := scan(t, d, "a", "z"), "a=1 b=1 "; got != want {
		t.Errorf("after discard %q, want %q", got, want)
	}
	set(t, d, "b", "3")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = mustOpen(t, "db", small(fs))
	if got, want := scan(t, d, "a", "z"), "a=1 b=3 "; got != want {
		t.Errorf("after close %q, want %q", got, want)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestDB_PowerCutKeepsPrefix: batch n sets n to n and "last" to n. After a
// power cut, "last" names exactly the batches that are there, and is not less
// than Durable had said.
func TestDB_PowerCutKeepsPrefix(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	lost := 0
	for round := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, round))
		opts := small(vfs.NewCrashableMem())
		if round%2 == 1 {
			opts.SeparateBytes = 256
		}
		d := mustOpen(t, "db", opts)
		last := 50 + rng.Uint64N(500)
		for n := uint64(1); n <= last; n++ {
			b := d.NewBatch()
			b.Set(number("n", n), make([]byte, rng.IntN(900)))
			b.Set([]byte("last"), number("", n))
			if err := b.Commit(); err != nil {
				t.Fatal(err)
			}
			if rng.IntN(100) == 0 {
				if err := d.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		values, err := d.Durable([]byte("last"))
		if err != nil {
			t.Fatal(err)
		}
		said := uint64(0)
		if values[0] != nil {
			said = binary.BigEndian.Uint64(values[0])
		}
		opts.FS = opts.FS.(*vfs.MemFS).CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		got := countAfterCut(t, opts)
		if got < said {
			t.Fatalf("round %d: %d batches are there, Durable had said %d", round, got, said)
		}
		if got < last {
			lost++
		}
	}
	if lost == 0 {
		t.Error("no power cut lost anything: the test shows nothing")
	}
}

func countAfterCut(t *testing.T, opts Options) uint64 {
	t.Helper()
	d := mustOpen(t, "db", opts)
	defer d.Close()
	v, ok, err := d.Get([]byte("last"))
	if err != nil {
		t.Fatal(err)
	}
	named := uint64(0)
	if ok {
		named = binary.BigEndian.Uint64(v)
	}
	it, err := d.Iter([]byte("n"), []byte("o"))
	if err != nil {
		t.Fatal(err)
	}
	there := uint64(0)
	for it.Next() {
		there++
		if string(it.Key()) != string(number("n", there)) {
			t.Fatalf("key %q at place %d", it.Key(), there)
		}
	}
	if err := it.Close(); err != nil || there != named {
		t.Fatalf("%d batches are there, the last is named %d, %v", there, named, err)
	}
	return named
}

func number(prefix string, n uint64) []byte { return binary.BigEndian.AppendUint64([]byte(prefix), n) }

// A failing write is told once, to OnFatal and to every later call, and
// nothing is written any more.
func TestDB_FailsForGood(t *testing.T) {
	for _, kind := range []errorfs.OpKind{errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpRename, errorfs.OpFileClose} {
		var on atomic.Bool
		disk := vfs.NewMem()
		opts := small(errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if on.Load() && op.Kind == kind {
				return errors.New("the disk is gone")
			}
			return nil
		})))
		told := make(chan error, 10)
		opts.OnFatal = func(err error) { told <- err }
		d := mustOpen(t, "db", opts)
		set(t, d, "a", "1")
		on.Store(true)
		flushErr := d.Flush()
		if flushErr == nil {
			if err := d.Close(); err != nil {
				t.Errorf("kind %v is not needed to flush, yet close: %v", kind, err)
			}
			continue
		}
		if e, ok := errors.AsType[*halt.Error](flushErr); !ok || e.Reason != halt.Engine {
			t.Errorf("kind %v: flush: %v", kind, flushErr)
		}
		on.Store(false)
		b := d.NewBatch()
		b.Set([]byte("b"), []byte("2"))
		_, _, getErr := d.Get([]byte("a"))
		for what, err := range map[string]error{"commit": b.Commit(), "get": getErr, "flush": d.Flush(), "checkpoint": d.Checkpoint("cp"), "close": d.Close()} {
			if !errors.Is(err, flushErr) {
				t.Errorf("kind %v: %s after the failure: %v", kind, what, err)
			}
		}
		if err := <-told; !errors.Is(err, flushErr) || len(told) != 0 {
			t.Errorf("kind %v: told %v and %d more", kind, err, len(told))
		}
	}
}

// After a failed flush the store does not try again: the disk sees no write
// that comes later than the failure.
func TestDB_DoesNotRetryFlush(t *testing.T) {
	var on atomic.Bool
	var writes atomic.Int64
	opts := small(errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if on.Load() && op.Kind == errorfs.OpCreate {
			writes.Add(1)
			return errors.New("the disk is gone")
		}
		return nil
	})))
	d := mustOpen(t, "db", opts)
	set(t, d, "a", "1")
	on.Store(true)
	if err := d.Flush(); err == nil {
		t.Fatal("the flush did not fail")
	}
	// Pebble alone tries thousands of times in this while.
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); runtime.Gosched() {
		if n := writes.Load(); n != 1 {
			t.Fatalf("%d files were tried", n)
		}
	}
}

// A checkpoint is a store of its own with all that was committed before.
func TestDB_Checkpoint(t *testing.T) {
	dir := t.TempDir()
	d := mustOpen(t, dir+"/db", Options{})
	set(t, d, "a", "1")
	if err := d.Checkpoint(dir + "/copy"); err != nil {
		t.Fatal(err)
	}
	set(t, d, "a", "2")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	c := mustOpen(t, dir+"/copy", Options{ErrorIfMissing: true, ReadOnly: true})
	if got, want := scan(t, c, "a", "z"), "a=1 "; got != want {
		t.Errorf("copy %q, want %q", got, want)
	}
	if err := c.Discard(); err != nil {
		t.Fatal(err)
	}
}

// A directory that is in use, missing or exists already is refused as such.
func TestOpen_Refuses(t *testing.T) {
	dir := t.TempDir()
	d := mustOpen(t, dir+"/db", Options{})
	for name, tc := range map[string]struct {
		dir  string
		opts Options
		want halt.Reason
	}{
		"in use":  {dir + "/db", Options{}, halt.Directory},
		"missing": {dir + "/none", Options{ErrorIfMissing: true}, halt.Damaged},
		"exists":  {dir + "/copy", Options{ErrorIfExists: true}, halt.Directory},
	} {
		if err := d.Flush(); err != nil {
			t.Fatal(err)
		}
		if name == "exists" {
			if err := d.Checkpoint(tc.dir); err != nil {
				t.Fatal(err)
			}
		}
		_, err := Open(tc.dir, tc.opts)
		if e, ok := errors.AsType[*halt.Error](err); !ok || e.Reason != tc.want || !strings.Contains(err.Error(), tc.dir) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// A home without its pointer, or whose store is missing, is damaged and not
// new; leftovers go; a cut while it is made leaves something to make again.
func TestHome_Open(t *testing.T) {
	write := func(t *testing.T, fs vfs.FS, n uint64, status string) {
		t.Helper()
		h := &Home{fs: fs, dir: "home"}
		if err := h.writePointer(n, status); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		prepare func(t *testing.T, fs vfs.FS)
		want    halt.Reason
		key     bool // whether the key of before is there
	}{
		"as it was":        {func(*testing.T, vfs.FS) {}, 0, true},
		"leftover":         {func(t *testing.T, fs vfs.FS) { t.Helper(); mkdir(t, fs, "home/2") }, 0, true},
		"no pointer":       {func(t *testing.T, fs vfs.FS) { t.Helper(); remove(t, fs, "home/current") }, halt.Damaged, false},
		"no store":         {func(t *testing.T, fs vfs.FS) { t.Helper(); remove(t, fs, "home/1") }, halt.Damaged, false},
		"pointer ahead":    {func(t *testing.T, fs vfs.FS) { t.Helper(); write(t, fs, 2, statusReady) }, halt.Damaged, false},
		"being made":       {func(t *testing.T, fs vfs.FS) { t.Helper(); write(t, fs, 1, statusNew) }, 0, false},
		"nothing":          {func(t *testing.T, fs vfs.FS) { t.Helper(); remove(t, fs, "home") }, 0, false},
		"unknown pointer":  {func(t *testing.T, fs vfs.FS) { t.Helper(); write(t, fs, 1, "odd") }, halt.Damaged, false},
		"pointer to null":  {func(t *testing.T, fs vfs.FS) { t.Helper(); write(t, fs, 0, statusReady) }, halt.Damaged, false},
		"unfinished write": {func(t *testing.T, fs vfs.FS) { t.Helper(); mkdir(t, fs, "home/current.tmp.d") }, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			_, d, err := OpenHome("home", small(fs))
			if err != nil {
				t.Fatal(err)
			}
			set(t, d, "a", "1")
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			tc.prepare(t, fs)
			_, d, err = OpenHome("home", small(fs))
			if tc.want != 0 {
				if e, ok := errors.AsType[*halt.Error](err); !ok || e.Reason != tc.want {
					t.Fatalf("open: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, ok, err := d.Get([]byte("a")); ok != tc.key || err != nil {
				t.Errorf("the key is there: %v, %v", ok, err)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			if name == "leftover" {
				if _, err := fs.Stat("home/2"); !errors.Is(err, errNotExist) {
					t.Errorf("the leftover is still there: %v", err)
				}
			}
		})
	}
}

var errNotExist = fs.ErrNotExist

func mkdir(t *testing.T, fs vfs.FS, dir string) {
	t.Helper()
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, fs vfs.FS, path string) {
	t.Helper()
	if err := fs.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

// TestHome_CreateIsAtomic: after a power cut at any write of the first open,
// the next open works.
func TestHome_CreateIsAtomic(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for n := int64(0); ; n++ {
		var count atomic.Int64
		disk := vfs.NewCrashableMem()
		fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && count.Add(1) > n {
				return errors.New("the disk is gone")
			}
			return nil
		}))
		_, d, err := OpenHome("home", small(fs))
		after := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		if err == nil {
			_ = d.Discard() // may fail: the disk is gone by now
		}
		_, again, againErr := OpenHome("home", small(after))
		if againErr != nil {
			t.Fatalf("after %d writes (first open: %v): %v", n, err, againErr)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
		if err == nil {
			return
		}
	}
}

// FuzzPointer: no panic, and one form a pointer.
func FuzzPointer(f *testing.F) {
	f.Add(formatPointer(1, statusReady))
	f.Add(formatPointer(1<<63, statusNew))
	f.Add([]byte("hawser-state 1 1 ready 0\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, status, err := parsePointer(data)
		if err == nil && string(formatPointer(n, status)) != string(data) {
			t.Fatalf("%q is taken as store %d, %s", data, n, status)
		}
	})
}
