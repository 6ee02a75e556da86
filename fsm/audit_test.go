// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"bytes"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/engine"
)

// A record that one replica has with another byte shows in the digest as soon
// as an entry's effect depends on it, and from then on for ever, over restarts.
// Until then replicas agree: the digest is of what was done, not of what is.
func TestAudit_ShowsADifference(t *testing.T) {
	a, b := agentID("a"), agentID("b")
	dirs := [2]string{filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")}
	var at [2]fsm.Marks
	var said [2][]fsm.Applied
	apply := func(entries ...fsm.Entry) {
		t.Helper()
		for i, dir := range dirs {
			m := open(t, dir, fsm.Options{})
			out, err := m.Apply(entries)
			if err != nil {
				t.Fatal(err)
			}
			said[i] = out
			if at[i], err = m.Marks(); err != nil {
				t.Fatal(err)
			}
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	equal := func() bool { return at[0].Applied == at[1].Applied }

	first := newSave(a, "state", "1")
	first.Schema = "first"
	apply(command(1, 1, first), command(2, 1, &fsm.Audit{}))
	if !equal() || at[0].Audited != (fsm.Mark{Index: 2, Digest: at[0].Applied.Digest}) || said[0][1].Digest != at[0].Applied.Digest {
		t.Fatalf("replicas of one log: %+v and %+v, applied %+v", at[0], at[1], said[0])
	}
	alterValues(t, dirs[1], []byte("first"), []byte("fIrst"))
	apply(command(3, 1, newSave(b, "elsewhere", "2")))
	if !equal() {
		t.Fatal("a record that nothing depended on changed the digest")
	}
	apply(command(4, 1, &fsm.Fork{Agent: agentID("c"), Request: fsm.Request{Nonce: nonce("3")}, Source: a}))
	if equal() {
		t.Fatal("a fork of what was altered did not show")
	}
	before := at
	apply(command(5, 2, &fsm.Audit{Mark: before[0].Audited}))
	if equal() || at[0].Audited.Digest == at[1].Audited.Digest || at[0].Audited.Index != 5 || at[1].Audited.Index != 5 {
		t.Errorf("later: %+v and %+v", at[0], at[1])
	}
}

// alterValues replaces some bytes in every value of a machine that is closed.
func alterValues(t *testing.T, dir string, from, to []byte) {
	t.Helper()
	_, db, err := engine.OpenHome(dir, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	it, err := db.Iter([]byte{0}, []byte{0xff})
	if err != nil {
		t.Fatal(err)
	}
	batch := db.NewBatch()
	altered := 0
	for it.Next() {
		if value := it.Value(); bytes.Contains(value, from) {
			batch.Set(bytes.Clone(it.Key()), bytes.ReplaceAll(value, from, to))
			altered++
		}
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	if altered == 0 {
		t.Fatal("nothing to alter")
	}
	if err := batch.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := db.Discard(); err != nil {
		t.Fatal(err)
	}
}

// The digest of a log that never changes is always the same: two versions of the
// program that write other things for the same entry stop each other (ADR 0019).
// When this fails, and neither the generator of the log nor the library that packs
// contents has changed, the change needs a feature level.
func TestAudit_SameEntriesSameWrites(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	r := newReplica(t, rng, randomLog(t, rng, 400), nil)
	for r.next < len(r.log) {
		r.apply(8)
	}
	const want = 0x32981b9dc6c50322
	if got := r.digest().marks.Applied.Digest; got != want {
		t.Errorf("the digest is %#x, and was %#x", got, uint64(want))
	}
}
