// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/record"
)

// machine is a true one that commands are applied to at once.
type machine struct {
	*fsm.Machine
	t     *testing.T
	index uint64
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m, err := fsm.Open("state", fsm.Options{FS: vfs.NewMem(), MemTableBytes: 1 << 20, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return &machine{Machine: m, t: t}
}

func (m *machine) submit(_ context.Context, c fsm.Command) (fsm.Result, error) {
	m.t.Helper()
	m.index++
	batch := fsm.AppendBatch(nil, fsm.BatchID{}, int64(m.index), [][]byte{fsm.AppendCommand(nil, c)})
	out, err := m.Apply([]fsm.Entry{{Index: m.index, Term: 1, Kind: fsm.EntryCommand, Data: batch}})
	if err != nil {
		m.t.Fatal(err)
	}
	return out[0].Results[0], out[0].Results[0].Err
}

func (m *machine) must(c fsm.Command) fsm.Result {
	m.t.Helper()
	res, err := m.submit(m.t.Context(), c)
	if err != nil {
		m.t.Fatal(err)
	}
	return res
}

func (m *machine) config() Config {
	return Config{
		View: func() (View, error) { return m.View() }, Garbage: m.Garbage, Leads: func() bool { return true },
		Submit: m.submit, Now: time.Now, Level: func() uint32 { return 0 }, Logger: slog.New(slog.DiscardHandler),
	}
}

// Claim: the dead weight of a state that has shrunk is freed, though it is no
// more than the one keyframe that it began with, and the version stays what it is.
func TestJanitor_Shrunken(t *testing.T) {
	m, id := newMachine(t), agentID("a")
	large := make([]byte, 100<<10)
	_, _ = rand.NewChaCha8([32]byte{}).Read(large)
	small := large[5000:6000]
	delta, ok := record.EncodeDelta(large, small)
	if !ok {
		t.Fatal("no delta")
	}
	first := m.must(&fsm.Save{Agent: id, SHA256: sha256.Sum256(large), Content: record.EncodeKeyframe(large)})
	m.must(&fsm.Save{
		Agent: id, Request: fsm.Request{Nonce: hawser.Nonce{1}, Seen: 1}, SHA256: sha256.Sum256(small), Size: uint64(len(small)), Content: delta,
		Base: &fsm.Base{Number: 1, SHA256: first.Version.SHA256},
	})
	m.must(&fsm.Prune{Agent: id, Ranges: []fsm.NumberRange{{From: 1, To: 1}}})

	j := &Janitor{cfg: m.config(), pace: newPace()}
	j.noteDeadWeight(id)
	j.rewrite(t.Context())
	if s := j.Stats(); s.Rewrites != 1 || s.Freed < int64(len(large)-len(small)) {
		t.Errorf("%+v", s)
	}
	v, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if _, got, err := v.Materialise(id, 2); err != nil || !bytes.Equal(got, small) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if info, _, err := v.Segment(1); err != nil || len(info.Entries) != 1 || info.Entries[0].Bytes > 1100 {
		t.Errorf("%+v, %v", info, err)
	}
}
