// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"errors"
	"io"
	"os"

	"github.com/hashicorp/raft"

	"github.com/hawserdb/hawser/fsm"
)

// sink takes a checkpoint that another replica sends: it is verified and
// written into a fresh directory as it comes. A sink that gets no byte does
// nothing.
type sink struct {
	store *snapshotStore
	meta  fsm.Meta

	// Set by the first Write.
	dir  string
	pipe *io.PipeWriter
	err  error         // what the reading goroutine found
	done chan struct{} // closed when it ended; then err is set
}

var _ raft.SnapshotSink = (*sink)(nil)

// ID implements raft.SnapshotSink.
func (s *sink) ID() string { return "received-" + snapshotID(s.meta) }

// Write implements io.Writer.
func (s *sink) Write(b []byte) (int, error) {
	if s.pipe == nil {
		if err := s.start(); err != nil {
			return 0, err
		}
	}
	return s.pipe.Write(b)
}

func (s *sink) start() error {
	dir, err := s.store.freshDir(s.store.install)
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	s.dir, s.pipe, s.done = dir, w, make(chan struct{})
	go func() {
		defer close(s.done)
		s.err = readStream(r, dir)
		_ = r.CloseWithError(errors.Join(errors.New("checkpoint refused"), s.err))
	}()
	return nil
}

// Close implements io.Closer: the checkpoint is complete, or there is an error
// and nothing is left of it.
func (s *sink) Close() error {
	if s.pipe == nil {
		return nil
	}
	_ = s.pipe.Close()
	<-s.done
	if s.err != nil {
		return errors.Join(s.err, os.RemoveAll(s.dir))
	}
	s.store.put(s.ID(), &received{dir: s.dir, meta: s.meta})
	return nil
}

// Cancel implements raft.SnapshotSink.
func (s *sink) Cancel() error {
	if s.pipe == nil {
		return nil
	}
	_ = s.pipe.CloseWithError(errors.New("transfer broken off"))
	<-s.done
	return os.RemoveAll(s.dir)
}

// received is a complete checkpoint. raft hands it to FSM.Restore as a reader,
// which unwraps it: it has nothing to read.
type received struct {
	dir  string
	meta fsm.Meta
}

// Read implements io.Reader.
func (r *received) Read([]byte) (int, error) { return 0, io.EOF }

// Close implements io.Closer and removes what the machine did not take over.
func (r *received) Close() error { return os.RemoveAll(r.dir) }

// unwrapReceived finds the checkpoint below raft's wrappers.
func unwrapReceived(rc io.ReadCloser) (*received, bool) {
	for {
		switch v := rc.(type) {
		case *received:
			return v, true
		case raft.ReadCloserWrapper:
			rc = v.WrappedReadCloser()
		default:
			return nil, false
		}
	}
}
