// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package catchup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser/fsm"
)

var errCut = errors.New("cut here")

// A fetch that is cut at every single chunk, by a connection that breaks, gets
// every byte once and ends with the source's files.
func TestFetch_ResumesAtEveryChunk(t *testing.T) {
	state := tables(7, 4, 3*chunk+100, 1)
	n := newNet(t, map[string]content{"a": state})
	f := n.fetcher(filepath.Join(t.TempDir(), "fetch"))
	broken := true
	n.chunk = func(_, _ string, _ int64, b []byte) ([]byte, error) {
		if broken = !broken; broken {
			return nil, errCut
		}
		return b, nil
	}
	for cuts := 0; ; cuts++ {
		m, dir, err := f.fetch(t.Context(), "a", 1)
		if err == nil {
			if m.Meta.Index != 7 || cuts < 12 {
				t.Fatalf("index %d after %d cuts", m.Meta.Index, cuts)
			}
			state.same(t, dir)
			break
		}
		if !errors.Is(err, errCut) || cuts > 100 {
			t.Fatal(err)
		}
	}
	if got := f.received.Load(); got != state.bytes() {
		t.Errorf("%d bytes came of %d", got, state.bytes())
	}
}

// A process that is killed after any durable step or chunk goes on at its next
// start, also when the source was restarted meanwhile and has lost the
// checkpoint, and ends with the source's files, having fetched each byte once.
func TestFetch_SurvivesAKillAtEveryStep(t *testing.T) {
	for _, sourceDies := range []bool{false, true} {
		t.Run(fmt.Sprintf("source dies: %v", sourceDies), func(t *testing.T) {
			state := tables(7, 3, chunk+10, 1)
			n := newNet(t, map[string]content{"a": state})
			steps := map[string]int{}
			for kill := 0; ; kill++ {
				dir := filepath.Join(t.TempDir(), "fetch")
				first, step := n.fetcher(dir), 0
				first.afterStep = func(name string) error {
					if step++; step > kill {
						steps[name]++
						return errCut
					}
					return nil
				}
				_, _, err := first.fetch(t.Context(), "a", 1)
				if err != nil && !errors.Is(err, errCut) {
					t.Fatal(err)
				}
				killed := err != nil
				if sourceDies {
					n.down("a")
					n.up("a")
				}
				second := n.fetcher(dir)
				_, files, err := second.fetch(t.Context(), "a", 1)
				if err != nil {
					t.Fatalf("kill after step %d: %v", kill, err)
				}
				state.same(t, files)
				if got := first.received.Load() + second.received.Load(); got != state.bytes() {
					t.Errorf("kill after step %d: %d bytes came of %d", kill, got, state.bytes())
				}
				if !killed {
					break
				}
			}
			if want := map[string]int{"clear": 1, "manifest": 1, "chunk": 7, "file": 4, "complete": 1}; !maps.Equal(steps, want) {
				t.Errorf("killed after %v, not %v", steps, want)
			}
		})
	}
}

// What a broken or hostile source sends is refused, nothing outside the
// directory is written, and a good source is fetched from afterwards.
func TestFetch_RefusesWhatIsNotDeclared(t *testing.T) {
	for name, c := range map[string]struct {
		chunk    func(string, string, int64, []byte) ([]byte, error)
		manifest func(*Manifest)
		want     string
	}{
		"flipped bit": {chunk: func(_, _ string, _ int64, b []byte) ([]byte, error) {
			b = bytes.Clone(b)
			b[0] ^= 1
			return b, nil
		}, want: "checksum does not match"},
		"more bytes": {chunk: func(_, _ string, _ int64, b []byte) ([]byte, error) {
			return append(bytes.Clone(b), 1), nil
		}, want: errTooMuch.Error()},
		"fewer bytes": {chunk: func(_, _ string, _ int64, b []byte) ([]byte, error) {
			return b[:len(b)-1], nil
		}, want: "came of"},
		"name":                {manifest: func(m *Manifest) { m.Files[0].Name = "../000001.sst" }, want: "bad list"},
		"absurd size":         {manifest: func(m *Manifest) { m.Files[0].Size = math.MaxInt64 / 2 }, want: "needs"},
		"wrong sum":           {manifest: func(m *Manifest) { m.Files[0].Sum[0] ^= 1 }, want: "checksum does not match"},
		"wrong index":         {manifest: func(m *Manifest) { m.Meta.Index++ }, want: "the engine is at index 7"},
		"wrong configuration": {manifest: func(m *Manifest) { m.Meta.Configuration = []byte("others") }, want: "the engine is at"},
		"too old":             {manifest: func(m *Manifest) { m.Meta.Index = 3 }, want: "before 5"},
	} {
		t.Run(name, func(t *testing.T) {
			state := tables(7, 2, 1000, 1)
			n := newNet(t, map[string]content{"a": state})
			n.chunk, n.manifest = c.chunk, c.manifest
			base := t.TempDir()
			f := n.fetcher(filepath.Join(base, "fetch"))
			if _, _, err := f.fetch(t.Context(), "a", 5); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v", err)
			}
			if entries, err := os.ReadDir(base); err != nil || len(entries) > 1 {
				t.Fatalf("wrote %v, %v", entries, err)
			}
			n.chunk, n.manifest = nil, nil
			_, dir, err := f.fetch(t.Context(), "a", 5)
			if err != nil {
				t.Fatal(err)
			}
			state.same(t, dir)
		})
	}
}

// Bytes on the disk that are wrong after a restart, as after a power cut, are
// noticed and fetched again; the other files are not. A stray file goes.
func TestFetch_DamagedBeginningIsFetchedAgain(t *testing.T) {
	state := tables(7, 3, 2*chunk, 1)
	n := newNet(t, map[string]content{"a": state})
	dir := filepath.Join(t.TempDir(), "fetch")
	f := n.fetcher(dir)
	chunks := 0
	n.chunk = func(_, _ string, _ int64, b []byte) ([]byte, error) {
		if chunks++; chunks == 6 {
			return nil, errCut
		}
		return b, nil
	}
	if _, _, err := f.fetch(t.Context(), "a", 1); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	damaged := filepath.Join(dir, "files", "000001.sst")
	if err := os.WriteFile(damaged, make([]byte, 2*chunk), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "files", "000009.sst"), []byte("stray"), 0o600); err != nil {
		t.Fatal(err)
	}
	f = n.fetcher(dir)
	_, files, err := f.fetch(t.Context(), "a", 1)
	if err != nil {
		t.Fatal(err)
	}
	state.same(t, files)
	// The damaged table, what was missing of the last one, and CURRENT.
	if got, want := f.received.Load(), int64(3*chunk+len(state["CURRENT"])); got != want {
		t.Errorf("%d bytes came, not %d", got, want)
	}
}

// A new checkpoint of the source costs what changed: tables that both have
// stay. Another source has other tables, and all of them are fetched.
func TestFetch_KeepsWhatTwoCheckpointsShare(t *testing.T) {
	first, second := tables(7, 3, 1000, 1), tables(9, 4, 1000, 1)
	n := newNet(t, map[string]content{"a": first, "b": tables(9, 4, 1000, 2)})
	f := n.fetcher(filepath.Join(t.TempDir(), "fetch"))
	if _, _, err := f.fetch(t.Context(), "a", 1); err != nil {
		t.Fatal(err)
	}
	n.mu.Lock()
	n.states["a"] = second
	n.mu.Unlock()
	_, dir, err := f.fetch(t.Context(), "a", 8) // the one at 7 will not do
	if err != nil {
		t.Fatal(err)
	}
	second.same(t, dir)
	if got, want := f.received.Load(), first.bytes()+1000+int64(len(second["CURRENT"])); got != want {
		t.Errorf("%d bytes came, not %d", got, want)
	}
	if _, dir, err = f.fetch(t.Context(), "b", 1); err != nil {
		t.Fatal(err)
	}
	n.states["b"].same(t, dir)
}

// A full disk ends the attempt, before it begins where that can be seen, and
// what is there is kept.
func TestFetch_FullDisk(t *testing.T) {
	state := tables(7, 3, chunk, 1)
	n := newNet(t, map[string]content{"a": state})
	f := n.fetcher(filepath.Join(t.TempDir(), "fetch"))
	f.free = func() (uint64, error) { return 2 * chunk, nil }
	if _, _, err := f.fetch(t.Context(), "a", 1); err == nil || !strings.Contains(err.Error(), "make room") {
		t.Fatal(err)
	}
	if f.received.Load() != 0 {
		t.Error("it began all the same")
	}
	f.free = func() (uint64, error) { return 1 << 40, nil }
	chunks := 0
	f.afterStep = func(step string) error {
		if chunks++; step == "chunk" && chunks == 3 {
			return syscall.ENOSPC
		}
		return nil
	}
	if _, _, err := f.fetch(t.Context(), "a", 1); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	f.afterStep = nil
	_, dir, err := f.fetch(t.Context(), "a", 1)
	if err != nil {
		t.Fatal(err)
	}
	state.same(t, dir)
	if got := f.received.Load(); got != state.bytes() {
		t.Errorf("%d bytes came of %d", got, state.bytes())
	}
}

// silent is a source that never says anything.
type silent struct{ m *Manifest }

func (s silent) Manifest(ctx context.Context, _, _ string, _ uint64, _ func(int64, int64)) (*Manifest, error) {
	if s.m != nil {
		return s.m, nil
	}
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

func (s silent) Read(ctx context.Context, _, _, _ string, _ int64, _ func([]byte) error) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// A source that says nothing for the stall limit is given up, whatever it was
// asked for.
func TestFetch_GivesUpASilentSource(t *testing.T) {
	for name, m := range map[string]*Manifest{"manifest": nil, "file": goodManifest()} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				f := &fetcher{
					dir: filepath.Join(dir, "fetch"), remote: silent{m}, stall: 30 * time.Second,
					free: func() (uint64, error) { return 1 << 40, nil }, readMeta: func(string) (fsm.Meta, error) { return fsm.Meta{}, nil },
				}
				begin := time.Now()
				_, _, err := f.fetch(t.Context(), "n1-00000000", 1)
				if err == nil || !strings.Contains(err.Error(), "nothing came for 30s") || time.Since(begin) != 30*time.Second {
					t.Errorf("after %v: %v", time.Since(begin), err)
				}
			})
		})
	}
}
