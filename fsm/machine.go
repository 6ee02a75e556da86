// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/engine"
	"github.com/hawserdb/hawser/internal/halt"
)

// Options configures [Open]. The zero value is ready to use.
type Options struct {
	// Logger gets what an operator cares about; nil discards it.
	Logger *slog.Logger
	// CacheBytes and MemTableBytes size the engine; 0 for its defaults.
	CacheBytes, MemTableBytes int64
	// Halt is told when the engine fails between two calls; the calls return
	// the error too. May be nil.
	Halt halt.Func
	// MaxLevel replaces the constant of that name, for tests; 0 keeps it.
	MaxLevel uint32
	// FS replaces the file system, for tests; nil keeps it.
	FS engine.FS
}

// Machine is the state machine of one node.
type Machine struct {
	opts Options
	home *engine.Home

	// applying serialises Apply, Swap and Close; it guards state, and home.
	applying sync.Mutex
	state    state

	// mu guards which store is in use; the store itself counts who uses it.
	mu    sync.RWMutex
	store *store

	// published is what the last applied batch left, for everybody.
	published atomic.Pointer[published]
	waiters   waiters
	// failed is the error that stopped the machine.
	failed atomic.Pointer[error]
}

// published changes as one. It is never modified.
type published struct {
	info  Info
	meta  Meta
	marks Marks
}

// errClosed is what a closed machine answers.
var errClosed error = &hawser.Error{Code: hawser.CodeUnavailable, Op: "state machine", Msg: "it is closed"}

// Open opens the machine in dir, or makes it. Errors are *halt.Error values:
// Level for a state that a newer binary wrote, Damaged for files that are not
// what was written, Directory for a directory that cannot be used.
func Open(dir string, opts Options) (*Machine, error) {
	opts.MaxLevel = cmp.Or(opts.MaxLevel, MaxLevel)
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	home, db, err := engine.OpenHome(dir, engine.Options{
		Logger: opts.Logger, CacheBytes: opts.CacheBytes, MemTableBytes: opts.MemTableBytes, FS: opts.FS, OnFatal: opts.Halt,
	})
	if err != nil {
		return nil, err
	}
	s, meta, marks, err := load(db, opts.MaxLevel)
	if err != nil {
		return nil, errors.Join(err, db.Discard())
	}
	m := &Machine{opts: opts, home: home, state: s, store: newStore(db)}
	m.publish(meta, marks)
	return m, nil
}

// load reads a state and how far it has come, those of a new machine if there are
// none.
func load(src source, maxLevel uint32) (state, Meta, Marks, error) {
	appliedKey, configurationKey, stateKey := metaKeys()
	values := make([][]byte, 0, 3)
	for _, key := range [...][]byte{stateKey, appliedKey, configurationKey} {
		v, _, err := src.Get(key)
		if err != nil {
			return state{}, Meta{}, Marks{}, err
		}
		values = append(values, v)
	}
	if values[0] == nil && values[1] == nil {
		return state{level: firstLevel}, Meta{}, Marks{}, nil
	}
	s, err := parseState(values[0], maxLevel)
	if err != nil {
		return state{}, Meta{}, Marks{}, halt.Wrap(halt.Damaged, "state of the machine", err)
	}
	meta, marks, err := parseMeta(values[1], values[2])
	if err != nil {
		return state{}, Meta{}, Marks{}, damaged("applied index of the machine", err)
	}
	return s, meta, marks, nil
}

func (m *Machine) publish(meta Meta, marks Marks) {
	m.published.Store(&published{info: m.state.info(), meta: meta, marks: marks})
	m.waiters.reached(meta.Index)
}

// Applied returns index and term of the last entry that Apply took, which
// need not be durable.
func (m *Machine) Applied() (index, term uint64) {
	p := m.published.Load()
	return p.meta.Index, p.meta.Term
}

// Info returns what the machine knows of the cluster, as of the last applied batch.
func (m *Machine) Info() Info { return m.published.Load().info }

// Meta returns how far the machine has come, which need not be durable. The
// configuration must not be modified.
func (m *Machine) Meta() (Meta, error) {
	if err := m.stopped(); err != nil {
		return Meta{}, err
	}
	return m.published.Load().meta, nil
}

// Marks returns the replica digests that go with [Machine.Meta].
func (m *Machine) Marks() (Marks, error) {
	if err := m.stopped(); err != nil {
		return Marks{}, err
	}
	return m.published.Load().marks, nil
}

// Durable returns how far a machine would have come that is opened after a
// power cut now.
func (m *Machine) Durable() (Meta, error) {
	s, err := m.acquire()
	if err != nil {
		return Meta{}, err
	}
	defer m.done(s)
	applied, configuration, _ := metaKeys()
	values, err := s.db.Durable(applied, configuration)
	if err != nil {
		return Meta{}, err
	}
	meta, _, err := parseMeta(values[0], values[1])
	return meta, halt.Wrap(halt.Damaged, "applied index of the machine", err)
}

// Flush makes everything durable that was applied before the call.
func (m *Machine) Flush() error {
	s, err := m.acquire()
	if err != nil {
		return err
	}
	defer m.done(s)
	return s.db.Flush()
}

// Metrics returns numbers about the engine.
func (m *Machine) Metrics() (engine.Metrics, error) {
	s, err := m.acquire()
	if err != nil {
		return engine.Metrics{}, err
	}
	defer m.done(s)
	return s.db.Metrics(), nil
}

// Close flushes and closes the machine and fails who waits. Views stay valid;
// the engine ends with the last of them. Close may be called again.
func (m *Machine) Close() error {
	return m.close(func(s *store) error { return s.db.Flush() })
}

// Discard is Close without the flush: what was not durable is left to the log,
// as after a crash.
func (m *Machine) Discard() error {
	return m.close(func(*store) error { return nil })
}

func (m *Machine) close(finish func(*store) error) error {
	m.applying.Lock()
	defer m.applying.Unlock()
	m.mu.Lock()
	s := m.store
	m.store = nil
	m.mu.Unlock()
	if s == nil {
		return nil
	}
	m.waiters.fail(errClosed)
	return errors.Join(finish(s), m.release(s))
}

// stopped returns the error that stopped the machine, if any.
func (m *Machine) stopped() error {
	if err := m.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// stop latches the first error after which the machine does nothing.
func (m *Machine) stop(err error) error {
	err = halt.Wrap(halt.Engine, "state machine", err)
	if m.failed.CompareAndSwap(nil, &err) {
		m.waiters.fail(err)
	}
	return m.stopped()
}

// String returns where the machine is in the log.
func (m *Machine) String() string {
	index, term := m.Applied()
	return fmt.Sprintf("machine at index %d of term %d", index, term)
}
