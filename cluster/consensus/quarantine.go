// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hawserdb/hawser/internal/durable"
	"github.com/hawserdb/hawser/internal/halt"
)

// QuarantineFile is the name of the file that closes a data directory. Its
// text is the reason.
const QuarantineFile = "quarantined"

// quarantineHint says what to do with a quarantined directory.
const quarantineHint = "this node must not vote again with these files: move the data directory away and start empty with --join"

// Quarantine closes the data directory dir for good: Open refuses it from then
// on. The first reason stays. A replica does so itself for what it finds.
func Quarantine(dir string, reason error) error {
	path := filepath.Join(dir, QuarantineFile)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("quarantine %s: %w", dir, err)
	}
	_, err = f.WriteString(reason.Error() + "\n")
	return errors.Join(err, f.Sync(), f.Close(), durable.SyncDir(dir))
}

// CheckQuarantine returns a *halt.Error of reason Damaged if the data directory
// dir was closed by [Quarantine].
func CheckQuarantine(dir string) error {
	path := filepath.Join(dir, QuarantineFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &halt.Error{Reason: halt.Directory, Where: path, Err: err}
	}
	return &halt.Error{
		Reason: halt.Damaged, Where: path, Hint: quarantineHint,
		Err: fmt.Errorf("quarantined earlier: %s", strings.TrimSpace(string(text))),
	}
}

// damaged returns an error of reason Damaged about the file at where.
func damaged(where, format string, args ...any) error {
	return &halt.Error{Reason: halt.Damaged, Where: where, Hint: quarantineHint, Err: fmt.Errorf(format, args...)}
}
