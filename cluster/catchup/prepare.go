// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package catchup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/cluster/consensus"
)

const (
	// chunk is how many bytes are read and sent at once.
	chunk = 256 << 10
	// lockName is made when a checkpoint's meta data is read; it is no part of it.
	lockName = "LOCK"
)

// prepare makes a checkpoint and hashes its files.
func (s *Source) prepare(ctx context.Context, o *offer) {
	begin := time.Now()
	o.manifest, o.err = s.make(ctx, o)
	s.mu.Lock()
	if o.err != nil {
		s.dropLocked(o)
	}
	o.made, o.read = time.Now(), time.Now()
	s.mu.Unlock()
	close(o.done)
	if o.err != nil {
		s.cfg.Logger.Warn("could not make a checkpoint to be fetched", "error", o.err)
		return
	}
	s.cfg.Logger.Info("checkpoint can be fetched", "index", o.manifest.Meta.Index, "files", len(o.manifest.Files),
		"bytes", o.manifest.Bytes(), "took", time.Since(begin))
}

func (s *Source) make(ctx context.Context, o *offer) (*Manifest, error) {
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	meta, err := s.cfg.Checkpoint(o.dir)
	if err != nil {
		return nil, err
	}
	m := &Manifest{ID: o.id, Meta: meta}
	if meta.Index == 0 {
		return nil, &hawser.Error{Code: hawser.CodeUnavailable, Op: "checkpoint", Msg: "this node has no state yet"}
	}
	if m.Files, o.infos, err = listFiles(o.dir); err != nil {
		return nil, err
	}
	o.total.Store(m.Bytes())
	known := s.known(o)
	for i := range m.Files {
		f := &m.Files[i]
		if sum, ok := known(f.Name, o.infos[i]); ok {
			f.Sum = sum
			o.prepared.Add(f.Size)
			continue
		}
		if f.Sum, err = s.hashFile(ctx, o, f); err != nil {
			return nil, fmt.Errorf("hash %s: %w", f.Name, err)
		}
	}
	return m, m.Check()
}

// listFiles returns the files of a checkpoint, ascending, without their sums.
func listFiles(dir string) (files []File, infos []os.FileInfo, err error) {
	entries, err := os.ReadDir(dir) // ascending
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		if e.Name() == lockName {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, nil, err
		}
		if err := consensus.CheckFileName(e.Name()); err != nil || !info.Mode().IsRegular() {
			return nil, nil, errors.Join(fmt.Errorf("checkpoint %s holds %q, which cannot be sent", dir, e.Name()), err)
		}
		files, infos = append(files, File{Name: e.Name(), Size: info.Size()}), append(infos, info)
	}
	return files, infos, nil
}

// known looks sums up in the other checkpoints: a table that two of them share
// is one file with two names.
func (s *Source) known(o *offer) func(name string, info os.FileInfo) ([sha256.Size]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var others []*offer
	for _, other := range s.offered {
		if other != o && isClosed(other.done) && other.err == nil {
			others = append(others, other)
		}
	}
	return func(name string, info os.FileInfo) ([sha256.Size]byte, bool) {
		for _, other := range others {
			i, found := findFile(other.manifest.Files, name)
			if !found || !strings.HasSuffix(name, ".sst") && !strings.HasSuffix(name, ".blob") {
				continue
			}
			there := other.infos[i]
			if os.SameFile(there, info) && there.Size() == info.Size() && there.ModTime().Equal(info.ModTime()) {
				return other.manifest.Files[i].Sum, true
			}
		}
		return [sha256.Size]byte{}, false
	}
}

func findFile(files []File, name string) (int, bool) {
	return slices.BinarySearchFunc(files, name, func(f File, name string) int { return strings.Compare(f.Name, name) })
}

// hashFile reads one file, at the rate for hashing.
func (s *Source) hashFile(ctx context.Context, o *offer, f *File) (sum [sha256.Size]byte, err error) {
	src, err := os.Open(filepath.Join(o.dir, f.Name))
	if err != nil {
		return sum, err
	}
	defer func() { _ = src.Close() }()
	h := sha256.New()
	for left := f.Size; left > 0; {
		n := min(left, chunk)
		if err := s.hash.Wait(ctx, n); err != nil {
			return sum, err
		}
		if _, err := io.CopyN(h, src, n); err != nil {
			return sum, err
		}
		left -= n
		o.prepared.Add(n)
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// Read hands the bytes of a file of checkpoint id from offset to its end to
// send, in chunks that it may not keep, at the rate for sending. Errors match
// hawser.ErrNotFound for a checkpoint or file that is not there (any more) and
// hawser.ErrInvalid for an offset outside the file.
func (s *Source) Read(ctx context.Context, id, name string, offset int64, send func([]byte) error) error {
	s.mu.Lock()
	o := s.offered[id]
	s.mu.Unlock()
	if o == nil || !isClosed(o.done) || o.err != nil {
		return &hawser.Error{Code: hawser.CodeNotFound, Op: "read checkpoint", Key: id, Msg: "it is not there any more"}
	}
	i, found := findFile(o.manifest.Files, name)
	if !found {
		return &hawser.Error{Code: hawser.CodeNotFound, Op: "read checkpoint", Key: name, Msg: "is no file of it"}
	}
	f := o.manifest.Files[i]
	if offset < 0 || offset > f.Size {
		return &hawser.Error{Code: hawser.CodeInvalid, Op: "read checkpoint", Key: name, Msg: fmt.Sprintf("has %d bytes, asked for from %d", f.Size, offset)}
	}
	src, err := os.Open(filepath.Join(o.dir, f.Name))
	if err != nil {
		return &hawser.Error{Code: hawser.CodeNotFound, Op: "read checkpoint", Key: name, Err: err}
	}
	defer func() { _ = src.Close() }()
	buf := make([]byte, chunk)
	for offset < f.Size {
		b := buf[:min(chunk, f.Size-offset)]
		if err := s.sending.Wait(ctx, int64(len(b))); err != nil {
			return err
		}
		if s.isStopping() {
			return errStopping
		}
		if _, err := src.ReadAt(b, offset); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if err := send(b); err != nil {
			return err
		}
		offset += int64(len(b))
		s.sent.Add(int64(len(b)))
		s.touch(o)
	}
	return nil
}

func (s *Source) isStopping() bool {
	select {
	case <-s.stopping:
		return true
	default:
		return false
	}
}
