// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/hawserdb/hawser/internal/halt"
)

func openTestStable(t testing.TB, dir string) (*stableStore, *halts) {
	t.Helper()
	h := &halts{}
	s, err := openStable(filepath.Join(dir, stableFile), true, newLatch(dir, time.Minute, testLogger(t), h.halt))
	if err != nil {
		t.Fatal(err)
	}
	return s, h
}

// raft#661: a crash between the two writes of a vote must not leave the new
// term with the old candidate. Here the crash leaves the old vote whole.
func TestStableStore_VoteIsOneWrite(t *testing.T) {
	dir := t.TempDir()
	s, _ := openTestStable(t, dir)
	vote := func(term uint64, who string) {
		t.Helper()
		if err := s.SetUint64([]byte(keyTerm), term); err != nil {
			t.Fatal(err)
		}
		if err := s.SetUint64([]byte(keyVoteTerm), term); err != nil {
			t.Fatal(err)
		}
		if who == "" {
			return // the crash
		}
		if err := s.Set([]byte(keyVoteCand), []byte(who)); err != nil {
			t.Fatal(err)
		}
	}
	check := func(want hardState) {
		t.Helper()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s, _ = openTestStable(t, dir)
		if got := s.current(); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		term, err := s.GetUint64([]byte(keyVoteTerm))
		cand, cerr := s.Get([]byte(keyVoteCand))
		if err != nil || cerr != nil || term != want.voteTerm || string(cand) != want.voteFor {
			t.Errorf("vote %d %q, %v %v", term, cand, err, cerr)
		}
	}
	vote(4, "n1")
	check(hardState{4, 4, "n1"})
	vote(5, "")
	check(hardState{5, 4, "n1"})
	vote(6, "n2")
	check(hardState{6, 6, "n2"})
	_ = s.Close()
}

// Term and vote never go back, and an unknown key is refused.
func TestStableStore_NeverGoesBack(t *testing.T) {
	for name, write := range map[string]func(*stableStore) error{
		"term": func(s *stableStore) error { return s.SetUint64([]byte(keyTerm), 6) },
		"vote": func(s *stableStore) error {
			_ = s.SetUint64([]byte(keyVoteTerm), 6)
			return s.Set([]byte(keyVoteCand), []byte("n3"))
		},
		"key": func(s *stableStore) error { return s.Set([]byte("other"), nil) },
	} {
		t.Run(name, func(t *testing.T) {
			s, h := openTestStable(t, t.TempDir())
			defer func() { _ = s.Close() }()
			_ = s.SetUint64([]byte(keyTerm), 7)
			_ = s.SetUint64([]byte(keyVoteTerm), 7)
			if err := s.Set([]byte(keyVoteCand), []byte("n1")); err != nil {
				t.Fatal(err)
			}
			if err := write(s); err == nil || h.reason() != halt.Stable {
				t.Errorf("%v, halted with %v", err, h.reason())
			}
		})
	}
}

// No input makes the record's decoder panic, and what it takes is what was
// encoded.
func FuzzDecodeHardState(f *testing.F) {
	f.Add(hardState{}.encode())
	f.Add(hardState{7, 6, "n1-00000000"}.encode())
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := decodeHardState(b); err == nil && string(h.encode()) != string(b) {
			t.Errorf("%x decodes to %+v", b, h)
		}
	})
}
