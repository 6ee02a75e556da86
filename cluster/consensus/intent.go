// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hawserdb/hawser/internal/durable"
)

// To install a checkpoint is two steps, each atomic and durable: the machine
// is swapped, then the log, which lies before the checkpoint or conflicts with
// it, is emptied. A crash between them leaves a log that does not reach the
// machine, exactly what damage looks like. So the intent is written down
// first, and carried out at the next start.

const intentFile = "swap-intent"

func intentPath(dir string) string { return filepath.Join(dir, intentFile) }

// writeIntent says durably that the machine is about to be swapped to id.
func writeIntent(dir string, id entryID) error {
	text := fmt.Appendf(nil, "%d %d", id.index, id.term)
	return durable.WriteFile(intentPath(dir), appendCRC(text))
}

// removeIntent says durably that it is done.
func removeIntent(dir string) error {
	if err := os.Remove(intentPath(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return durable.SyncDir(dir)
}

// readIntent returns the zero entryID if there is no intent.
func readIntent(dir string) (entryID, error) {
	b, err := os.ReadFile(intentPath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return entryID{}, nil
	}
	if err != nil {
		return entryID{}, err
	}
	id, err := decodeIntent(b)
	if err != nil {
		return entryID{}, damaged(intentPath(dir), "%w", err)
	}
	return id, nil
}

func decodeIntent(b []byte) (entryID, error) {
	if len(b) < 4 {
		return entryID{}, errors.New("cut short")
	}
	if err := checkCRC(b); err != nil {
		return entryID{}, err
	}
	var id entryID
	if n, err := fmt.Sscanf(string(b[:len(b)-4]), "%d %d", &id.index, &id.term); err != nil || n != 2 {
		return entryID{}, fmt.Errorf("not an entry: %w", err)
	}
	return id, nil
}
