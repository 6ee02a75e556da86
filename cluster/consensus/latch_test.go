// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/hawserdb/hawser/internal/halt"
)

// While raft runs, a call that fails and after which raft would panic does not
// return: its goroutine ends, running its deferred calls, when the replica closes.
// The second was seen when a table of the engine was damaged while a message of the
// leader was being dealt with.
func TestLatch_FailedCallsOfRaftPark(t *testing.T) {
	for name, call := range map[string]func(*stableStore, *logStore) error{
		"write the term":         func(s *stableStore, _ *logStore) error { return s.SetUint64([]byte(keyTerm), 9) },
		"read a committed entry": func(_ *stableStore, l *logStore) error { return l.GetLog(5, &raft.Log{}) },
	} {
		t.Run(name, func(t *testing.T) {
			stable, h := openTestStable(t, t.TempDir())
			logs := &logStore{latch: stable.latch, progress: &fakeProgress{}, path: "wal", first: 1, last: 10}
			stable.latch.running.Store(true)
			_ = stable.latch.fail(halt.Wrap(halt.Log, "wal", filepath.ErrBadPattern))
			returned, ended := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(ended)
				_ = call(stable, logs)
				close(returned)
			}()
			select {
			case <-ended:
				t.Fatal("the call returned")
			case <-time.After(20 * time.Millisecond):
			}
			if err := stable.Close(); err != nil {
				t.Fatal(err)
			}
			<-ended
			select {
			case <-returned:
				t.Error("the call returned to raft")
			default:
			}
			if h.reason() != halt.Log {
				t.Errorf("halted with %v", h.reason())
			}
		})
	}
}
