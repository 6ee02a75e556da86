// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// fill sets keys from..to-1 to a KiB of noise each.
func fill(t *testing.T, d *DB, from, to int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, uint64(from)))
	value := make([]byte, 1024)
	for i := from; i < to; i++ {
		for j := range value {
			value[j] = byte(rng.Uint32())
		}
		b := d.NewBatch()
		b.Set(fmt.Appendf(nil, "k%06d", i), value)
		if err := b.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until the store's background work has made ok true.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within ten seconds")
		}
	}
}

// Claim: compacting piece by piece gives back the disk of what was deleted, by
// key and by range, and nothing else; the metrics say before how much it is.
func TestDB_CompactFreesDisk(t *testing.T) {
	d := mustOpen(t, t.TempDir(), Options{MemTableBytes: 1 << 20})
	defer func() { _ = d.Close() }()
	const keys = 8000
	fill(t, d, 0, keys)
	full := d.Metrics().DiskBytes
	for i := range keys / 2 {
		b := d.NewBatch()
		b.Delete(fmt.Appendf(nil, "k%06d", i))
		if err := b.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	b := d.NewBatch()
	b.DeleteRange(fmt.Appendf(nil, "k%06d", keys/2), fmt.Appendf(nil, "k%06d", keys-100))
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := d.Metrics().Deletes; got != keys/2+1 {
		t.Errorf("%d deletes counted, want %d", got, keys/2+1)
	}
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	pieces, err := d.Pieces(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range pieces {
		if bytes.Compare(r.From, r.To) >= 0 || i > 0 && !bytes.Equal(r.From, pieces[i-1].To) {
			t.Fatalf("piece %d is [%q, %q) after one that ends at %q", i, r.From, r.To, pieces[max(i-1, 0)].To)
		}
		if err := d.Compact(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if len(pieces) < 2 {
		t.Errorf("%d pieces of 1 MiB of a store of %d bytes", len(pieces), full)
	}
	eventually(t, func() bool { // files are removed in the background
		m := d.Metrics()
		return m.DiskBytes < full/8 && m.GarbageBytes < full/50
	})
	for i := range keys {
		_, ok, err := d.Get(fmt.Appendf(nil, "k%06d", i))
		if err != nil || ok != (i >= keys-100) {
			t.Fatalf("key %d is there: %t, %v", i, ok, err)
		}
	}
}

// Claim: deletes show as garbage once they are flushed, and a compaction of
// everything leaves none.
func TestDB_GarbageIsEstimated(t *testing.T) {
	d := mustOpen(t, t.TempDir(), Options{MemTableBytes: 1 << 20})
	defer func() { _ = d.Close() }()
	fill(t, d, 0, 2000)
	if err := d.CompactAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := d.NewBatch()
	for i := range 200 { // few enough for the store to leave them alone
		b.Delete(fmt.Appendf(nil, "k%06d", i*10))
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return d.Metrics().GarbageBytes > 50<<10 })
	if err := d.CompactAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return d.Metrics().GarbageBytes == 0 })
}

// Claim: who gives up a compaction gets the error of the context, and the
// store goes on.
func TestDB_CompactCanBeGivenUp(t *testing.T) {
	d := mustOpen(t, "db", small(vfs.NewMem()))
	defer func() { _ = d.Close() }()
	fill(t, d, 0, 300)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.CompactAll(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("compaction that was given up: %v", err)
	}
	set(t, d, "a", "1")
	if err := d.CompactAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if pieces, err := mustOpen(t, "empty", small(vfs.NewMem())).Pieces(1); err != nil || len(pieces) != 0 {
		t.Fatalf("pieces of an empty store: %v, %v", pieces, err)
	}
}
