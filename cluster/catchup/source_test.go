// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package catchup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

func quiet(int64, int64) error { return nil }

// counted is a source whose checkpoints are counted; each is at a higher index.
func counted(t *testing.T, dir string, cfg SourceConfig) (*Source, *atomic.Int64) {
	t.Helper()
	var made atomic.Int64
	cfg.Dir = filepath.Join(dir, "send")
	cfg.Checkpoint = func(dir string) (fsm.Meta, error) {
		return tables(uint64(made.Add(1)), 2, 1000, 1).checkpoint(dir)
	}
	s, err := NewSource(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s, &made
}

// checkpoints returns how many checkpoints lie on the disk.
func checkpoints(t *testing.T, s *Source) int {
	t.Helper()
	entries, err := os.ReadDir(s.cfg.Dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return len(entries)
}

// Those who ask at about the same time share a checkpoint; later ones get a new
// one; there are two at most, and one that is being read does not give way; one
// that nobody reads any more is removed.
func TestSource_KeepsFewCheckpoints(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, made := counted(t, dir, SourceConfig{})
		ask := func(id string, minIndex uint64) (*Manifest, error) {
			return s.Manifest(t.Context(), id, minIndex, quiet)
		}
		var first, second *Manifest
		var asks sync.WaitGroup
		for range 2 {
			asks.Go(func() { _, _ = ask("", 0) })
		}
		asks.Wait()
		first, _ = ask("", 0)
		if made.Load() != 1 {
			t.Fatalf("%d checkpoints for three who ask", made.Load())
		}
		if m, err := ask("", first.Meta.Index+1); err != nil || m.ID == first.ID {
			t.Fatalf("a newer one: %v", err)
		} else {
			second = m
		}
		time.Sleep(2 * time.Minute) // both are too old to be shared, and idle
		read := func() error {
			return s.Read(t.Context(), second.ID, "000001.sst", 0, func([]byte) error { return nil })
		}
		if err := read(); err != nil {
			t.Fatal(err)
		}
		third, err := ask("", 0)
		if err != nil || made.Load() != 3 || checkpoints(t, s) != 2 {
			t.Fatalf("%v, %d made, %d there", err, made.Load(), checkpoints(t, s))
		}
		if m, err := ask(second.ID, 0); err != nil || m.ID != second.ID {
			t.Errorf("the one that was read is gone: %v", err)
		}
		if _, err := ask("", third.Meta.Index+1); !errors.Is(err, hawser.ErrOverloaded) {
			t.Errorf("a third one while two are read: %v", err)
		}
		for range 6 {
			time.Sleep(4 * time.Minute)
			if err := read(); err != nil {
				t.Fatal(err)
			}
		}
		if n := checkpoints(t, s); n != 1 {
			t.Errorf("%d checkpoints are there, one is read", n)
		}
		time.Sleep(15 * time.Minute)
		if n := checkpoints(t, s); n != 0 {
			t.Errorf("%d checkpoints are there, none is read", n)
		}
		if err := read(); !errors.Is(err, hawser.ErrNotFound) {
			t.Errorf("read of one that is gone: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A source that is made removes what an earlier one left.
func TestSource_RemovesLeftovers(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, "send", "old", "000001.sst")
	if err := os.MkdirAll(filepath.Dir(left), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := counted(t, dir, SourceConfig{})
	defer func() { _ = s.Close() }()
	if n := checkpoints(t, s); n != 0 {
		t.Errorf("%d left", n)
	}
}

// A state that has not come far enough, or is not there, or cannot be read, is
// an error, and nothing stays.
func TestSource_Refuses(t *testing.T) {
	s, _ := counted(t, t.TempDir(), SourceConfig{})
	defer func() { _ = s.Close() }()
	if _, err := s.Manifest(t.Context(), "", 99, quiet); !errors.Is(err, hawser.ErrUnavailable) {
		t.Errorf("too old: %v", err)
	}
	m, err := s.Manifest(t.Context(), "", 0, quiet)
	if err != nil {
		t.Fatal(err)
	}
	none := func([]byte) error { t.Error("something was sent"); return nil }
	for name, c := range map[string]struct {
		id, file string
		offset   int64
		want     error
	}{
		"other id":   {"x", "000001.sst", 0, hawser.ErrNotFound},
		"other file": {m.ID, "../../node.json", 0, hawser.ErrNotFound},
		"lock":       {m.ID, "LOCK", 0, hawser.ErrNotFound},
		"negative":   {m.ID, "000001.sst", -1, hawser.ErrInvalid},
		"past end":   {m.ID, "000001.sst", 1001, hawser.ErrInvalid},
		"at the end": {m.ID, "000001.sst", 1000, nil},
	} {
		if err := s.Read(t.Context(), c.id, c.file, c.offset, none); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	failing := errors.New("no room")
	bad, err := NewSource(SourceConfig{Dir: filepath.Join(t.TempDir(), "send"), Checkpoint: func(dir string) (fsm.Meta, error) {
		_, _ = tables(1, 1, 10, 1).checkpoint(dir)
		return fsm.Meta{}, failing
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bad.Close() }()
	if _, err := bad.Manifest(t.Context(), "", 0, quiet); !errors.Is(err, failing) || checkpoints(t, bad) != 0 {
		t.Errorf("got %v, %d left", err, checkpoints(t, bad))
	}
}

// What all fetchers get together, and what is hashed for them, is held to the
// rate; whoever waits is told that the preparation goes on.
func TestSource_IsThrottled(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		const size, rate = 40 * chunk, 10 * chunk
		s, err := NewSource(SourceConfig{Dir: filepath.Join(dir, "send"), BytesPerSecond: rate, Checkpoint: tables(1, 1, size, 1).checkpoint})
		if err != nil {
			t.Fatal(err)
		}
		told := 0
		begin := time.Now()
		m, err := s.Manifest(t.Context(), "", 0, func(prepared, total int64) error {
			if told++; prepared <= 0 || total < size || prepared > total {
				t.Errorf("prepared %d of %d", prepared, total)
			}
			return nil
		})
		took := time.Since(begin)
		if err != nil || took < 900*time.Millisecond || took > 1100*time.Millisecond { // four times the rate
			t.Errorf("hashed in %v: %v", took, err)
		}
		begin = time.Now()
		var readers sync.WaitGroup
		for range 2 {
			readers.Go(func() {
				if err := s.Read(t.Context(), m.ID, "000001.sst", 0, func([]byte) error { return nil }); err != nil {
					t.Error(err)
				}
			})
		}
		readers.Wait()
		if took := time.Since(begin); took < 7900*time.Millisecond || took > 8100*time.Millisecond {
			t.Errorf("two readers of 4 s each took %v", took)
		}
		if s.Sent() != 2*size {
			t.Errorf("counted %d bytes", s.Sent())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Read(ctx, m.ID, "000001.sst", 0, func([]byte) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		_ = s.Close()
	})
}
