// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// replica applies a log to a machine in a crashable file system, and checks
// each answer against the first replica's.
type replica struct {
	t    *testing.T
	rng  *rand.Rand
	fs   *vfs.MemFS
	m    *fsm.Machine
	log  []fsm.Entry
	want [][]fsm.Result // by position in log; nil for the first replica
	got  [][]fsm.Result
	next int // position in log of the next entry
}

func newReplica(t *testing.T, rng *rand.Rand, log []fsm.Entry, want [][]fsm.Result) *replica {
	t.Helper()
	r := &replica{t: t, rng: rng, fs: vfs.NewCrashableMem(), log: log, want: want, got: make([][]fsm.Result, len(log))}
	r.open()
	t.Cleanup(func() { r.m.Close() })
	return r
}

func (r *replica) open() {
	r.t.Helper()
	m, err := fsm.Open("state", fsm.Options{FS: r.fs, MemTableBytes: 64 << 10, CacheBytes: 1 << 20})
	if err != nil {
		r.t.Fatal(err)
	}
	r.m = m
	r.seek()
}

// seek finds where to go on in the log, sometimes a little before.
func (r *replica) seek() {
	applied, _ := r.m.Applied()
	r.next = 0
	for r.next < len(r.log) && r.log[r.next].Index <= applied {
		r.next++
	}
	r.next -= r.rng.IntN(min(r.next, 3) + 1)
}

// apply applies the next n entries at most, in one call.
func (r *replica) apply(n int) {
	r.t.Helper()
	entries := r.log[r.next:min(r.next+n, len(r.log))]
	before, _ := r.m.Applied()
	out, err := r.m.Apply(entries)
	if err != nil {
		r.t.Fatal(err)
	}
	for i, a := range out {
		at := r.next + i
		if a.Index != r.log[at].Index || a.Index <= before && a.Results != nil {
			r.t.Fatalf("entry %d: answered %+v", r.log[at].Index, a)
		}
		if a.Index <= before {
			continue
		}
		r.got[at] = a.Results
		if r.want != nil && !reflect.DeepEqual(a.Results, r.want[at]) {
			r.t.Fatalf("entry %d: answer\n%+v\nbut the first replica's was\n%+v", a.Index, a.Results, r.want[at])
		}
	}
	r.next += len(entries)
}

// digests is what replicas that applied the same have in common, however it
// was delivered to them.
type digests struct {
	state hawser.Hash
	marks fsm.Marks
}

func (r *replica) digest() digests {
	r.t.Helper()
	sum, err := r.m.Digest(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	marks, err := r.m.Marks()
	if err != nil {
		r.t.Fatal(err)
	}
	return digests{sum, marks}
}

// crash cuts the power: of what was not synced some survives.
func (r *replica) crash() {
	r.t.Helper()
	durable, err := r.m.Durable()
	if err != nil {
		r.t.Fatal(err)
	}
	old := r.m
	r.fs = r.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: r.rng.IntN(101), RNG: r.rng})
	r.open()
	old.Close()
	if meta, err := r.m.Meta(); err != nil || meta.Index < durable.Index {
		r.t.Fatalf("after a power cut at index %d, %v; Durable had said %d", meta.Index, err, durable.Index)
	}
}

func (r *replica) restart() {
	r.t.Helper()
	want, err := r.m.Meta()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.m.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.open()
	if got, err := r.m.Meta(); err != nil || !reflect.DeepEqual(got, want) {
		r.t.Fatalf("closed at %+v, opened at %+v, %v", want, got, err)
	}
}

// swapFrom puts a checkpoint of another replica in place of the state.
func (r *replica) swapFrom(from *replica) {
	r.t.Helper()
	meta, err := from.m.Checkpoint("checkpoint")
	if err != nil {
		r.t.Fatal(err)
	}
	if ok, err := vfs.Clone(from.fs, r.fs, "checkpoint", "incoming"); err != nil || !ok {
		r.t.Fatal(ok, err)
	}
	if err := from.fs.RemoveAll("checkpoint"); err != nil {
		r.t.Fatal(err)
	}
	if err := r.m.Swap("incoming", meta); err != nil {
		r.t.Fatal(err)
	}
	if durable, err := r.m.Durable(); err != nil || !reflect.DeepEqual(durable, meta) {
		r.t.Fatalf("swapped to %+v, durable is %+v, %v", meta, durable, err)
	}
	r.seek()
}
