// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/hawserdb/hawser"
)

var rewrite = flag.Bool("rewrite", false, "write the golden archive instead of reading it")

const goldenFile = "testdata/golden.hawser"

// An archive of this format that an earlier build wrote is still read, version
// by version. After the first release a failure is a bug, never a reason to
// rewrite the file.
func TestGolden(t *testing.T) {
	if *rewrite {
		if err := os.WriteFile(goldenFile, small(t), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	a := open(t, file)
	if a.Header() != testHeader {
		t.Errorf("header is %+v", a.Header())
	}
	if r := verify(t, a); !r.OK() || r.KnownBad != 1 {
		t.Errorf("%+v: %v", r, r.Err())
	}
	versions := 0
	for ref, want := range newSample().states {
		if ref.Agent.Name == "crewman" || ref == (hawser.VersionRef{Agent: id("zed"), Number: 2}) {
			continue // too large for a file of the tree; marked as bad
		}
		e, err := a.Agent(ref.Agent)
		if err != nil {
			t.Fatal(err)
		}
		h, err := a.History(e)
		if err != nil {
			t.Fatal(err)
		}
		v, err := h.Version(ref.Number)
		if err != nil {
			t.Fatal(err)
		}
		if state, err := h.Materialise(v); err != nil || !bytes.Equal(state, want) {
			t.Errorf("%s: %d bytes, %v", ref, len(state), err)
		}
		versions++
	}
	if versions != 10 {
		t.Errorf("%d versions", versions)
	}
}
