// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// Claim: however few records are read at a time, the pages of Rewrites together
// tell what one look at everything tells.
func TestView_RewritesInPages(t *testing.T) {
	m := open(t, "state", smallEngine(vfs.NewMem()))
	s, id := newSaver(t, m), agentID("a")
	s.history(id, 200)
	var ranges []fsm.NumberRange
	for n := uint64(1); n < 200; n += 10 {
		ranges = append(ranges, fsm.NumberRange{From: n, To: n + 8})
	}
	if res := s.apply(&fsm.Prune{Agent: id, Ranges: ranges}); res.Err != nil {
		t.Fatal(res.Err)
	}
	want := rewrites(t, m, id)
	if len(want) < 2 {
		t.Fatalf("%d rewrites", len(want))
	}
	v, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for _, reads := range []int{1, 3, 7} {
		var got []fsm.Rewrite
		pages := 0
		for before, more := uint64(0), true; more; pages++ {
			list, next, err := fsm.RewritesWith(v, id, before, reads)
			if err != nil {
				t.Fatal(err)
			}
			got = append(list, got...)
			before, more = next, next != 0
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%d at a time: %+v, want %+v", reads, got, want)
		}
		if pages < 20/reads {
			t.Errorf("%d at a time: %d pages", reads, pages)
		}
	}
}

// Claim: Impact reads no more than its bound, says so, and what it lists then is
// right as far as it goes; it ends with its context.
func TestView_ImpactBounds(t *testing.T) {
	m := open(t, "state", smallEngine(vfs.NewMem()))
	s, id := newSaver(t, m), agentID("a")
	s.history(id, 100)
	v, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	ref := hawser.VersionRef{Agent: id, Number: 10}
	for reads, last := range map[int]uint64{1: 0, 20: 29, 90: 99, 91: 100, 1000: 100} {
		affected, truncated, err := fsm.ImpactWith(t.Context(), v, ref, reads)
		if err != nil || truncated != (last < 100) {
			t.Fatalf("%d reads: truncated %v, %v", reads, truncated, err)
		}
		var got []uint64
		if len(affected) > 0 {
			got = affected[0].Versions
		}
		if want := numbers(11, last); !slices.Equal(got, want) {
			t.Errorf("%d reads: %v, want %v", reads, got, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := v.Impact(ctx, ref, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("after its context: %v", err)
	}
}
