// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/halt"
)

// smallEngine flushes often.
func smallEngine(fs vfs.FS) fsm.Options {
	return fsm.Options{FS: fs, MemTableBytes: 64 << 10, CacheBytes: 1 << 20}
}

// prefixes returns the digest of a log's state at every applied index.
func prefixes(t *testing.T, log []fsm.Entry) map[uint64]digests {
	t.Helper()
	r := newReplica(t, rand.New(rand.NewPCG(0, 0)), log, nil)
	digests := map[uint64]digests{0: r.digest()}
	for r.next < len(log) {
		r.apply(1)
		digests[r.applied()] = r.digest()
	}
	return digests
}

// failingFS fails every writing operation from the nth on, like a disk that
// goes away; n counts down.
func failingFS(fs vfs.FS, n int64) (vfs.FS, *atomic.Int64) {
	left := new(atomic.Int64)
	left.Store(n)
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && left.Add(-1) < 0 {
			return errors.New("the disk is gone")
		}
		return nil
	})), left
}

// TestMachine_DiskError: a disk that goes away at any moment stops the
// machine with a halt error, told to Halt too, and what is then on the disk
// is an exact prefix that holds what Durable had said.
func TestMachine_DiskError(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	log := randomLog(t, rng, 100)
	digests := prefixes(t, log)
	stopped := 0
	for n := int64(0); n < 250; n += 1 + rng.Int64N(25) {
		disk := vfs.NewCrashableMem()
		fs, _ := failingFS(disk, n)
		opts := smallEngine(fs)
		told := make(chan error, 10)
		opts.Halt = func(err error) { told <- err }
		durable, err := untilStopped(log, opts, told)
		if err != nil {
			stopped++
			if reasonOf(err) == 0 {
				t.Fatalf("after %d writes: not a halt error: %v", n, err)
			}
		}
		checkDisk(t, disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng}), digests, durable)
	}
	if stopped == 0 {
		t.Error("no error stopped anything: the test shows nothing")
	}
}

// untilStopped is applyAndFlush, but gives up on a machine that has told of its
// end and does not return: a read that was under way may wait for a lock of the
// store for ever, which whoever met the error holds for ever. A node's process
// ends for all that.
func untilStopped(log []fsm.Entry, opts fsm.Options, told <-chan error) (uint64, error) {
	var durable atomic.Uint64
	done := make(chan error, 1)
	go func() { done <- applyAndFlush(log, opts, &durable) }()
	select {
	case err := <-done:
		return durable.Load(), err
	case err := <-told:
		select {
		case err := <-done:
			return durable.Load(), err
		case <-time.After(5 * time.Second):
			return durable.Load(), err
		}
	}
}

// applyAndFlush applies the log until an error, and notes what Durable last said.
func applyAndFlush(log []fsm.Entry, opts fsm.Options, durable *atomic.Uint64) error {
	m, err := fsm.Open("state", opts)
	if err != nil {
		return err
	}
	for i, e := range log {
		if _, err := m.Apply([]fsm.Entry{e}); err != nil {
			return err
		}
		if i%10 == 0 {
			if err := m.Flush(); err != nil {
				return err
			}
			meta, err := m.Durable()
			if err != nil {
				return err
			}
			if meta.Index != e.Index {
				return fmt.Errorf("flushed at %d, durable is %d", e.Index, meta.Index)
			}
			durable.Store(meta.Index)
		}
	}
	return m.Close()
}

// checkDisk opens what a failure left: an exact prefix, at least the durable one.
func checkDisk(t *testing.T, disk vfs.FS, digests map[uint64]digests, durable uint64) {
	t.Helper()
	m, err := fsm.Open("state", smallEngine(disk))
	if err != nil {
		t.Fatalf("open after the failure: %v", err)
	}
	defer m.Close()
	index, _ := m.Applied()
	sum, err := m.Digest(t.Context())
	if err != nil || digests[index].state != sum {
		t.Fatalf("at index %d the state is not that of the index, %v", index, err)
	}
	if index < durable {
		t.Fatalf("at index %d, Durable had said %d", index, durable)
	}
}

// TestMachine_SwapIsAtomic: whichever writing operation of a swap is the
// last, and whatever of the unsynced rest survives, the machine opens with
// the old state or the new one; with the new one if Swap had returned nil.
func TestMachine_SwapIsAtomic(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	log := randomLog(t, rng, 60)
	digests := prefixes(t, log)
	const oldAt = 20
	source := newReplica(t, rng, log, nil)
	source.apply(len(log))
	meta, err := source.m.Checkpoint("checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[uint64]int{}
	for n := int64(0); ; n += 1 + rng.Int64N(3) {
		disk := vfs.NewCrashableMem()
		fs, left := failingFS(disk, 1<<40)
		m, err := fsm.Open("state", smallEngine(fs))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Apply(log[:oldAt]); err != nil {
			t.Fatal(err)
		}
		if err := m.Flush(); err != nil {
			t.Fatal(err)
		}
		if _, err := vfs.Clone(source.fs, disk, "checkpoint", "incoming", vfs.CloneSync); err != nil {
			t.Fatal(err)
		}
		left.Store(n)
		swapErr := m.Swap("incoming", meta)
		finished := left.Load() >= 0
		after := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		atLeast := log[oldAt-1].Index
		if swapErr == nil {
			atLeast = meta.Index
		}
		checkDisk(t, after, digests, atLeast)
		got := indexOn(t, after)
		if got != log[oldAt-1].Index && got != meta.Index {
			t.Fatalf("after %d writes: index %d is neither the old nor the new one", n, got)
		}
		seen[got]++
		left.Store(1 << 40)
		m.Close() // an error is expected after a failure
		if finished {
			if swapErr != nil {
				t.Fatal(swapErr)
			}
			break
		}
	}
	if len(seen) != 2 {
		t.Errorf("outcomes %v: the test shows nothing", seen)
	}
	t.Logf("outcomes by index: %v", seen)
}

func indexOn(t *testing.T, disk vfs.FS) uint64 {
	t.Helper()
	m, err := fsm.Open("state", smallEngine(disk))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	index, _ := m.Applied()
	return index
}

// TestMachine_SwapRefuses: a swap that would go backward, to another cluster,
// to damaged files or to a state that is too new changes nothing, stops
// nobody, and leaves nothing behind.
func TestMachine_SwapRefuses(t *testing.T) {
	build := func(t *testing.T, cluster byte, level uint32, n int) (*vfs.MemFS, fsm.Meta) {
		t.Helper()
		fs := vfs.NewMem()
		opts := smallEngine(fs)
		opts.MaxLevel = 9
		m := open(t, "state", opts)
		commands := []fsm.Command{&fsm.LeaderStart{Term: 1, Node: "n", ClusterID: [16]byte{cluster}, Generation: 1}, &fsm.RaiseLevel{Level: level}}
		for i := range n {
			if _, err := m.Apply([]fsm.Entry{command(uint64(i+1), 1, commands...)}); err != nil {
				t.Fatal(err)
			}
		}
		meta, err := m.Checkpoint("checkpoint")
		if err != nil {
			t.Fatal(err)
		}
		return fs, meta
	}
	for name, tc := range map[string]struct {
		cluster byte
		level   uint32
		n       int
		damage  bool
		want    halt.Reason
	}{
		"backward":        {7, 1, 3, false, 0},
		"another cluster": {8, 1, 9, false, 0},
		"too new":         {7, 2, 9, false, halt.Level},
		"damaged":         {7, 1, 9, true, halt.Damaged},
	} {
		t.Run(name, func(t *testing.T) {
			from, meta := build(t, tc.cluster, tc.level, tc.n)
			fs := vfs.NewMem()
			opts := smallEngine(fs)
			opts.Halt = func(err error) { t.Errorf("halted: %v", err) }
			m := open(t, "state", opts)
			for i := range uint64(5) {
				if _, err := m.Apply([]fsm.Entry{command(i+1, 1, &fsm.LeaderStart{Term: 1, Node: "m", ClusterID: [16]byte{7}, Generation: 1})}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := vfs.Clone(from, fs, "checkpoint", "incoming"); err != nil {
				t.Fatal(err)
			}
			if tc.damage {
				damageAll(t, fs, "incoming")
			}
			err := m.Swap("incoming", meta)
			if err == nil || reasonOf(err) != tc.want {
				t.Fatalf("swap: %v", err)
			}
			if index, _ := m.Applied(); index != 5 || m.Info().LeaderNode != "m" {
				t.Errorf("the machine is at %d", index)
			}
			if _, err := m.Apply([]fsm.Entry{command(6, 1, newSave(agentID("a"), "x", "1"))}); err != nil {
				t.Errorf("the machine does not go on: %v", err)
			}
			if names, _ := fs.List("state"); len(names) != 2 {
				t.Errorf("left in the directory: %v", names)
			}
		})
	}
}

// A view taken before a swap shows the old state after it, and the old
// store's files go when the view is closed.
func TestMachine_SwapKeepsViews(t *testing.T) {
	log := randomLog(t, rand.New(rand.NewPCG(5, 5)), 60)
	source, r := newReplica(t, rand.New(rand.NewPCG(1, 1)), log, nil), newReplica(t, rand.New(rand.NewPCG(1, 1)), log, nil)
	source.apply(60)
	r.apply(20)
	v, err := r.m.View()
	if err != nil {
		t.Fatal(err)
	}
	want := r.digest()
	r.swapFrom(source)
	if got, err := v.Digest(t.Context()); err != nil || got != want.state {
		t.Errorf("the view changed, %v", err)
	}
	if r.digest() != source.digest() {
		t.Error("the machine did not change")
	}
	if names, _ := r.fs.List("state"); len(names) != 3 {
		t.Errorf("with the view open: %v", names)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if names, _ := r.fs.List("state"); len(names) != 2 {
		t.Errorf("with the view closed: %v", names)
	}
}
