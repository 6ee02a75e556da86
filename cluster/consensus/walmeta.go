// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft-wal/types"

	"github.com/hawserdb/hawser/internal/durable"
)

// walMeta keeps raft-wal's list of segments in one small file:
//
//	8 hex digits of CRC32C, a space, JSON, a newline
//
// replaced atomically. It stands in for raft-wal's own store, a bbolt file
// that carries no checksum over its content, that raft-wal takes for a new
// log when it is lost or empty (and then deletes every segment as unused),
// and that raft-wal never closes.
type walMeta struct{ path string }

var _ types.MetaStore = (*walMeta)(nil)

// errNoStable: term and vote live in the stable store.
var errNoStable = errors.New("the log does not store term and vote")

// walMetaFile is the file's name within the log's directory.
const walMetaFile = "meta"

func encodeWalMeta(state types.PersistentState) ([]byte, error) {
	body, err := json.Marshal(state)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(body, castagnoli), body), nil
}

func decodeWalMeta(b []byte) (types.PersistentState, error) {
	var state types.PersistentState
	body, ok := bytes.CutSuffix(b, []byte("\n"))
	if !ok || len(body) < 10 || body[8] != ' ' {
		return state, fmt.Errorf("file of %d bytes is cut short", len(b))
	}
	if want := fmt.Sprintf("%08x", crc32.Checksum(body[9:], castagnoli)); want != string(body[:8]) {
		return state, fmt.Errorf("checksum is %s, want %q", want, body[:8])
	}
	if err := json.Unmarshal(body[9:], &state); err != nil {
		return types.PersistentState{}, err
	}
	return state, nil
}

// Load implements types.MetaStore. The file exists: opening the log made it.
func (m *walMeta) Load(string) (types.PersistentState, error) {
	b, err := os.ReadFile(m.path)
	if err != nil {
		return types.PersistentState{}, damaged(m.path, "read the list of log files: %w", err)
	}
	state, err := decodeWalMeta(b)
	if err != nil {
		return types.PersistentState{}, damaged(m.path, "read the list of log files: %w", err)
	}
	return state, nil
}

// CommitState implements types.MetaStore.
func (m *walMeta) CommitState(state types.PersistentState) error {
	b, err := encodeWalMeta(state)
	if err != nil {
		return err
	}
	return durable.WriteFile(m.path, b)
}

// GetStable implements types.MetaStore; it is never used.
func (m *walMeta) GetStable([]byte) ([]byte, error) { return nil, errNoStable }

// SetStable implements types.MetaStore; it is never used.
func (m *walMeta) SetStable(_, _ []byte) error { return errNoStable }

// Close implements types.MetaStore.
func (m *walMeta) Close() error { return nil }

// prepareWAL makes dir a log without entries if it is new, and otherwise
// refuses it when files that every log has are missing. The mark is made
// last, so a crash on the way leaves a directory that counts as new.
func prepareWAL(dir string) error {
	meta, mk := filepath.Join(dir, walMetaFile), filepath.Join(dir, markFile)
	_, err := os.Stat(mk)
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if segments, err := filepath.Glob(filepath.Join(dir, "*.wal")); err != nil || len(segments) > 0 {
		return errors.Join(err, damaged(mk, "the end mark of the log is missing, but there are %d log files", len(segments)))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	b, err := encodeWalMeta(types.PersistentState{})
	if err != nil {
		return err
	}
	if err := durable.WriteFile(meta, b); err != nil {
		return err
	}
	if err := createMark(mk); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(dir))
}
