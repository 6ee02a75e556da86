// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package catchup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/hawserdb/hawser/fsm"
)

// Remote asks other members for their checkpoints.
type Remote interface {
	// Manifest is Source.Manifest of the node; preparing may be called with how
	// far its preparation is.
	Manifest(ctx context.Context, node, id string, minIndex uint64, preparing func(prepared, total int64)) (*Manifest, error)
	// Read is Source.Read of the node. It hands take what it gets.
	Read(ctx context.Context, node, id, file string, offset int64, take func([]byte) error) error
}

// Progress is how far a fetch is.
type Progress struct {
	// Source is the node that is asked; "" while nothing is fetched.
	Source string
	// Index of the checkpoint, 0 while it is being prepared; the bytes then are
	// those that the source has read.
	Index       uint64
	Done, Total int64
}

// String says it to operators.
func (p Progress) String() string {
	switch {
	case p.Source == "":
		return ""
	case p.Total == 0:
		return "asking " + p.Source + " for its state"
	}
	what := "fetching the state from " + p.Source
	if p.Index == 0 {
		what = p.Source + " is preparing its state to be fetched"
	}
	return fmt.Sprintf("%s: %d %% of %.1f MiB", what, 100*p.Done/p.Total, float64(p.Total)/(1<<20))
}

// fetcher fetches checkpoints into a directory, each attempt going on from
// where the one before ended. It is for one goroutine, but for progress.
type fetcher struct {
	dir    string
	remote Remote
	// free returns the free bytes of the disk.
	free func() (uint64, error)
	// stall is how long nothing may come.
	stall time.Duration
	// readMeta is fsm.ReadMeta, which opens the checkpoint.
	readMeta func(dir string) (fsm.Meta, error)
	// afterStep is where tests cut a fetch short; may be nil.
	afterStep func(step string) error

	// verified holds the files that this process has verified or written.
	verified map[string]File
	// received counts bytes that came; reused those found on the disk.
	received atomic.Int64
	progress atomic.Pointer[Progress]
}

var errTooMuch = errors.New("the source sends more than it declared")

// fetch gets a checkpoint at minIndex or later from node. On success all files
// are in the directory returned, durable and verified. It may be repeated
// after any error, from the same node or another.
func (f *fetcher) fetch(ctx context.Context, node string, minIndex uint64) (*Manifest, string, error) {
	f.tell(Progress{Source: node})
	have := f.readManifest()
	id := ""
	if have != nil && have.Source == node && have.Meta.Index >= minIndex {
		id = have.ID
	}
	m, err := f.askManifest(ctx, node, id, minIndex)
	if err != nil {
		return nil, "", err
	}
	if err := f.begin(have, m); err != nil {
		return nil, "", fmt.Errorf("begin in %s: %w", f.dir, err)
	}
	if err := f.checkSpace(m); err != nil {
		return nil, "", err
	}
	done := int64(0)
	for i := range m.Files {
		if err := f.file(ctx, m, &m.Files[i], done); err != nil {
			return nil, "", fmt.Errorf("fetch %s of checkpoint at %d from %s: %w", m.Files[i].Name, m.Meta.Index, node, err)
		}
		done += m.Files[i].Size
	}
	if err := f.complete(m); err != nil {
		return nil, "", fmt.Errorf("checkpoint at %d from %s: %w", m.Meta.Index, node, err)
	}
	return m, f.files(), nil
}

func (f *fetcher) files() string { return filepath.Join(f.dir, "files") }

func (f *fetcher) tell(p Progress) { f.progress.Store(&p) }

func (f *fetcher) told() Progress {
	if p := f.progress.Load(); p != nil {
		return *p
	}
	return Progress{}
}

func (f *fetcher) step(name string) error {
	if f.afterStep == nil {
		return nil
	}
	return f.afterStep(name)
}

func (f *fetcher) askManifest(ctx context.Context, node, id string, minIndex uint64) (*Manifest, error) {
	ctx, alive, cancel := withStall(ctx, f.stall)
	defer cancel()
	m, err := f.remote.Manifest(ctx, node, id, minIndex, func(prepared, total int64) {
		alive()
		f.tell(Progress{Source: node, Done: prepared, Total: total})
	})
	if err != nil {
		return nil, fmt.Errorf("ask %s for a checkpoint: %w", node, err)
	}
	m.Source = node
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("%s sent a bad list of files: %w", node, err)
	}
	if m.Meta.Index < minIndex {
		return nil, fmt.Errorf("checkpoint of %s is at %d, before %d", node, m.Meta.Index, minIndex)
	}
	return m, nil
}

// checkSpace returns an error unless what is missing fits on the disk, and a
// tenth of it besides.
func (f *fetcher) checkSpace(m *Manifest) error {
	missing := m.Bytes() - f.present(m)
	free, err := f.free()
	if err != nil {
		return fmt.Errorf("free space for a checkpoint: %w", err)
	}
	if need := uint64(missing) + uint64(missing)/10; free < need {
		return fmt.Errorf("checkpoint at %d needs %d MiB more on the disk, and %d MiB are free: make room in the data directory's file system", m.Meta.Index, need>>20, free>>20)
	}
	return nil
}

// present returns how many bytes of m are there, verified or not.
func (f *fetcher) present(m *Manifest) int64 {
	var sum int64
	for _, file := range m.Files {
		if info, err := os.Lstat(filepath.Join(f.files(), file.Name)); err == nil {
			sum += min(info.Size(), file.Size)
		}
	}
	return sum
}

// complete checks the checkpoint as a whole: exactly the files of the manifest,
// each verified, and the engine finds the manifest's place in the log.
func (f *fetcher) complete(m *Manifest) error {
	if err := f.syncFiles(); err != nil {
		return err
	}
	there, _, err := listFiles(f.files())
	if err != nil {
		return err
	}
	if len(there) != len(m.Files) {
		return fmt.Errorf("there are %d files, declared were %d", len(there), len(m.Files))
	}
	for i, file := range m.Files {
		if there[i].Name != file.Name || there[i].Size != file.Size || f.verified[file.Name] != file {
			return fmt.Errorf("file %s is not the one declared", file.Name)
		}
	}
	meta, err := f.readMeta(f.files())
	if err != nil {
		return fmt.Errorf("the engine does not take it: %w", err)
	}
	if len(meta.Configuration) == 0 && len(m.Meta.Configuration) == 0 {
		meta.Configuration = m.Meta.Configuration
	}
	if !reflect.DeepEqual(meta, m.Meta) {
		return fmt.Errorf("the engine is at index %d of term %d, declared was %d of %d", meta.Index, meta.Term, m.Meta.Index, m.Meta.Term)
	}
	return f.step("complete")
}

// withStall returns a context that ends when alive was not called for d.
func withStall(ctx context.Context, d time.Duration) (_ context.Context, alive func(), cancel func()) {
	ctx, end := context.WithCancelCause(ctx)
	timer := time.AfterFunc(d, func() { end(fmt.Errorf("nothing came for %v", d)) })
	return ctx, func() { timer.Reset(d) }, func() { timer.Stop(); end(nil) }
}
