// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/hawserdb/hawser/fsm"
)

// The names of the directories for checkpoints on their way.
const (
	installDir = "install"
	sendDir    = "send/raft"
)

// snapshotStore is raft's snapshot store. There are no snapshots: the
// machine's durable state is the one snapshot, and it is always current. To
// take one is to make the machine durable, so that raft may truncate the log,
// at a cost that does not depend on the size of the state. To send one is to
// stream a checkpoint of it.
type snapshotStore struct {
	machine Machine
	// sound returns why it is not to be sent; may be nil.
	sound   func() error
	install string
	send    string

	mu      sync.Mutex
	next    uint64
	pending map[string]*received // by snapshot id, until raft restores them
}

// newSnapshotStore removes what an interrupted transfer left behind. The
// intent to swap in a received checkpoint is not touched; see intent.go.
func newSnapshotStore(dir string, m Machine, sound func() error) (*snapshotStore, error) {
	s := &snapshotStore{
		machine: m, sound: sound, install: filepath.Join(dir, installDir), send: filepath.Join(dir, sendDir),
		pending: map[string]*received{},
	}
	for _, d := range []string{s.install, s.send} {
		if err := os.RemoveAll(d); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// freshDir makes a new directory below parent.
func (s *snapshotStore) freshDir(parent string) (string, error) {
	s.mu.Lock()
	s.next++
	dir := filepath.Join(parent, strconv.FormatUint(s.next, 10))
	s.mu.Unlock()
	return dir, os.MkdirAll(dir, 0o700)
}

func snapshotID(meta fsm.Meta) string { return fmt.Sprintf("%d-%d", meta.Term, meta.Index) }

// snapshotMeta is meta in raft's words.
func snapshotMeta(meta fsm.Meta, size int64) (*raft.SnapshotMeta, error) {
	conf, err := decodeConfiguration(meta.Configuration)
	if err != nil {
		return nil, err
	}
	return &raft.SnapshotMeta{
		Version: raft.SnapshotVersionMax, ID: snapshotID(meta), Index: meta.Index, Term: meta.Term,
		Configuration: conf, ConfigurationIndex: meta.ConfigurationIndex, Size: size,
	}, nil
}

// List implements raft.SnapshotStore: what the machine would have after a
// power cut.
func (s *snapshotStore) List() ([]*raft.SnapshotMeta, error) {
	meta, err := s.machine.Durable()
	if err != nil || meta.Index == 0 {
		return nil, err
	}
	m, err := snapshotMeta(meta, 0)
	if err != nil {
		return nil, err
	}
	return []*raft.SnapshotMeta{m}, nil
}

// Create implements raft.SnapshotStore. The sink of a snapshot of this
// replica's own gets no bytes; only that of a received one makes files.
func (s *snapshotStore) Create(_ raft.SnapshotVersion, index, term uint64, conf raft.Configuration, confIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	meta := fsm.Meta{Index: index, Term: term, Configuration: raft.EncodeConfiguration(conf), ConfigurationIndex: confIndex}
	return &sink{store: s, meta: meta}, nil
}

// Open implements raft.SnapshotStore. The id of a received checkpoint opens
// that one, once; any other streams a new checkpoint of the machine, which may
// be newer than the one asked for: the meta data returned is its own.
func (s *snapshotStore) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	if r := s.take(id); r != nil {
		meta, err := snapshotMeta(r.meta, 0)
		return meta, r, err
	}
	dir, err := s.freshDir(s.send)
	if err != nil {
		return nil, nil, err
	}
	meta, stream, err := s.openCheckpoint(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("checkpoint to send: %w", err), os.RemoveAll(dir))
	}
	return meta, &outgoing{PipeReader: stream, dir: dir}, nil
}

func (s *snapshotStore) openCheckpoint(dir string) (*raft.SnapshotMeta, *io.PipeReader, error) {
	if s.sound != nil {
		if err := s.sound(); err != nil {
			return nil, nil, err
		}
	}
	meta, err := s.machine.Checkpoint(dir)
	if err != nil {
		return nil, nil, err
	}
	files, size, err := listCheckpoint(dir)
	if err != nil {
		return nil, nil, err
	}
	m, err := snapshotMeta(meta, size)
	if err != nil {
		return nil, nil, err
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(writeStream(w, dir, files)) }() // ends when r is read to its end or closed
	return m, r, nil
}

// outgoing is a checkpoint being read.
type outgoing struct {
	*io.PipeReader
	dir string
}

// Close implements io.Closer and removes the checkpoint.
func (o *outgoing) Close() error {
	return errors.Join(o.PipeReader.Close(), os.RemoveAll(o.dir))
}

func (s *snapshotStore) put(id string, r *received) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending[id] = r
}

func (s *snapshotStore) take(id string) *received {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.pending[id]
	delete(s.pending, id)
	return r
}

// close removes what was received and never restored.
func (s *snapshotStore) close() error {
	return errors.Join(os.RemoveAll(s.install), os.RemoveAll(s.send))
}
