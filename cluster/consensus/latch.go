// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/hawserdb/hawser/internal/halt"
)

// latch is a replica's fail-stop. The first failure of a store closes it for
// good: from then on no store writes or reads, the transport neither sends
// nor takes anything, and the node has been told to halt.
//
// raft itself would go on after a failed append, be elected again and again
// (raft#614, #612) or stand still with a hung disk while its heartbeats keep
// others from taking over (raft#503). And after a failed fsync the kernel
// counts the pages as clean, so a repeated fsync that succeeds proves nothing.
//
// Where raft does not go on, it panics: when its term cannot be stored, when a
// committed entry cannot be read. To let the node stop in order, such a call that
// fails while raft runs does not return: it waits until the replica closes and
// then ends raft's goroutine.
type latch struct {
	dir     string
	hang    time.Duration
	logger  *slog.Logger
	halt    halt.Func
	stopped chan struct{} // closed by the first failure

	// running: raft runs, so its failed calls park. parked is closed by unpark.
	running atomic.Bool
	parked  chan struct{}
	once    sync.Once

	mu  sync.Mutex
	err error // guarded by mu; set before stopped is closed
}

func newLatch(dir string, hang time.Duration, logger *slog.Logger, h halt.Func) *latch {
	return &latch{dir: dir, hang: hang, logger: logger, halt: h, stopped: make(chan struct{}), parked: make(chan struct{})}
}

// Err returns the failure, nil while there is none.
func (l *latch) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// fail closes the latch and returns the error that closed it, which is err
// only the first time. A damaged directory is quarantined.
func (l *latch) fail(err error) error {
	l.mu.Lock()
	if l.err != nil {
		defer l.mu.Unlock()
		return l.err
	}
	l.err = err
	close(l.stopped)
	l.mu.Unlock()
	if he, ok := errors.AsType[*halt.Error](err); ok && he.Reason == halt.Damaged {
		if qerr := Quarantine(l.dir, err); qerr != nil {
			l.logger.Error("could not write the quarantine file", "err", qerr)
		}
	}
	l.halt(err)
	return err
}

// watch closes the latch if the returned func is not called within the hang
// limit. The operation that hangs is not interrupted: nothing can do that.
func (l *latch) watch(reason halt.Reason, where, what string) (done func()) {
	t := time.AfterFunc(l.hang, func() {
		// The file system hangs, so nothing is written on this path.
		_ = l.fail(&halt.Error{
			Reason: halt.Hung, Where: where, Hint: "check the disk",
			Err: fmt.Errorf("%s (%v) did not return within %v", what, reason, l.hang),
		})
	})
	return func() { t.Stop() }
}

// do runs one operation of the store at where under the latch: not at all
// after a failure, watched, and with any error or panic closing the latch.
// raft.ErrLogNotFound is an answer, not a failure, and is returned as it is.
func (l *latch) do(reason halt.Reason, where, what string, op func() error) error {
	if err := l.Err(); err != nil {
		return err
	}
	defer l.watch(reason, where, what)()
	err := guarded(where, what, op)
	if err == nil || err == raft.ErrLogNotFound { //nolint:errorlint // raft compares with ==, so must we
		return err
	}
	return l.fail(halt.Wrap(reason, where, fmt.Errorf("%s: %w", what, err)))
}

// guarded runs op and turns a panic, or a fault on a mapped file that became
// shorter, into an error of reason Damaged: bbolt and raft-wal answer damaged
// files with both.
func guarded(where, what string, op func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(old)
	defer func() {
		if p := recover(); p != nil {
			err = damaged(where, "%s: %v", what, p)
		}
	}()
	return op()
}

// park returns err, unless raft runs: then it does not return after an error.
func (l *latch) park(err error) error {
	if err == nil || !l.running.Load() {
		return err
	}
	<-l.parked
	runtime.Goexit()
	return nil
}

// unpark ends the goroutines that are parked.
func (l *latch) unpark() { l.once.Do(func() { close(l.parked) }) }
