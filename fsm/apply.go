// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"fmt"

	"github.com/hawserdb/hawser/internal/halt"
)

// EntryKind says what a log entry holds.
type EntryKind uint8

const (
	// EntryCommand holds a batch made by [AppendBatch].
	EntryCommand EntryKind = iota + 1
	// EntryConfiguration holds a configuration of the cluster, which the
	// machine keeps and does not look into.
	EntryConfiguration
)

// Entry is one committed log entry.
type Entry struct {
	Index, Term uint64
	Kind        EntryKind
	// Data is not changed and not kept, but what [Applied] returns aliases it.
	Data []byte
}

// Applied is what became of one entry. It aliases the entry's data.
type Applied struct {
	Index, Term uint64
	// ID, Commands and Results are of the batch in the entry, one result a
	// command; empty for a configuration and for an entry that had been
	// applied before.
	ID       BatchID
	Commands []Command
	Results  []Result
	// Digest is the replica digest after the entry, 0 where Commands is empty.
	Digest uint64
}

// Apply applies committed entries, in ascending order of their indexes, and
// returns one Applied for each. Entries at or below the applied index are
// skipped. An error, a *halt.Error, stops the machine for good; what the
// entries did is then not visible.
func (m *Machine) Apply(entries []Entry) ([]Applied, error) {
	m.applying.Lock()
	defer m.applying.Unlock()
	s, err := m.acquire()
	if err != nil {
		return nil, err
	}
	out, err := m.apply(s, entries)
	if err != nil {
		err = m.stop(err)
	}
	if closeErr := m.release(s); err == nil {
		err = closeErr
	}
	return out, err
}

func (m *Machine) apply(s *store, entries []Entry) ([]Applied, error) {
	published := m.published.Load()
	meta, marks := published.meta, published.marks
	before := meta
	out := make([]Applied, len(entries))
	batch := s.db.NewBatch()
	c := newChanges(s.db, &writes{Batch: batch}, m.state, m.opts.MaxLevel)
	for i, e := range entries {
		out[i] = Applied{Index: e.Index, Term: e.Term}
		if e.Index <= meta.Index {
			continue
		}
		if err := c.entry(e, &out[i], &meta, &marks); err != nil {
			_ = batch.Close() // nothing was committed; the error is the one to report
			return nil, fmt.Errorf("log entry %d of term %d: %w", e.Index, e.Term, err)
		}
		meta.Index, meta.Term = e.Index, e.Term
	}
	if meta.Index == before.Index {
		return out, batch.Close()
	}
	c.putState(meta, marks, meta.ConfigurationIndex != before.ConfigurationIndex)
	if err := batch.Commit(); err != nil {
		return nil, err
	}
	m.state = c.state
	m.publish(meta, marks)
	return out, nil
}

// entry applies one entry.
func (c *changes) entry(e Entry, out *Applied, meta *Meta, marks *Marks) error {
	switch e.Kind {
	case EntryConfiguration:
		meta.Configuration = append([]byte{}, e.Data...)
		meta.ConfigurationIndex = e.Index
		return nil
	case EntryCommand:
		if err := c.commands(e.Data, out); err != nil {
			return err
		}
		c.finish()
		c.value = c.state.append(c.value[:0])
		marks.Applied = Mark{e.Index, c.batch.chain(marks.Applied.Digest, e, c.value)}
		out.Digest = marks.Applied.Digest
		if c.audited {
			marks.Audited, c.audited = marks.Applied, false
		}
		return nil
	}
	return &halt.Error{Reason: halt.Level, Err: fmt.Errorf("entry of unknown kind %d", e.Kind)}
}

func (c *changes) commands(data []byte, out *Applied) error {
	b, err := DecodeBatch(data)
	if err != nil {
		return err
	}
	c.state.time = max(c.state.time, b.Time)
	out.ID, out.Commands = b.ID, b.Commands
	out.Results = make([]Result, len(b.Commands))
	for i, cmd := range b.Commands {
		if level := commandTypes[cmd.kind()].level; level > c.state.level {
			return levelError(fmt.Errorf("a command of feature level %d, the machine is at level %d", level, c.state.level))
		}
		if c.state.importing && !importable(cmd) {
			out.Results[i], _ = c.refuse(errImporting())
			continue
		}
		c.before = c.state.revision
		if out.Results[i], err = cmd.apply(c); err != nil {
			return err
		}
		out.Results[i].Events = c.logEvents()
	}
	return nil
}
