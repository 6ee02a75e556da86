// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hawserdb/hawser/internal/halt"
)

// A directory whose parts do not fit together is refused, closed, and refused
// again with a hint; the reason names the part.
func TestOpen_QuarantinesWhatDoesNotFit(t *testing.T) {
	remove := func(names ...string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			for _, n := range names {
				if err := os.RemoveAll(filepath.Join(dir, n)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, c := range []struct {
		name, names string
		break_      func(t *testing.T, dir string)
	}{
		{"the log is gone", "wal", remove("wal")},
		{"term and vote are gone", stableFile, remove(stableFile)},
		{"log, term and vote are gone", stableFile, remove("wal", stableFile)},
		{"the state is gone", "wal", remove("state")},
		{"the mark is gone", markFile, remove("wal/mark")},
		{"the list of segments is gone", "meta", remove("wal/meta")},
		{"an older term and vote", stableFile, func(t *testing.T, dir string) {
			t.Helper()
			remove(stableFile)(t, dir)
			s, _ := openTestStable(t, dir)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGroup(t, 1, littleLog)
			m := g.leader()
			g.propose(m, 10, 100)
			if err := m.replica.Snapshot(); err != nil { // so that the log does not begin at 1
				t.Fatal(err)
			}
			g.propose(m, 3, 100)
			g.stop(m.id)
			c.break_(t, m.dir)
			_, err := g.open(m.id)
			he, ok := errors.AsType[*halt.Error](err)
			if !ok || he.Reason != halt.Damaged || !strings.Contains(err.Error(), c.names) {
				t.Fatalf("%v", err)
			}
			_, err = g.open(m.id)
			if he, ok := errors.AsType[*halt.Error](err); !ok || he.Reason != halt.Damaged ||
				!strings.Contains(err.Error(), "quarantined earlier") || !strings.Contains(err.Error(), "--join") {
				t.Errorf("the second time: %v", err)
			}
			if m.halted() != nil {
				t.Errorf("Halt was called for an error of Open: %v", m.halted())
			}
		})
	}
}

// A directory keeps its kind of log; nothing is changed by the refusal.
func TestOpen_RefusesTheOtherKindOfLog(t *testing.T) {
	g := newGroup(t, 1, nil)
	m := g.leader()
	g.stop(m.id)
	g.tune = func(c *Config) { c.LogStore = LogBoltDB }
	_, err := g.open(m.id)
	if he, ok := errors.AsType[*halt.Error](err); !ok || he.Reason != halt.Directory {
		t.Errorf("%v", err)
	}
	g.tune = nil
	g.start(m.id)
}

// All faults of a Config are told at once.
func TestConfig_Validate(t *testing.T) {
	_, err := Open(Config{LogStore: "paper", Timeouts: Timeouts{Heartbeat: 1, Lease: 2}})
	for _, want := range []string{"ID", "Dir", "Machine", "Streams", "Logger", "Halt", "paper", "Lease"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}
