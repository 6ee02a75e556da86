// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/hawserdb/hawser/internal/halt"
)

// hungAfter is how long one write or fsync may take before the disk counts as
// hung.
const hungAfter = 10 * time.Second

// errClosed is what a closed engine answers.
var errClosed = errors.New("the engine is closed")

func errClosedHalt(dir string) error {
	return &halt.Error{Reason: halt.Engine, Where: dir, Err: errClosed}
}

// fail latches the first failure. It may be called under the store's locks,
// so it calls nothing of the store.
func (d *DB) fail(err error) error {
	if d.latch(err) {
		if f := d.onFatal.Load(); f != nil {
			(*f)(err)
		}
	}
	return d.failure
}

// tell sets whom to tell of a failure, at once if there is one already.
func (d *DB) tell(f halt.Func) {
	if f == nil {
		return
	}
	d.onFatal.Store(&f)
	if err := d.check(); err != nil {
		f(err)
	}
}

// latch makes err what every call returns from now on, unless there is such
// an error already; it reports whether err was the first.
func (d *DB) latch(err error) (first bool) {
	d.failOnce.Do(func() {
		d.failure, first = err, true
		close(d.failed)
	})
	return first
}

// check returns the latched failure, or nil.
func (d *DB) check() error {
	select {
	case <-d.failed:
		return d.failure
	default:
		return nil
	}
}

// do runs op, which may write, and returns early when the engine fails
// meanwhile: op may then be blocked for ever. An error or panic of op is a
// failure of the engine.
func (d *DB) do(what string, op func() error) error {
	if err := d.check(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- guard(op) }()
	select {
	case err := <-done:
		if err != nil {
			return d.fail(d.classify(what, err))
		}
		return nil
	case <-d.failed:
		return d.failure
	}
}

// read returns err of a read as the error to give to the caller. Damage fails
// the engine; so does any other error but fs.ErrNotExist kinds, because a read
// that fails once may have let a replica decide on less than it has.
func (d *DB) read(what string, err error) error {
	if err == nil {
		return nil
	}
	return d.fail(d.classify(what, err))
}

// panicError is a panic of the store, which on damaged files it may do.
type panicError struct{ value any }

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

func guard(op func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{value: v}
		}
	}()
	return op()
}

// classify makes a *halt.Error of an error of the store.
func (d *DB) classify(what string, err error) error {
	if _, ok := errors.AsType[*halt.Error](err); ok {
		return err
	}
	reason, where := halt.Engine, d.dir
	if info := pebble.ExtractDataCorruptionInfo(err); info != nil && info.Path != "" {
		where = info.Path
	}
	if _, ok := errors.AsType[*panicError](err); ok || pebble.IsCorruptionError(err) || errors.Is(err, fs.ErrNotExist) {
		reason = halt.Damaged
	}
	return &halt.Error{Reason: reason, Where: where, Err: fmt.Errorf("%s: %w", what, err)}
}

// classifyOpen is classify for errors of Open, where what the store cannot
// read is damage unless the operating system says otherwise.
func (d *DB) classifyOpen(err error) error {
	const what = "open engine"
	if _, ok := errors.AsType[*halt.Error](err); ok {
		return err
	}
	wrapped := fmt.Errorf("%s: %w", what, err)
	errno, isErrno := errors.AsType[syscall.Errno](err)
	switch {
	case strings.Contains(err.Error(), "lock held by current process"),
		isErrno && (errno == syscall.EAGAIN || errno == syscall.EACCES || errno == syscall.EPERM || errno == syscall.EROFS):
		return &halt.Error{Reason: halt.Directory, Where: d.dir, Err: wrapped, Hint: "is another process using it?"}
	case errors.Is(err, pebble.ErrDBAlreadyExists):
		return &halt.Error{Reason: halt.Directory, Where: d.dir, Err: wrapped}
	case isErrno && errno != syscall.ENOENT:
		return &halt.Error{Reason: halt.Engine, Where: d.dir, Err: wrapped}
	}
	e := &halt.Error{Reason: halt.Damaged, Where: d.dir, Err: wrapped}
	if info := pebble.ExtractDataCorruptionInfo(err); info != nil && info.Path != "" {
		e.Where = info.Path
	}
	return e
}

// backgroundError is told of every failed flush and compaction. It ends the
// goroutine that tells it: the store would try again at once, and for ever.
// Deferred calls let its locks go, so that readers do not hang.
func (d *DB) backgroundError(err error) {
	if errors.Is(err, pebble.ErrCancelledCompaction) || d.closing.Load() {
		return
	}
	_ = d.fail(d.classify("background work", err)) // the latch keeps it
	runtime.Goexit()
}

func (d *DB) dataCorruption(info pebble.DataCorruptionInfo) {
	_ = d.fail(&halt.Error{Reason: halt.Damaged, Where: info.Path, Err: fmt.Errorf("stored bytes are damaged: %w", info.Details)})
}

func (d *DB) diskSlow(info pebble.DiskSlowInfo) {
	if info.Duration < hungAfter {
		d.opts.Logger.Warn("disk is slow", "file", info.Path, "operation", info.OpType.String(), "duration", info.Duration)
		return
	}
	_ = d.fail(&halt.Error{Reason: halt.Hung, Where: info.Path, Err: fmt.Errorf("%s has not returned for %s", info.OpType, info.Duration)})
}

func (d *DB) writeStall(info pebble.WriteStallBeginInfo) {
	d.opts.Logger.Warn("writes wait for compactions", "reason", info.Reason)
}

// logger gives the store's messages to slog.
type logger DB

// Infof drops a message: the store tells of every flush and compaction.
func (l *logger) Infof(string, ...any) {}

// Errorf logs a message as a warning; what is fatal comes through Fatalf.
func (l *logger) Errorf(format string, args ...any) {
	l.opts.Logger.Warn("engine", "message", fmt.Sprintf(format, args...))
}

// Fatalf fails the engine and never returns: the store's state is undefined
// after it, and it would go on writing.
func (l *logger) Fatalf(format string, args ...any) {
	d := (*DB)(l)
	_ = d.fail(&halt.Error{Reason: halt.Engine, Where: d.dir, Err: fmt.Errorf(format, args...)})
	select {}
}
