// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package catchup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hawserdb/hawser/internal/durable"
)

func (f *fetcher) manifestPath() string { return filepath.Join(f.dir, "manifest") }

// readManifest returns the manifest of the fetch under way, nil if there is
// none that can be used.
func (f *fetcher) readManifest() *Manifest {
	b, err := os.ReadFile(f.manifestPath())
	if err != nil {
		return nil
	}
	m, err := decodeManifest(b)
	if err != nil {
		return nil
	}
	return m
}

// begin makes m the manifest of the fetch, after it removed what m does not
// share with the one before. A file that stays may be the beginning of one.
func (f *fetcher) begin(have, m *Manifest) error {
	if err := f.makeFiles(); err != nil {
		return err
	}
	entries, err := os.ReadDir(f.files())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if shared(have, m, e.Name()) {
			continue
		}
		delete(f.verified, e.Name())
		if err := os.RemoveAll(filepath.Join(f.files(), e.Name())); err != nil {
			return err
		}
	}
	if have != nil && have.Source == m.Source && have.Sum() == m.Sum() {
		return nil
	}
	if err := f.step("clear"); err != nil {
		return err
	}
	if err := durable.WriteFile(f.manifestPath(), m.encode()); err != nil {
		return err
	}
	return f.step("manifest")
}

// shared reports whether both manifests have the same file of this name.
func shared(a, b *Manifest, name string) bool {
	if a == nil {
		return false
	}
	i, ok := findFile(a.Files, name)
	j, both := findFile(b.Files, name)
	return ok && both && a.Files[i] == b.Files[j]
}

func (f *fetcher) makeFiles() error {
	if f.verified == nil {
		f.verified = map[string]File{}
	}
	if err := os.MkdirAll(f.files(), 0o700); err != nil {
		return err
	}
	// A lock that the engine left.
	if err := os.Remove(filepath.Join(f.files(), lockName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return errors.Join(durable.SyncDir(f.dir), durable.SyncDir(filepath.Dir(f.dir)))
}

func (f *fetcher) syncFiles() error { return durable.SyncDir(f.files()) }

// remove forgets the fetch. The manifest goes first.
func (f *fetcher) remove() error {
	f.verified = nil
	f.progress.Store(nil)
	return errors.Join(os.RemoveAll(f.manifestPath()), os.RemoveAll(f.dir))
}

// file gets what is missing of one file and verifies all of it. Bytes found on
// the disk that turn out wrong, as after a power cut, are fetched again.
func (f *fetcher) file(ctx context.Context, m *Manifest, file *File, before int64) error {
	path := filepath.Join(f.files(), file.Name)
	if f.verified[file.Name] == *file {
		if info, err := os.Lstat(path); err == nil && info.Size() == file.Size {
			return nil
		}
	}
	delete(f.verified, file.Name)
	root, err := os.OpenRoot(f.files())
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	dst, err := root.OpenFile(file.Name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	err = f.fill(ctx, m, file, dst, before)
	if errors.Is(err, errBadBeginning) {
		err = f.fill(ctx, m, file, dst, before)
	}
	if err := errors.Join(err, dst.Close()); err != nil {
		return err
	}
	f.verified[file.Name] = *file
	return f.step("file")
}

// errBadBeginning is a file whose bytes did not all come in this call and are
// not those declared. It has been emptied.
var errBadBeginning = errors.New("what was fetched earlier is damaged")

// fill completes dst and verifies it.
func (f *fetcher) fill(ctx context.Context, m *Manifest, file *File, dst *os.File, before int64) error {
	offset, err := dst.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if offset > file.Size {
		if offset = 0; dst.Truncate(0) != nil {
			return fmt.Errorf("empty %s", file.Name)
		}
	}
	if _, err := dst.Seek(0, io.SeekStart); err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.CopyN(sum, dst, offset); err != nil {
		return err
	}
	at := offset
	f.tell(Progress{Source: m.Source, Index: m.Meta.Index, Done: before + at, Total: m.Bytes()})
	total := m.Bytes()
	take := func(b []byte) error {
		if int64(len(b)) > file.Size-at {
			return errTooMuch
		}
		if _, err := dst.Write(b); err != nil {
			return err
		}
		_, _ = sum.Write(b)
		at += int64(len(b))
		f.received.Add(int64(len(b)))
		f.tell(Progress{Source: m.Source, Index: m.Meta.Index, Done: before + at, Total: total})
		return f.step("chunk")
	}
	if at < file.Size {
		if err := f.read(ctx, m, file, at, take); err != nil {
			return err
		}
	}
	if at < file.Size {
		return fmt.Errorf("%d bytes came of %d: %w", at, file.Size, io.ErrUnexpectedEOF)
	}
	if got := [sha256.Size]byte(sum.Sum(nil)); got != file.Sum {
		return f.discard(dst, file, offset)
	}
	return dst.Sync()
}

// discard empties a file that has the wrong bytes.
func (f *fetcher) discard(dst *os.File, file *File, offset int64) error {
	if err := dst.Truncate(0); err != nil {
		return err
	}
	if offset > 0 {
		return errBadBeginning
	}
	return fmt.Errorf("%d bytes came, and they are not those of %s: the checksum does not match", file.Size, file.Name)
}

// read asks the source for a file from an offset on, and gives up when it
// stalls.
func (f *fetcher) read(ctx context.Context, m *Manifest, file *File, offset int64, take func([]byte) error) error {
	ctx, alive, cancel := withStall(ctx, f.stall)
	defer cancel()
	return f.remote.Read(ctx, m.Source, m.ID, file.Name, offset, func(b []byte) error {
		alive()
		return take(b)
	})
}
