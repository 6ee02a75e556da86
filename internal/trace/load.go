// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"regexp"
)

// stateFile is the name of one state: its number, padded, so that names sort
// as numbers do.
var stateFile = regexp.MustCompile(`^\d{4,}\.json$`)

// Load returns the states in a directory, 0001.json and so on, in that order.
// Other files are left alone. A directory without states is an error; an error
// ends the sequence.
func Load(dir string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		entries, err := os.ReadDir(dir) // sorted by name
		if err != nil {
			yield(nil, fmt.Errorf("load trace: %w", err))
			return
		}
		found := false
		for _, entry := range entries {
			if !stateFile.MatchString(entry.Name()) {
				continue
			}
			found = true
			state, err := os.ReadFile(filepath.Join(dir, entry.Name()))
			if err != nil {
				yield(nil, fmt.Errorf("load trace: %w", err))
				return
			}
			if !yield(state, nil) {
				return
			}
		}
		if !found {
			yield(nil, fmt.Errorf("load trace: %s holds no states (0001.json and so on)", dir))
		}
	}
}
