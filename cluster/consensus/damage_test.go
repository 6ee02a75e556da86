// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/hawserdb/hawser/internal/halt"
)

// soundEntries is how many entries are in the log of soundDir.
const soundEntries = 150

// soundDir makes a directory with a log of several files, term and vote.
func soundDir(t testing.TB, kind string) string {
	t.Helper()
	c := logConfig(t, shmDir(t), kind)
	l := mustOpenLog(t, c)
	l.store(t, entries(1, soundEntries, 3, 700))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s, _ := openTestStable(t, c.Dir)
	if err := s.SetUint64([]byte(keyTerm), 7); err != nil {
		t.Fatal(err)
	}
	_ = s.SetUint64([]byte(keyVoteTerm), 7)
	if err := errors.Join(s.Set([]byte(keyVoteCand), []byte("n2-deadbeef")), s.Close()); err != nil {
		t.Fatal(err)
	}
	return c.Dir
}

// readAll opens everything in dir as a replica would and compares it with what
// soundDir stored. It returns the error that named the damage, nil if all is
// right; wrong bytes fail the test.
func readAll(t testing.TB, dir, kind string) error {
	t.Helper()
	l, err := openTestLog(t, logConfig(t, dir, kind))
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	first, last := l.bounds()
	if first != 1 || last != soundEntries {
		t.Errorf("log is [%d, %d], stored was [1, %d]", first, last, soundEntries)
		return nil
	}
	for _, w := range entries(1, soundEntries, 3, 700) {
		var got raft.Log
		if err := l.GetLog(w.Index, &got); err != nil {
			return err
		}
		if got.Index != w.Index || got.Term != w.Term || got.Type != w.Type || !bytes.Equal(got.Data, w.Data) {
			t.Errorf("entry %d: wrong bytes", w.Index)
		}
	}
	s, err := openStable(filepath.Join(dir, stableFile), false, l.latch)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	if got, want := s.current(), (hardState{7, 7, "n2-deadbeef"}); got != want {
		t.Errorf("term and vote are %+v, stored was %+v", got, want)
	}
	return nil
}

// checkNamed requires an error that stops the node and names the file, or for
// the log's segments at least its directory.
func checkNamed(t *testing.T, err error, dir, file string) {
	t.Helper()
	he, ok := errors.AsType[*halt.Error](err)
	if !ok || (he.Reason != halt.Damaged && he.Reason != halt.Log) {
		t.Errorf("not a reason to stop: %v", err)
		return
	}
	where := filepath.Join(dir, file)
	if filepath.Ext(file) == ".wal" {
		where = filepath.Join(dir, walDir)
	}
	if !strings.Contains(err.Error(), where) && filepath.Base(file) != markFile {
		t.Errorf("does not name %s: %v", where, err)
	}
}

// Each kind of file cut short, emptied, removed, or with one bit flipped at
// many places: what is read is right, or an error names where; never wrong
// bytes, a shorter log, an older vote, or a panic.
func TestDamage(t *testing.T) {
	for _, kind := range logKinds {
		sound := soundDir(t, kind)
		if err := readAll(t, sound, kind); err != nil {
			t.Fatal(err)
		}
		var files []string
		err := filepath.WalkDir(sound, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				rel, rerr := filepath.Rel(sound, path)
				files, err = append(files, rel), rerr
			}
			return err
		})
		if err != nil || len(files) < 3 {
			t.Fatalf("%v, %v", files, err)
		}
		for _, file := range files {
			t.Run(kind+"/"+file, func(t *testing.T) { damageFile(t, sound, kind, file) })
		}
	}
}

func damageFile(t *testing.T, sound, kind, file string) {
	t.Helper()
	whole, err := os.ReadFile(filepath.Join(sound, file))
	if err != nil {
		t.Fatal(err)
	}
	used := len(bytes.TrimRight(whole, "\x00"))
	try := func(what string, must bool, damage func(path string) error) {
		dir := shmDir(t)
		if err := errors.Join(os.CopyFS(dir, os.DirFS(sound)), damage(filepath.Join(dir, file))); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if p := recover(); p != nil {
				t.Errorf("%s: panic: %v", what, p)
			}
		}()
		err := readAll(t, dir, kind)
		if err != nil {
			checkNamed(t, err, dir, file)
		} else if must {
			t.Errorf("%s: not noticed", what)
		}
		if t.Failed() {
			t.Fatalf("after %s (%d bytes of %d used)", what, used, len(whole))
		}
	}
	try("removing it", true, os.Remove)
	try("emptying it", true, func(p string) error { return os.Truncate(p, 0) })
	for _, n := range []int{1, used / 3, used / 2, used - 1} {
		try(fmt.Sprintf("a cut at %d", n), false, func(p string) error { return os.Truncate(p, int64(n)) })
	}
	// A page of zeros: a sector that was never written.
	for at := 0; at < used; at += 4096 {
		try(fmt.Sprintf("zeros from %d", at), false, func(p string) error {
			b := bytes.Clone(whole)
			clear(b[at:min(used, at+4096)])
			return os.WriteFile(p, b, 0o600)
		})
	}
	step := max(1, used/25)
	if testing.Short() {
		step = max(1, used/10)
	}
	for i := 0; i < used; i += step {
		at := min(used-1, i+i%7)
		try(fmt.Sprintf("a flip in byte %d", at), false, func(p string) error {
			b := bytes.Clone(whole)
			b[at] ^= 1 << (i % 8)
			return os.WriteFile(p, b, 0o600)
		})
	}
}

// A write that was torn by a power cut after the last fsynced batch is cut off
// silently: that is legal, nothing of it was acknowledged.
func TestDamage_TornTailIsCut(t *testing.T) {
	c := logConfig(t, t.TempDir(), LogWAL)
	l := mustOpenLog(t, c)
	l.store(t, entries(1, 10, 1, 100))
	before := l.mark.path
	marked, err := os.ReadFile(before)
	if err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(c.Dir, walDir, "*.wal"))
	if err != nil || len(segments) != 1 {
		t.Fatal(segments, err)
	}
	sound, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	l.store(t, entries(11, 11, 1, 100))
	torn, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	end := len(bytes.TrimRight(torn, "\x00"))
	from := len(bytes.TrimRight(sound, "\x00"))
	for cut := from; cut < end; cut += 5 {
		b := append(bytes.Clone(torn[:cut]), make([]byte, len(torn)-cut)...)
		if err := errors.Join(os.WriteFile(segments[0], b, 0o600), os.WriteFile(before, marked, 0o600)); err != nil {
			t.Fatal(err)
		}
		l, err := openTestLog(t, c)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if _, last := l.bounds(); last != 10 {
			t.Errorf("cut at %d: log ends at %d", cut, last)
		}
		l.store(t, entries(11, 12, 2, 10))
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
