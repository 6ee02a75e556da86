// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/record"
)

// scaleEnv is how many agents TestScale makes, 20,000 when it is not set. The
// claim is about 1000000, which takes half a minute and 10 GB of disk.
const scaleEnv = "HAWSER_TEST_ARCHIVE_AGENTS"

// What makes 10 GB of content out of 10^6 agents.
const (
	scaleVersions = 3
	scaleState    = 10_000 / scaleVersions
)

// Looking at the table of a large archive reads at most 1 % of the file and
// needs little memory, and looking at some agents reads almost nothing. Method:
// an archive of agents with incompressible states of 10 KB each, read through a
// counter.
func TestScale(t *testing.T) {
	agents := 20_000
	if env := os.Getenv(scaleEnv); env != "" {
		var err error
		if agents, err = strconv.Atoi(env); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "large.hawser"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	begin := time.Now()
	content := writeScale(t, f, agents)
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d agents, %d bytes of content, a file of %d bytes, written in %v", agents, content, info.Size(), time.Since(begin).Round(time.Millisecond))

	heap := watchHeap()
	begin = time.Now()
	counter := &countingReader{r: f}
	a, err := Open(counter, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	opened := counter.bytes
	n, sum := 0, int64(0)
	for e, err := range a.Agents("", "") {
		if err != nil {
			t.Fatal(err)
		}
		n++
		sum += e.ContentBytes
		if n%10_000 == 0 {
			heap.sample()
		}
	}
	heap.sample()
	if n != agents || sum != content || a.Summary().ContentBytes != content {
		t.Errorf("%d agents of %d, %d bytes of %d", n, agents, sum, content)
	}
	t.Logf("opened with %d bytes; the whole table: %d bytes read (%.3f %% of the file, %.1f an agent), heap at most %.1f MiB, %v",
		opened, counter.bytes, 100*float64(counter.bytes)/float64(info.Size()), float64(counter.bytes)/float64(n), heap.mib(), time.Since(begin).Round(time.Millisecond))
	if counter.bytes > info.Size()/100 {
		t.Errorf("%d bytes read, more than 1 %% of %d", counter.bytes, info.Size())
	}
	if heap.mib() > 50 {
		t.Errorf("%.1f MiB of heap", heap.mib())
	}

	counter.bytes = 0
	found := 0
	for range a.Agents("default", "crew-7/agent-000007") {
		found++
	}
	t.Logf("one prefix: %d agents, %d bytes read", found, counter.bytes)
	if found != 1 || counter.bytes > 100_000 {
		t.Errorf("%d agents found, %d bytes read", found, counter.bytes)
	}
}

// writeScale writes an archive of agents whose states do not pack, and returns
// their bytes.
func writeScale(t *testing.T, out io.Writer, agents int) int64 {
	t.Helper()
	w, err := NewWriter(out, testHeader)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 4))
	noise := (&sample{random: random}).noise(1 << 20)
	state := make([]byte, scaleState)
	segment := uint64(0)
	add := func(item Item) {
		if err := w.Append(item); err != nil {
			t.Fatal(err)
		}
	}
	heap := watchHeap()
	perCrew := agents/10 + 1
	for i := range agents {
		name := fmt.Sprintf("crew-%d/agent-%06d", i/perCrew, i%perCrew)
		a := &Agent{ID: id(name), Head: scaleVersions, Live: scaleVersions, Versions: scaleVersions, Created: 1e18}
		add(a)
		var versions [scaleVersions]*Version
		var created [scaleVersions]time.Time // within 100 days
		for k := range created {
			created[k] = time.UnixMilli(1_700_000_000_000 + random.Int64N(8_640_000_000))
		}
		slices.SortFunc(created[:], time.Time.Compare)
		for k := range versions {
			segment++
			copy(state, noise[(i*7919+k*104729)%(len(noise)-len(state)):])
			binary.BigEndian.PutUint64(state, segment)
			c := record.Content{Kind: record.Keyframe, Encoding: record.Raw, Size: scaleState, CRC32C: record.Checksum(state), Data: state}
			add(&Segment{ID: segment})
			add(&Content{Segment: segment, Content: c})
			versions[k] = &Version{
				Version: hawser.Version{
					Number: uint64(k + 1), Size: scaleState, SHA256: sha256.Sum256(state), Parent: uint64(k), State: hawser.VersionLive,
					CreatedAt: created[k], Revision: hawser.Revision(segment), StoredSize: scaleState,
					Instance: "worker-17", ContentType: "application/json",
				},
				Kind: hawser.RequestSave, Nonce: hawser.Nonce(versionsNonce(segment)), Segment: segment,
			}
		}
		for _, v := range versions {
			add(v)
		}
		if i%10_000 == 0 {
			heap.sample()
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	heap.sample()
	t.Logf("heap of the writer at most %.1f MiB", heap.mib())
	return w.Summary().ContentBytes
}

func versionsNonce(n uint64) (nonce [16]byte) {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, n))
	copy(nonce[:], sum[:])
	return nonce
}

// countingReader counts the bytes read.
type countingReader struct {
	r     io.ReaderAt
	bytes int64
}

func (c *countingReader) ReadAt(p []byte, offset int64) (int, error) {
	n, err := c.r.ReadAt(p, offset)
	c.bytes += int64(n)
	return n, err
}

// heapWatch is the most heap in use above what was there at the start.
type heapWatch struct{ before, most uint64 }

func watchHeap() *heapWatch {
	runtime.GC()
	h := &heapWatch{}
	h.before = heapInUse()
	return h
}

func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func (h *heapWatch) sample() { h.most = max(h.most, heapInUse()) }

func (h *heapWatch) mib() float64 {
	return max(0, (float64(h.most)-float64(h.before))/(1<<20))
}

// An archive is the same bytes whenever it is made of the same items.
func TestWriter_IsDeterministic(t *testing.T) {
	if !bytes.Equal(pack(t, newSample().items), pack(t, newSample().items)) {
		t.Error("two archives of the same items differ")
	}
}
