// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package catchup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hawserdb/hawser/fsm"
)

// content is the files of a made-up engine.
type content map[string][]byte

// tables returns an engine at index with n tables of size bytes, from seed.
func tables(index uint64, n, size int, seed byte) content {
	c := content{"CURRENT": fmt.Appendf(nil, "%d %d", index, 3)}
	for i := range n {
		b := make([]byte, size)
		_, _ = rand.NewChaCha8([32]byte{seed, byte(i)}).Read(b)
		c[fmt.Sprintf("%06d.sst", i+1)] = b
	}
	return c
}

func (c content) bytes() (sum int64) {
	for _, b := range c {
		sum += int64(len(b))
	}
	return sum
}

// checkpoint is SourceConfig.Checkpoint of it.
func (c content) checkpoint(dir string) (fsm.Meta, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fsm.Meta{}, err
	}
	for name, b := range c {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return fsm.Meta{}, err
		}
	}
	return readMeta(dir)
}

// readMeta is fsm.ReadMeta for it. Like the engine it leaves a lock behind.
func readMeta(dir string) (m fsm.Meta, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "CURRENT"))
	if err != nil {
		return m, err
	}
	_, err = fmt.Sscanf(string(b), "%d %d", &m.Index, &m.Term)
	m.Configuration, m.ConfigurationIndex = []byte("members"), 1
	return m, errors.Join(err, os.WriteFile(filepath.Join(dir, lockName), nil, 0o600))
}

// same demands that dir holds exactly c.
func (c content) same(t *testing.T, dir string) {
	t.Helper()
	got := content{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() == lockName {
			continue
		}
		if got[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	if !maps.EqualFunc(got, c, bytes.Equal) {
		t.Fatalf("%s holds %d files of %d bytes, not the %d files of %d bytes", dir, len(got), got.bytes(), len(c), c.bytes())
	}
}

// net is the other members: their sources and logs, and what goes wrong.
type net struct {
	t  *testing.T
	mu sync.Mutex
	// states and logs are by node; a node without a source is down.
	states  map[string]content
	sources map[string]*Source
	logs    map[string]Log
	asked   []LogRequest
	// chunk may change or refuse what is sent.
	chunk func(node, file string, offset int64, b []byte) ([]byte, error)
	// manifest may change what is sent.
	manifest func(*Manifest)
}

func newNet(t *testing.T, states map[string]content) *net {
	t.Helper()
	n := &net{t: t, states: states, sources: map[string]*Source{}, logs: map[string]Log{}}
	for node := range states {
		n.up(node)
	}
	t.Cleanup(func() {
		for node := range states {
			n.down(node)
		}
	})
	return n
}

// up starts a node, whose earlier checkpoints are gone.
func (n *net) up(node string) {
	n.t.Helper()
	s, err := NewSource(SourceConfig{
		Dir: filepath.Join(n.t.TempDir(), node), BytesPerSecond: 1 << 40,
		Checkpoint: func(dir string) (fsm.Meta, error) {
			n.mu.Lock()
			defer n.mu.Unlock()
			return n.states[node].checkpoint(dir)
		},
	})
	if err != nil {
		n.t.Fatal(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sources[node] = s
}

func (n *net) down(node string) {
	n.mu.Lock()
	s := n.sources[node]
	delete(n.sources, node)
	n.mu.Unlock()
	if s != nil {
		if err := s.Close(); err != nil {
			n.t.Error(err)
		}
	}
}

var errDown = errors.New("it is down")

func (n *net) source(node string) (*Source, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s := n.sources[node]; s != nil {
		return s, nil
	}
	return nil, errDown
}

// IDs implements Members.
func (n *net) IDs() (ids []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for node := range n.states {
		ids = append(ids, node)
	}
	return ids
}

// Log implements Members.
func (n *net) Log(_ context.Context, node string, ask LogRequest) (Log, error) {
	if _, err := n.source(node); err != nil {
		return Log{}, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, ask)
	return n.logs[node], nil
}

// Manifest implements Remote.
func (n *net) Manifest(ctx context.Context, node, id string, minIndex uint64, preparing func(int64, int64)) (*Manifest, error) {
	s, err := n.source(node)
	if err != nil {
		return nil, err
	}
	m, err := s.Manifest(ctx, id, minIndex, func(p, t int64) error { preparing(p, t); return nil })
	if err != nil {
		return nil, err
	}
	sent := *m
	sent.Files = append([]File(nil), m.Files...)
	if n.manifest != nil {
		n.manifest(&sent)
	}
	return &sent, nil
}

// Read implements Remote.
func (n *net) Read(ctx context.Context, node, id, file string, offset int64, take func([]byte) error) error {
	s, err := n.source(node)
	if err != nil {
		return err
	}
	return s.Read(ctx, id, file, offset, func(b []byte) error {
		if _, err := n.source(node); err != nil {
			return err
		}
		if n.chunk != nil {
			if b, err = n.chunk(node, file, offset, b); err != nil {
				return err
			}
		}
		offset += int64(len(b))
		return take(b)
	})
}

// fetcher returns a fetcher into dir, as after a start.
func (n *net) fetcher(dir string) *fetcher {
	return &fetcher{
		dir: dir, remote: n, free: func() (uint64, error) { return 1 << 40, nil }, stall: time.Minute, readMeta: readMeta,
	}
}
