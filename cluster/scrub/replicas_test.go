// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package scrub

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/engine"
	"github.com/hawserdb/hawser/internal/rebuild"
	"github.com/hawserdb/hawser/internal/record"
)

// replicas are machines that apply the same commands, each with a Scrubber;
// the first leads.
type replicas struct {
	t  *testing.T
	fs vfs.FS
	// down says which nodes do not answer.
	down []atomic.Bool

	mu       sync.Mutex
	index    uint64
	machines []*fsm.Machine
	halted   []error

	scrubbers []*Scrubber
	bytes     map[hawser.AgentID][]byte
	heads     map[hawser.AgentID]fsm.Base
}

func newReplicas(t *testing.T, n int) *replicas {
	t.Helper()
	r := &replicas{
		t: t, fs: vfs.NewMem(), down: make([]atomic.Bool, n), machines: make([]*fsm.Machine, n), halted: make([]error, n),
		bytes: map[hawser.AgentID][]byte{}, heads: map[hawser.AgentID]fsm.Base{},
	}
	for i := range n {
		r.open(i)
		r.scrubbers = append(r.scrubbers, New(Config{
			Self: name(i), View: func() (View, error) { return r.machine(i).View() }, Gate: rebuild.New(),
			Repair:     func(f fsm.Repair) error { return r.machine(i).Repair(f) },
			RepairPart: func(f fsm.Repair, index uint32, data []byte) error { return r.machine(i).RepairPart(f, index, data) },
			Peers:      peers{r}, Leads: func() bool { return i == 0 },
			Submit: func(_ context.Context, c fsm.Command) (fsm.Result, error) { return r.apply(c), nil },
			Halt:   func(err error) { r.mu.Lock(); defer r.mu.Unlock(); r.halted[i] = err },
			Logger: slog.New(slog.DiscardHandler), Delay: time.Millisecond,
		}))
	}
	t.Cleanup(func() {
		for i := range r.machines {
			r.scrubbers[i].Close()
			_ = r.machine(i).Close()
		}
	})
	return r
}

func name(i int) string { return fmt.Sprint("n", i) }

func (r *replicas) open(i int) {
	r.t.Helper()
	m, err := fsm.Open(name(i), fsm.Options{FS: r.fs, CacheBytes: 1 << 20, MemTableBytes: 1 << 20})
	if err != nil {
		r.t.Fatal(err)
	}
	r.machines[i] = m
}

func (r *replicas) machine(i int) *fsm.Machine {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.machines[i]
}

// apply applies a command on all machines and returns the result of the first.
func (r *replicas) apply(c fsm.Command) (res fsm.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.index++
	data := fsm.AppendBatch(nil, fsm.BatchID{byte(r.index)}, int64(r.index), [][]byte{fsm.AppendCommand(nil, c)})
	for i, m := range r.machines {
		out, err := m.Apply([]fsm.Entry{{Index: r.index, Term: 1, Kind: fsm.EntryCommand, Data: data}})
		if err != nil {
			r.t.Error(err)
			return res
		}
		if i == 0 {
			res = out[0].Results[0]
		}
		r.scrubbers[i].OnApplied(out)
	}
	return res
}

// save saves a state that says it has the hash sha, by delta if it can.
func (r *replicas) save(id hawser.AgentID, state []byte, sha hawser.Hash) uint64 {
	r.t.Helper()
	c := &fsm.Save{
		Agent: id, Request: fsm.Request{Nonce: hawser.NewNonce(), Seen: r.heads[id].Number}, SHA256: sha,
		Size: uint64(len(state)), Content: record.EncodeKeyframe(state),
	}
	var res fsm.Result
	head, known := r.heads[id]
	if known {
		delta := *c
		delta.Base = &head
		delta.Content, _ = record.EncodeDelta(r.bytes[id], state)
		res = r.apply(&delta)
	}
	if !known || errors.Is(res.Err, hawser.ErrKeyframeNeeded) {
		res = r.apply(c)
	}
	if res.Err != nil {
		r.t.Fatal(res.Err)
	}
	r.heads[id], r.bytes[id] = fsm.Base{Number: res.Number, SHA256: sha}, state
	return res.Number
}

// history saves n states, each a little longer than the one before.
func (r *replicas) history(id hawser.AgentID, n int) {
	r.t.Helper()
	state := bytes.Repeat([]byte(id.Name+" has much to say. "), 50)
	for i := range n {
		state = fmt.Appendf(slices.Clone(state), "step %d. ", i)
		r.save(id, state, sha256.Sum256(state))
	}
}

// alter changes what node i has stored, behind its machine's back.
func (r *replicas) alter(i int, change func(key, value []byte) []byte) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.machines[i].Close(); err != nil {
		r.t.Fatal(err)
	}
	_, db, err := engine.OpenHome(name(i), engine.Options{FS: r.fs})
	if err != nil {
		r.t.Fatal(err)
	}
	it, err := db.Iter([]byte{0}, []byte{0xff})
	if err != nil {
		r.t.Fatal(err)
	}
	batch := db.NewBatch()
	for it.Next() {
		if value := change(it.Key(), slices.Clone(it.Value())); value != nil {
			batch.Set(it.Key(), value)
		}
	}
	if batch.Empty() {
		r.t.Fatal("nothing was altered")
	}
	if err := errors.Join(it.Close(), batch.Commit(), db.Close()); err != nil {
		r.t.Fatal(err)
	}
	r.open(i)
}

// flipContent alters a content of segment 1, flipPart a part.
func flipContent(key, value []byte) []byte {
	if key[0] != 's' || len(key) != 1+8+4 || key[8] != 1 || key[12] != 2 {
		return nil
	}
	value[len(value)-1] ^= 1
	return value
}

func flipPart(key, value []byte) []byte {
	if key[0] != 'p' || key[len(key)-1] != 1 {
		return nil
	}
	value[99] ^= 1
	return value
}

func (r *replicas) state(i int, version hawser.VersionRef) (hawser.VersionState, error) {
	r.t.Helper()
	v, err := r.machine(i).View()
	if err != nil {
		r.t.Fatal(err)
	}
	defer v.Close()
	described, err := v.Version(version.Agent, version.Number)
	if err != nil {
		r.t.Fatal(err)
	}
	_, _, err = v.Materialise(version.Agent, version.Number)
	return described.State, err
}

// sameEverywhere demands that all machines have the same state.
func (r *replicas) sameEverywhere() {
	r.t.Helper()
	var digests []hawser.Hash
	for i := range r.machines {
		d, err := r.machine(i).Digest(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		digests = append(digests, d)
	}
	if len(slices.Compact(digests)) != 1 {
		r.t.Errorf("the replicas differ: %v", digests)
	}
}

// peers asks the other replicas.
type peers struct{ r *replicas }

var errDown = errors.New("down")

func (p peers) at(node string) (int, error) {
	for i := range p.r.machines {
		if name(i) == node && !p.r.down[i].Load() {
			return i, nil
		}
	}
	return 0, errDown
}

func (p peers) Voters() (nodes []string) {
	for i := range p.r.machines {
		nodes = append(nodes, name(i))
	}
	return nodes
}

func (p peers) Leader() string { return name(0) }

func (p peers) Stored(ctx context.Context, node string, version hawser.VersionRef) (Report, error) {
	i, err := p.at(node)
	if err != nil {
		return Report{}, err
	}
	return p.r.scrubbers[i].Inspect(ctx, version)
}

func (p peers) Content(_ context.Context, node string, segment uint64, position uint32) (c record.Content, stamp uint64, err error) {
	err = p.view(node, func(v *fsm.View) (err error) {
		c, stamp, err = v.ContentAt(segment, position)
		return err
	})
	return c, stamp, err
}

func (p peers) Part(_ context.Context, node string, upload [16]byte, index uint32) (data []byte, err error) {
	err = p.view(node, func(v *fsm.View) (err error) {
		data, err = v.Part(upload, index)
		return err
	})
	return data, err
}

func (p peers) view(node string, use func(*fsm.View) error) error {
	i, err := p.at(node)
	if err != nil {
		return err
	}
	v, err := p.r.machine(i).View()
	if err != nil {
		return err
	}
	defer v.Close()
	return use(v)
}

func (p peers) Suspect(_ context.Context, leader string, version hawser.VersionRef) error {
	i, err := p.at(leader)
	if err == nil {
		p.r.scrubbers[i].Suspect(version)
	}
	return err
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within twenty seconds: " + what)
		}
	}
}
