// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package mutant

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Claim: every mutant still finds what it changes, once, so that a change of the
// product is not what makes one fail to build. Building them takes minutes.
func TestMutants_FindTheirText(t *testing.T) {
	names := map[string]bool{}
	for _, m := range All() {
		if names[m.Name] {
			t.Errorf("two mutants are called %s", m.Name)
		}
		names[m.Name] = true
		source, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(m.File)))
		if err != nil {
			t.Fatal(err)
		}
		text := string(source)
		for i := 0; i+1 < len(m.Change); i += 2 {
			if n := strings.Count(text, m.Change[i]); n != 1 {
				t.Errorf("mutant %s: %s has %d times, and not once: %s", m.Name, m.File, n, m.Change[i])
			}
			text = strings.Replace(text, m.Change[i], m.Change[i+1], 1)
		}
	}
}
