// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/halt"
)

// machineFSM is raft's state machine: it hands what raft delivers to ours. All
// its methods but Persist run on one goroutine of raft's. After an error of
// the machine it applies nothing more.
type machineFSM struct {
	machine   Machine
	latch     *latch
	dir       string
	onApplied func([]fsm.Applied)
	// onSwapped is told when the machine's state was replaced; may be nil.
	onSwapped func()
	// onConfiguration is told of each committed configuration.
	onConfiguration func(index uint64)
	// reset empties the log after the machine was swapped.
	reset func(id entryID, conf configMark) error
	// afterStep is where a test cuts an install short.
	afterStep func(step string) error
	// batches counts the batches that were applied.
	batches atomic.Uint64
}

var (
	_                   raft.BatchingFSM = (*machineFSM)(nil)
	_                   raft.FSMSnapshot = persister{}
	_                   io.ReadCloser    = (*received)(nil)
	errMachineIsStopped                  = errors.New("the state machine is stopped")
)

// Apply implements raft.FSM.
func (f *machineFSM) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch implements raft.BatchingFSM. Results do not go through raft's
// futures, so there is nothing to return but the right number of them.
func (f *machineFSM) ApplyBatch(logs []*raft.Log) []any {
	answers := make([]any, len(logs))
	entries := make([]fsm.Entry, 0, len(logs))
	var configuration uint64
	for _, l := range logs {
		switch l.Type {
		case raft.LogCommand:
			entries = append(entries, fsm.Entry{Index: l.Index, Term: l.Term, Kind: fsm.EntryCommand, Data: l.Data})
		case raft.LogConfiguration:
			configuration = l.Index
			entries = append(entries, fsm.Entry{Index: l.Index, Term: l.Term, Kind: fsm.EntryConfiguration, Data: l.Data})
		case raft.LogNoop, raft.LogBarrier, raft.LogAddPeerDeprecated, raft.LogRemovePeerDeprecated:
		}
	}
	var applied []fsm.Applied
	err := f.latch.do(halt.Engine, "state", "apply", func() error {
		var err error
		applied, err = f.apply(entries)
		return err
	})
	if err != nil {
		return answers // nothing more is applied: the latch is closed
	}
	f.batches.Add(1)
	if f.onApplied != nil {
		f.onApplied(applied)
	}
	if configuration != 0 {
		f.onConfiguration(configuration)
	}
	return answers
}

// apply hands entries to the machine. A panic of it is a defect that all
// replicas meet at the same entry. Their files are sound, so it must not count
// as damage, which would close every directory of the cluster for good. A fault
// on a mapped file is damage.
func (f *machineFSM) apply(entries []fsm.Entry) (applied []fsm.Applied, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case interface{ Addr() uintptr }:
			panic(p)
		default:
			f.latch.logger.Error("the state machine panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = &halt.Error{
				Reason: halt.Engine, Where: "state", Err: fmt.Errorf("the state machine panicked: %v", p),
				Hint: "a defect of this program, not of the files: report it, and start the node again with a corrected version",
			}
		}
	}()
	return f.machine.Apply(entries)
}

// Snapshot implements raft.FSM.
func (f *machineFSM) Snapshot() (raft.FSMSnapshot, error) {
	if err := f.latch.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", errMachineIsStopped, err)
	}
	return persister{f}, nil
}

// persister takes a snapshot by making the machine durable.
type persister struct{ f *machineFSM }

// Persist implements raft.FSMSnapshot. When it returns, everything that raft
// delivered before Snapshot is durable, and raft may truncate the log.
func (p persister) Persist(sink raft.SnapshotSink) error {
	if err := p.f.latch.do(halt.Engine, "state", "flush", p.f.machine.Flush); err != nil {
		return err
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (persister) Release() {}

// Restore implements raft.FSM: the machine is replaced by a received
// checkpoint and the log emptied. On return both are durable.
func (f *machineFSM) Restore(rc io.ReadCloser) error {
	r, ok := unwrapReceived(rc)
	if !ok {
		return fmt.Errorf("restore of %T, which is not a received checkpoint", rc)
	}
	if err := f.latch.Err(); err != nil {
		return err
	}
	conf, err := decodeConfiguration(r.meta.Configuration)
	if err != nil {
		return err
	}
	id := entryID{r.meta.Index, r.meta.Term}
	if index, _ := f.machine.Applied(); index >= id.index {
		return fmt.Errorf("checkpoint at %d is behind the machine, which applied %d", id.index, index)
	}
	if err := writeIntent(f.dir, id); err != nil {
		return f.latch.fail(halt.Wrap(halt.Engine, intentPath(f.dir), err))
	}
	if err := f.step("intent"); err != nil {
		return err
	}
	if err := f.machine.Swap(r.dir, r.meta); err != nil {
		err = fmt.Errorf("install checkpoint at %d: %w", id.index, err)
		if _, ok := errors.AsType[*halt.Error](err); ok {
			return f.latch.fail(err)
		}
		return errors.Join(err, removeIntent(f.dir)) // refused, nothing changed
	}
	if f.onSwapped != nil {
		f.onSwapped()
	}
	if err := f.step("swap"); err != nil {
		return err
	}
	return f.swapped(id, configMark{r.meta.ConfigurationIndex, conf})
}

// swapped carries out the rest of an install: the machine has the checkpoint.
func (f *machineFSM) swapped(id entryID, conf configMark) error {
	err := f.reset(id, conf)
	if err == nil {
		err = f.step("reset")
	}
	if err == nil {
		err = removeIntent(f.dir)
	}
	if err != nil {
		return f.latch.fail(halt.Wrap(halt.Log, f.dir, fmt.Errorf("empty the log after a checkpoint: %w", err)))
	}
	f.onConfiguration(conf.index)
	return nil
}

func (f *machineFSM) step(name string) error {
	if f.afterStep == nil {
		return nil
	}
	return f.afterStep(name)
}
