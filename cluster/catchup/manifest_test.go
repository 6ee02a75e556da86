// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package catchup

import (
	"bytes"
	"crypto/sha256"
	"math"
	"strings"
	"testing"

	"github.com/hawserdb/hawser/fsm"
)

func goodManifest() *Manifest {
	return &Manifest{
		Source: "n1-00000000", ID: "id", Meta: fsm.Meta{Index: 9, Term: 2, Configuration: []byte("conf"), ConfigurationIndex: 4},
		Files: []File{{Name: "000001.sst", Size: 5, Sum: [32]byte{1}}, {Name: "CURRENT", Size: 0}},
	}
}

// What a source declares is refused unless it can be a checkpoint: above all
// names outside the list, and sizes that cannot be.
func TestManifest_Check(t *testing.T) {
	if err := goodManifest().Check(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Manifest){
		"no id":               func(m *Manifest) { m.ID = "" },
		"long id":             func(m *Manifest) { m.ID = strings.Repeat("x", 65) },
		"no index":            func(m *Manifest) { m.Meta.Index = 0 },
		"no term":             func(m *Manifest) { m.Meta.Term = 0 },
		"configuration later": func(m *Manifest) { m.Meta.ConfigurationIndex = 10 },
		"huge configuration":  func(m *Manifest) { m.Meta.Configuration = make([]byte, 1<<20+1) },
		"no files":            func(m *Manifest) { m.Files = nil },
		"too many files":      func(m *Manifest) { m.Files = make([]File, maxFiles+1) },
		"parent":              func(m *Manifest) { m.Files[0].Name = "../000001.sst" },
		"absolute":            func(m *Manifest) { m.Files[0].Name = "/etc/passwd" },
		"folder":              func(m *Manifest) { m.Files[0].Name = "a/000001.sst" },
		"lock":                func(m *Manifest) { m.Files[0].Name = "LOCK" },
		"any name":            func(m *Manifest) { m.Files[0].Name = "node.json" },
		"empty name":          func(m *Manifest) { m.Files[0].Name = "" },
		"twice":               func(m *Manifest) { m.Files[1].Name = m.Files[0].Name },
		"out of order":        func(m *Manifest) { m.Files[0], m.Files[1] = m.Files[1], m.Files[0] },
		"negative size":       func(m *Manifest) { m.Files[0].Size = -1 },
		"sizes overflow":      func(m *Manifest) { m.Files[0].Size, m.Files[1].Size = math.MaxInt64, 1 },
	} {
		m := goodManifest()
		spoil(m)
		if m.Check() == nil {
			t.Errorf("%s: passes", name)
		}
	}
}

// Whatever bytes are read as a manifest: an error, or one that passes Check and
// is written as the same bytes.
func FuzzManifest(f *testing.F) {
	f.Add(goodManifest().encode()[:60])
	good := goodManifest().encode()
	f.Add(good)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeManifest(resum(b))
		if err != nil {
			return
		}
		if err := m.Check(); err != nil {
			t.Fatalf("decoded, and does not pass: %v", err)
		}
		if again, err := decodeManifest(m.encode()); err != nil || again.Sum() != m.Sum() || again.Source != m.Source {
			t.Fatalf("not the same again: %v", err)
		}
	})
}

// resum makes the checksum at the end of b right, so that fuzzing gets past it.
func resum(b []byte) []byte {
	if len(b) < 32 {
		return b
	}
	m := bytes.Clone(b)
	sum := sha256.Sum256(m[:len(m)-32])
	return append(m[:len(m)-32], sum[:]...)
}

// Every flipped bit and every cut of a stored manifest is noticed.
func TestManifest_DamageIsNoticed(t *testing.T) {
	good := goodManifest().encode()
	if m, err := decodeManifest(good); err != nil || m.Sum() != goodManifest().Sum() {
		t.Fatal(err)
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		if _, err := decodeManifest(bad); err == nil {
			t.Errorf("bit of byte %d: passes", i)
		}
		if _, err := decodeManifest(good[:i]); err == nil {
			t.Errorf("cut at %d: passes", i)
		}
	}
}
