// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"

	"github.com/hawserdb/hawser/internal/durable"
)

// lockWait bounds the wait for another process that has a bbolt file open.
const lockWait = 2 * time.Second

func boltOptions(path string) raftboltdb.Options {
	return raftboltdb.Options{Path: path, BoltOptions: &bbolt.Options{
		Timeout: lockWait, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType,
	}}
}

// boltLog is raft-boltdb as a backend. It would take indexes with gaps.
type boltLog struct{ *raftboltdb.BoltStore }

// IsMonotonic implements backend.
func (boltLog) IsMonotonic() bool { return false }

// openBoltLog opens or makes the log in the file path and returns its size.
func openBoltLog(path, markPath string) (backend, int64, error) {
	if !exists(markPath) {
		if exists(path) {
			return nil, 0, damaged(markPath, "the end mark of the log is missing, but %s is there", path)
		}
		if err := createBolt(path, nil); err != nil {
			return nil, 0, err
		}
		if err := createMark(markPath); err != nil {
			return nil, 0, err
		}
	}
	if err := checkBolt(path); err != nil {
		return nil, 0, err
	}
	b, err := raftboltdb.New(boltOptions(path))
	if err != nil {
		return nil, 0, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, errors.Join(err, b.Close())
	}
	return boltLog{b}, info.Size(), nil
}

// createBolt makes a bbolt file that fill has written to: after a crash it is
// there in full or not at all.
func createBolt(path string, fill func(*raftboltdb.BoltStore) error) error {
	tmp := path + ".tmp"
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	b, err := raftboltdb.New(boltOptions(tmp))
	if err != nil {
		return err
	}
	if fill != nil {
		if err := fill(b); err != nil {
			return errors.Join(err, b.Close())
		}
	}
	if err := b.Close(); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}
