// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/snapshot"
)

// FuzzImport: an archive whose items were dropped, repeated, swapped or
// changed is refused, and leaves nothing after an abort; or it is restored, and
// then all that the machine counts is right, and it exports the same again.
// No panic, no stop, and a rebuilt state is never wrong without an error.
func FuzzImport(f *testing.F) {
	var items [][]byte
	for word := range strings.FieldsSeq(`p::5 p:crew:3 f:default:40
		a:a:9:9:4:3,at=500 s:1:0:0:0,shared c:1:0:one c:1:1:two,delta s:2:1:0 c:2:0:d,delta
		v:7:1:0,at=600,revision=40,pinned v:8:1:1,at=700,revision=50,derived=3 v:9:2:0,at=800,revision=51
		a:b:8:0:8:0 a:c:4:4:1:2 s:1:0:0:0,shared c:1:2:three,delta s:7 c:7:0:x/140000,parts=2 t:0:x/140000 t:1:x/140000
		v:3:1:2,revision=9 v:4:7:0,revision=10`) {
		items = append(items, parseItem(word))
	}
	f.Add([]byte{})
	f.Add([]byte{3, 3, 5, 1})
	f.Add([]byte{0, 4, 0, 0, 1, 8, 8, 0})
	f.Add([]byte{2, 9, 10, 0, 4, 12, 0, 0})
	f.Fuzz(func(t *testing.T, edits []byte) {
		if restored := tryImport(t, mangle(items, edits)); !restored && len(edits) == 0 {
			t.Fatal("what was not edited is refused")
		}
	})
}

// mangle edits items: four bytes an edit, what, which item, and with what.
func mangle(items [][]byte, edits []byte) [][]byte {
	items = slices.Clone(items)
	for ; len(edits) >= 4 && len(items) > 1; edits = edits[4:] {
		at, with := int(edits[1])%len(items), int(edits[2])
		switch edits[0] % 5 {
		case 0:
			items = slices.Delete(items, at, at+1)
		case 1:
			items = slices.Insert(items, with%len(items), items[at])
		case 2:
			other := with % len(items)
			items[at], items[other] = items[other], items[at]
		case 3:
			b := bytes.Clone(items[at])
			b[with%len(b)] ^= edits[3]
			items[at] = b
		case 4:
			items = items[:at+1]
		}
	}
	return items
}

// tryImport reports whether the items were restored.
func tryImport(t *testing.T, items [][]byte) bool {
	t.Helper()
	i := newImporter(t, 1e18)
	i.must(&fsm.LeaderStart{Term: 1, Node: "n1-aaaaaaaa", ClusterID: [16]byte{9}, Generation: 78})
	empty, err := i.m.Digest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i.start()
	end := i.end(items)
	var res fsm.Result
	for n, item := range items {
		if res = i.apply(&fsm.ImportItems{Archive: i.name, Sequence: uint64(n), Items: [][]byte{item}})[0]; res.Err != nil {
			break
		}
	}
	if res.Err == nil {
		res = i.apply(end)[0]
	}
	if res.Err != nil {
		if !errors.Is(res.Err, hawser.ErrCorrupt) {
			t.Fatalf("refused with %v", res.Err)
		}
		i.must(&fsm.ImportAbort{})
		if got, err := i.m.Digest(t.Context()); err != nil || got != empty {
			t.Fatalf("after the abort: %s, %v, empty is %s", got, err, empty)
		}
		return false
	}
	fsm.CheckStore(t, i.m)
	if again := archived(t, i.m, "", ""); !slices.EqualFunc(again, items, bytes.Equal) {
		t.Fatalf("restored\n%s, exports\n%s", outline(t, items), outline(t, again))
	}
	materialiseAll(t, i.m, items)
	return true
}

func materialiseAll(t *testing.T, m *fsm.Machine, items [][]byte) {
	t.Helper()
	v, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	var id hawser.AgentID
	for _, encoded := range items {
		switch item, _ := snapshot.ParseItem(encoded); item := item.(type) {
		case *snapshot.Agent:
			id = item.ID
		case *snapshot.Version:
			if _, _, err := v.Materialise(id, item.Number); err != nil && !errors.Is(err, hawser.ErrCorrupt) && !errors.Is(err, hawser.ErrTooLarge) {
				t.Fatalf("%s@%d: %v", id, item.Number, err)
			}
		}
	}
}

// Claim: that of FuzzImport. Method: random edits of random histories, and those
// that once broke it: a segment that an agent has twice.
func TestImport_Mangled(t *testing.T) {
	for _, seed := range []uint64{rand.Uint64(), 18323725650863098409} {
		testMangled(t, seed)
	}
}

func testMangled(t *testing.T, seed uint64) {
	t.Helper()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 4))
	g := newGenerator(t, rng)
	g.run(0, 120)
	g.policies()
	items := archived(t, g.m, "", "")
	restored, tries := 0, 120
	for range tries {
		edits := make([]byte, 4*(1+rng.IntN(3)))
		for i := range edits {
			edits[i] = byte(rng.IntN(256))
		}
		if tryImport(t, mangle(items, edits)) {
			restored++
		}
	}
	t.Logf("%d of %d were restored", restored, tries)
	if !tryImport(t, items) || restored == tries {
		t.Errorf("what was not edited must be restored, and not all that was; %d of %d", restored, tries)
	}
}
