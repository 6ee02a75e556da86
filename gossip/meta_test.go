// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/hashicorp/memberlist"
)

func fullMeta() Meta {
	return Meta{
		PeerAddress: strings.Repeat("p", MaxAddress), ClientAddress: strings.Repeat("c", MaxAddress), HTTPAddress: strings.Repeat("h", MaxAddress),
		ClusterID: [8]byte{1, 2, 3, 4, 5, 6, 7, 255}, Role: RoleVoter, Leader: true, Term: math.MaxUint64, AppliedIndex: math.MaxUint64,
		FreeBytes: math.MaxUint64, FeatureLevel: math.MaxUint32, BootID: math.MaxUint64, Version: strings.Repeat("v", MaxVersion),
	}
}

// Claim: with every field at its limit the encoding is as long as maxMeta and
// within what memberlist takes; above the limits it gets shorter, not longer.
func TestMeta_FitsByConstruction(t *testing.T) {
	full := fullMeta()
	b := appendMeta(nil, full, true)
	if len(b) != maxMeta || maxMeta > memberlist.MetaMaxSize {
		t.Fatalf("encoding has %d bytes, maxMeta is %d, memberlist takes %d", len(b), maxMeta, memberlist.MetaMaxSize)
	}
	got, leaving, err := decodeMeta(b)
	if err != nil || !leaving || got != full {
		t.Fatalf("decoded %+v, %v, %v", got, leaving, err)
	}
	over := full
	over.PeerAddress += "x"
	over.Version = strings.Repeat("v", 10_000)
	got, _, err = decodeMeta(appendMeta(nil, over, false))
	if err != nil || got.PeerAddress != "" || got.Version != "" || got.ClientAddress != full.ClientAddress {
		t.Fatalf("decoded %+v, %v", got, err)
	}
	d := &delegate{table: newTable("a"), own: over}
	if n := len(d.NodeMeta(memberlist.MetaMaxSize)); n > memberlist.MetaMaxSize {
		t.Fatalf("NodeMeta returns %d bytes", n)
	}
	if d.NodeMeta(10) != nil {
		t.Fatal("NodeMeta exceeds the limit it is given")
	}
}

// Claim: every truncation, another format and impossible values are errors;
// bytes after the known fields are not.
func TestMeta_DecodeRefuses(t *testing.T) {
	b := appendMeta(nil, Meta{PeerAddress: "a:1", Term: 300, Version: "v1"}, false)
	for n := range b {
		if m, _, err := decodeMeta(b[:n]); err == nil {
			t.Errorf("%d of %d bytes decode to %+v", n, len(b), m)
		}
	}
	if m, _, err := decodeMeta(append(bytes.Clone(b), 1, 2, 3)); err != nil || m.Term != 300 {
		t.Errorf("with bytes of a later version: %+v, %v", m, err)
	}
	next := bytes.Clone(b)
	next[0]++
	if _, _, err := decodeMeta(next); err == nil {
		t.Error("another format decodes")
	}
	if _, _, err := decodeMeta(appendMeta(nil, Meta{Version: "a\x1b[2Jb"}, false)); err == nil {
		t.Error("a terminal escape decodes")
	}
}

// Claim: no input makes the decoder panic, and what decodes survives a round
// trip within the size limit.
func FuzzMeta(f *testing.F) {
	f.Add(appendMeta(nil, Meta{}, false))
	f.Add(appendMeta(nil, fullMeta(), true))
	f.Add(appendMeta(nil, Meta{PeerAddress: "127.0.0.1:7101", Term: 3, Role: RoleStandby}, false))
	f.Add([]byte{metaFormat})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, leaving, err := decodeMeta(b)
		if err != nil {
			return
		}
		again := appendMeta(nil, m, leaving)
		if len(again) > maxMeta {
			t.Fatalf("%d bytes", len(again))
		}
		m2, leaving2, err := decodeMeta(again)
		if err != nil || m2 != m || leaving2 != leaving {
			t.Fatalf("%+v became %+v, %v", m, m2, err)
		}
	})
}
