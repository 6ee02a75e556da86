// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package mutant builds programs with one defect each, of a kind that has lost
// people's data elsewhere. A harness that does not find them would not find ours.
package mutant

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Mutant is a defect: a text of a file that stands for another one.
type Mutant struct {
	Name string
	// Defect is what is wrong, in words.
	Defect string
	File   string
	// Change is what stands there and what stands there instead, by turns.
	Change []string
	// Faults are those that are injected to find it, Workloads those that run; none of
	// them is all.
	Faults, Workloads []string
}

// Build builds the program with the defect into dir, from the module's root. It
// changes no file: the compiler is told to read another one. A text that is not
// there exactly once is an error, so that no mutant is without its defect.
func (m Mutant) Build(ctx context.Context, root, dir string) (program string, err error) {
	path := filepath.Join(root, m.File)
	source, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("mutant %s: %w", m.Name, err)
	}
	text := string(source)
	for i := 0; i+1 < len(m.Change); i += 2 {
		if n := strings.Count(text, m.Change[i]); n != 1 {
			return "", fmt.Errorf("mutant %s: %s has %d times, and not once: %s", m.Name, m.File, n, m.Change[i])
		}
		text = strings.Replace(text, m.Change[i], m.Change[i+1], 1)
	}
	changed := filepath.Join(dir, m.Name+".go")
	overlay := filepath.Join(dir, m.Name+".json")
	program = filepath.Join(dir, "hawser-"+m.Name)
	list, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	if err != nil {
		return "", err
	}
	for name, content := range map[string][]byte{changed: []byte(text), overlay: list} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			return "", err
		}
	}
	build := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", program, "./cmd/hawser")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("mutant %s: %w\n%s", m.Name, err, out)
	}
	return program, nil
}
