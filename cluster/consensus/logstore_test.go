// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	walfs "github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"

	"github.com/hawserdb/hawser/internal/halt"
)

// fakeProgress is what a test says of the replica around a log.
type fakeProgress struct {
	applied, durable, commit uint64
	leader                   bool
}

func (p *fakeProgress) Applied() uint64          { return p.applied }
func (p *fakeProgress) Durable() (uint64, error) { return p.durable, nil }
func (p *fakeProgress) Commit() uint64           { return p.commit }
func (p *fakeProgress) IsLeader() bool           { return p.leader }

// halts collects what a latch reports.
type halts struct{ atomic.Pointer[error] }

func (h *halts) halt(err error) { h.CompareAndSwap(nil, &err) }

func (h *halts) reason() halt.Reason {
	p := h.Load()
	if p == nil {
		return 0
	}
	if he, ok := errors.AsType[*halt.Error](*p); ok {
		return he.Reason
	}
	return -1
}

func logConfig(t testing.TB, dir, kind string) Config {
	t.Helper()
	c := Config{Dir: dir, LogStore: kind, Logger: testLogger(t), segmentSize: 64 << 10}
	return c.withDefaults()
}

type testLog struct {
	*logStore
	halts *halts
	at    *fakeProgress
}

func openTestLog(t testing.TB, c Config) (*testLog, error) {
	t.Helper()
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l := &testLog{halts: &halts{}, at: &fakeProgress{}}
	var err error
	l.logStore, err = openLog(c, newLatch(c.Dir, c.Timeouts.Hang, c.Logger, l.halts.halt), l.at)
	return l, err
}

func mustOpenLog(t testing.TB, c Config) *testLog {
	t.Helper()
	l, err := openTestLog(t, c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// entries returns [from, to] of a term; their data tells which they are.
func entries(from, to, term uint64, size int) []*raft.Log {
	var logs []*raft.Log
	for i := from; i <= to; i++ {
		data := bytes.Repeat([]byte(fmt.Sprintf("%d/%d ", i, term)), size/4+1)
		logs = append(logs, &raft.Log{Index: i, Term: term, Type: raft.LogCommand, Data: data})
	}
	return logs
}

// store appends one entry at a time.
func (l *testLog) store(t testing.TB, logs []*raft.Log) {
	t.Helper()
	for _, e := range logs {
		if err := l.StoreLog(e); err != nil {
			t.Fatal(err)
		}
	}
}

var logKinds = []string{LogWAL, LogBoltDB}

// What is stored is read back, before and after a restart, with a checksum; a
// missing entry is exactly raft.ErrLogNotFound.
func TestLogStore_RoundTrip(t *testing.T) {
	for _, kind := range logKinds {
		t.Run(kind, func(t *testing.T) {
			c := logConfig(t, shmDir(t), kind)
			c.Retention.CacheBytes = 4 << 10
			l := mustOpenLog(t, c)
			want := entries(1, 300, 3, 500)
			l.store(t, want)
			for range 2 {
				for _, w := range want {
					var got raft.Log
					if err := l.GetLog(w.Index, &got); err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(got.Data, w.Data) || got.Term != 3 || verifyEntry(&got) != nil {
						t.Fatalf("entry %d is %+v", w.Index, got)
					}
				}
				for _, i := range []uint64{0, 301, 1 << 40} {
					if err := l.GetLog(i, &raft.Log{}); err != raft.ErrLogNotFound { //nolint:errorlint // the contract
						t.Errorf("entry %d: %v", i, err)
					}
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				l = mustOpenLog(t, c)
			}
			if first, last := l.bounds(); first != 1 || last != 300 {
				t.Errorf("bounds %d %d", first, last)
			}
			if l.tail.bytes > c.Retention.CacheBytes {
				t.Errorf("the tail holds %d bytes", l.tail.bytes)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// After a conflict the log goes on from the cut, also after a restart: raft-wal
// alone cannot read the segment that a suffix was cut from ("no index block").
func TestLogStore_ReadableAfterSuffixDeletionAndRestart(t *testing.T) {
	for _, kind := range logKinds {
		t.Run(kind, func(t *testing.T) {
			c := logConfig(t, shmDir(t), kind)
			l := mustOpenLog(t, c)
			l.store(t, entries(1, 20, 1, 10))
			if err := l.DeleteRange(11, 20); err != nil {
				t.Fatal(err)
			}
			l.store(t, entries(11, 15, 2, 10))
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = mustOpenLog(t, c)
			for i := range uint64(15) {
				var got raft.Log
				if err := l.GetLog(i+1, &got); err != nil || (got.Term == 2) != (i+1 > 10) {
					t.Errorf("entry %d: term %d, %v", i+1, got.Term, err)
				}
			}
			_ = l.Close()
		})
	}
	// The trap itself: if raft-wal is ever cured, walFiler can go.
	dir := t.TempDir()
	w, err := wal.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries(1, 20, 1, 10) {
		if err := w.StoreLog(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.DeleteRange(11, 20), w.Close()); err != nil {
		t.Fatal(err)
	}
	// raft-wal's bbolt file stays locked by its leaked handle, so look at a copy.
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if w, err = wal.Open(copied); err != nil {
		t.Fatal(err)
	}
	if err := w.GetLog(5, &raft.Log{}); err == nil {
		t.Error("raft-wal reads a cut segment after a restart: its trap is gone")
	}
	_ = w.Close()
}

// A suffix that holds anything committed, applied or in a snapshot stays, and
// so does a prefix that the machine would not have after a power cut.
func TestLogStore_RefusesToLoseWhatMustStay(t *testing.T) {
	for _, c := range []struct {
		name   string
		at     fakeProgress
		lo, hi uint64
		ok     bool
	}{
		{"suffix after all", fakeProgress{applied: 5, durable: 3, commit: 6}, 7, 20, true},
		{"suffix at the commit index", fakeProgress{applied: 5, durable: 3, commit: 7}, 7, 20, false},
		{"suffix at the applied index", fakeProgress{applied: 7, durable: 3}, 7, 20, false},
		{"prefix that is durable", fakeProgress{applied: 10, durable: 8, commit: 10}, 1, 8, true},
		{"prefix that is not durable", fakeProgress{applied: 10, durable: 7, commit: 10}, 1, 8, false},
		{"all, uncommitted", fakeProgress{}, 1, 20, true},
		{"all, but something committed", fakeProgress{commit: 1}, 1, 20, false},
		{"the middle", fakeProgress{applied: 10, durable: 10}, 5, 8, false},
	} {
		for _, kind := range logKinds {
			t.Run(c.name+"/"+kind, func(t *testing.T) {
				l := mustOpenLog(t, logConfig(t, shmDir(t), kind))
				defer func() { _ = l.Close() }()
				l.store(t, entries(1, 20, 1, 10))
				*l.at = c.at
				err := l.DeleteRange(c.lo, c.hi)
				if (err == nil) != c.ok {
					t.Fatalf("%v", err)
				}
				if !c.ok && (l.halts.reason() != halt.Log || l.StoreLog(entries(21, 21, 1, 10)[0]) == nil) {
					t.Errorf("halted with %v, or went on writing", l.halts.reason())
				}
			})
		}
	}
}

// An entry that changed on its way is not stored, and the node stops: raft
// verified it before.
func TestLogStore_VerifiesBeforeStoring(t *testing.T) {
	l := mustOpenLog(t, logConfig(t, t.TempDir(), LogWAL))
	defer func() { _ = l.Close() }()
	e := entries(1, 1, 1, 10)[0]
	e.Extensions = appendExtension(nil, entryChecksum(e)+1)
	if err := l.StoreLog(e); err == nil || l.halts.reason() != halt.Log {
		t.Errorf("%v, halted with %v", err, l.halts.reason())
	}
	if _, last := l.bounds(); last != 0 {
		t.Errorf("stored up to %d", last)
	}
}

// sickFS fails fsyncs from a moment on and counts writes.
type sickFS struct {
	types.VFS
	sick   atomic.Bool
	writes atomic.Int64
}

func (s *sickFS) Create(dir, name string, size uint64) (types.WritableFile, error) {
	f, err := s.VFS.Create(dir, name, size)
	return &sickFile{f, s}, err
}

type sickFile struct {
	types.WritableFile
	fs *sickFS
}

func (f *sickFile) WriteAt(b []byte, off int64) (int, error) {
	f.fs.writes.Add(1)
	return f.WritableFile.WriteAt(b, off)
}

func (f *sickFile) Sync() error {
	if f.fs.sick.Load() {
		return syscall.EIO
	}
	return f.WritableFile.Sync()
}

// After one failed fsync nothing is written, read or deleted any more, even
// when the disk would work again (raft#614, #612).
func TestLogStore_NothingAfterTheFirstFailure(t *testing.T) {
	sick := &sickFS{VFS: walfs.New()}
	c := logConfig(t, t.TempDir(), LogWAL)
	c.walFS = sick
	l := mustOpenLog(t, c)
	l.store(t, entries(1, 3, 1, 10))
	sick.sick.Store(true)
	err := l.StoreLog(entries(4, 4, 1, 10)[0])
	if !errors.Is(err, syscall.EIO) || l.halts.reason() != halt.Log {
		t.Fatalf("%v, halted with %v", err, l.halts.reason())
	}
	sick.sick.Store(false)
	writes := sick.writes.Load()
	for i, err := range []error{
		l.StoreLog(entries(4, 4, 1, 10)[0]), l.DeleteRange(3, 3), l.GetLog(1, &raft.Log{}),
	} {
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("operation %d: %v", i, err)
		}
	}
	if n := sick.writes.Load() - writes; n != 0 {
		t.Errorf("%d writes after the failure", n)
	}
	_ = l.Close()
}

// hangingBackend never returns from an append until released.
type hangingBackend struct {
	backend
	release chan struct{}
}

func (h hangingBackend) StoreLogs([]*raft.Log) error { <-h.release; return nil }

// An append that hangs stops the node after the limit, not before, although
// the append itself cannot be interrupted (raft#503).
func TestLogStore_HangHalts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &halts{}
		l := newLatch(t.TempDir(), 10*time.Second, testLogger(t), h.halt)
		release := make(chan struct{})
		s := &logStore{backend: hangingBackend{release: release}, latch: l, progress: &fakeProgress{}, path: "wal"}
		done := make(chan error)
		go func() {
			done <- s.latch.do(halt.Log, "wal", "append", func() error { return s.backend.StoreLogs(nil) })
		}()
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if h.reason() != 0 {
			t.Errorf("halted early: %v", h.reason())
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if h.reason() != halt.Hung {
			t.Errorf("halted with %v", h.reason())
		}
		if err := s.StoreLogs(entries(1, 1, 1, 1)); err == nil {
			t.Error("an append after the hang was taken")
		}
		close(release)
		<-done
	})
}

// wrongBackend answers with other entries than it is asked for, or panics.
type wrongBackend struct {
	backend
	answer func(index uint64, out *raft.Log) error
}

func (w wrongBackend) GetLog(index uint64, out *raft.Log) error { return w.answer(index, out) }

// Whatever a store answers, wrong bytes never get out: the node stops as
// damaged, and its directory is closed.
func TestLogStore_NeverAnswersWrongBytes(t *testing.T) {
	good := func(index uint64) raft.Log {
		l := raft.Log{Index: index, Term: 1, Data: []byte("data")}
		l.Extensions = appendExtension(nil, entryChecksum(&l))
		return l
	}
	for name, answer := range map[string]func(uint64, *raft.Log) error{
		"another entry":   func(i uint64, out *raft.Log) error { *out = good(i + 1); return nil },
		"changed data":    func(i uint64, out *raft.Log) error { *out = good(i); out.Data = []byte("dbta"); return nil },
		"changed term":    func(i uint64, out *raft.Log) error { *out = good(i); out.Term = 9; return nil },
		"no checksum":     func(i uint64, out *raft.Log) error { *out = good(i); out.Extensions = nil; return nil },
		"nothing":         func(uint64, *raft.Log) error { return raft.ErrLogNotFound },
		"a panic":         func(uint64, *raft.Log) error { panic("index out of range") },
		"a corrupt error": func(uint64, *raft.Log) error { return types.ErrCorrupt },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			h := &halts{}
			s := &logStore{
				backend: wrongBackend{answer: answer}, latch: newLatch(dir, time.Minute, testLogger(t), h.halt),
				progress: &fakeProgress{}, path: "wal", first: 1, last: 10,
			}
			var out raft.Log
			if err := s.GetLog(5, &out); err == nil || err == raft.ErrLogNotFound { //nolint:errorlint // the contract
				t.Fatalf("%v, %+v", err, out)
			}
			if h.reason() != halt.Damaged || CheckQuarantine(dir) == nil {
				t.Errorf("halted with %v; quarantine: %v", h.reason(), CheckQuarantine(dir))
			}
		})
	}
}

// The entry of an installed snapshot is answered where the log has none or
// another one, but not on a leader and never with a checksum: so it can be
// compared with, but not be sent.
func TestLogStore_AnswersForTheInstalledSnapshot(t *testing.T) {
	l := mustOpenLog(t, logConfig(t, t.TempDir(), LogWAL))
	defer func() { _ = l.Close() }()
	l.store(t, entries(1, 9, 2, 10))
	l.installed = entryID{5, 3}
	var got raft.Log
	if err := l.GetLog(5, &got); err != nil || got.Term != 3 || len(got.Extensions) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	l.at.leader = true
	if err := l.GetLog(5, &got); err != nil || got.Term != 2 {
		t.Errorf("on a leader: %+v, %v", got, err)
	}
	l.at.leader = false
	l.at.applied, l.at.durable = 5, 5
	if stale, err := l.reset(entryID{5, 3}, configMark{}); err != nil || !stale {
		t.Fatalf("stale %v, %v", stale, err)
	}
	if err := l.GetLog(5, &got); err != nil || got.Term != 3 {
		t.Errorf("after the reset: %+v, %v", got, err)
	}
	if err := l.StoreLog(entries(7, 7, 3, 10)[0]); err == nil {
		t.Error("an entry after a gap was stored")
	}
}

// What is left behind by a failed open can be opened again at once.
func TestLogStore_FailedOpenLeaksNothing(t *testing.T) {
	c := logConfig(t, t.TempDir(), LogWAL)
	l := mustOpenLog(t, c)
	l.store(t, entries(1, 400, 1, 1000)) // several segments
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(c.Dir, walDir, "*.wal"))
	if err != nil || len(segments) < 3 {
		t.Fatalf("%d segments, %v", len(segments), err)
	}
	last := segments[len(segments)-1]
	if err := os.Truncate(segments[1], 10); err != nil {
		t.Fatal(err)
	}
	before := openFiles(t)
	if _, err := openTestLog(t, c); err == nil {
		t.Fatalf("opened without %s", last)
	}
	if after := openFiles(t); after > before {
		t.Errorf("%d open files, before %d", after, before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc on this system")
	}
	return len(fds)
}
