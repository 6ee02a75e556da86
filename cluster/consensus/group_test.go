// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	hawser "github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/record"
)

// hub connects the replicas of a test over loopback TCP by their ids.
type hub struct {
	mu    sync.Mutex
	addrs map[string]string
	cut   map[string]bool // replicas that reach nobody
	conns map[net.Conn][2]string
}

func newHub() *hub {
	return &hub{addrs: map[string]string{}, cut: map[string]bool{}, conns: map[net.Conn][2]string{}}
}

// listen opens the stream layer of replica id.
func (h *hub) listen(t testing.TB, id string) *hubStreams {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.addrs[id] = l.Addr().String()
	return &hubStreams{Listener: l, hub: h, id: id}
}

func (h *hub) isCut(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cut[id]
}

// isolate cuts a replica off, or lets it back.
func (h *hub) isolate(id string, on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cut[id] = on
	for c, ends := range h.conns {
		if on && slices.Contains(ends[:], id) {
			_ = c.Close()
			delete(h.conns, c)
		}
	}
}

type hubStreams struct {
	net.Listener
	hub *hub
	id  string
}

func (s *hubStreams) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	s.hub.mu.Lock()
	addr, cut := s.hub.addrs[string(to)], s.hub.cut[s.id] || s.hub.cut[string(to)]
	s.hub.mu.Unlock()
	if addr == "" || cut {
		return nil, &net.OpError{Op: "dial", Err: fmt.Errorf("no way from %s to %s", s.id, to)}
	}
	c, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.hub.conns[c] = [2]string{s.id, string(to)}
	return c, nil
}

// Close implements net.Listener.
func (s *hubStreams) Close() error {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if s.hub.addrs[s.id] == s.Listener.Addr().String() {
		delete(s.hub.addrs, s.id)
	}
	return s.Listener.Close()
}

// member is one replica of a test group and what it needs.
type member struct {
	id      string
	dir     string
	machine *fsm.Machine
	replica *Replica

	mu         sync.Mutex
	halts      []error
	leadership []Leadership
	results    int
	conf       Configuration
}

// group is a cluster in one process: real machines, real logs, TCP.
type group struct {
	t       testing.TB
	base    string
	hub     *hub
	tune    func(*Config)
	members map[string]*member
	seq     uint64
}

func testLogger(t testing.TB) *slog.Logger {
	t.Helper()
	if os.Getenv("HAWSER_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// shmDir returns a directory in memory if the system has one: what these tests
// are about does not depend on the disk, and its fsyncs are most of their time.
// Benchmarks get a real one.
func shmDir(t testing.TB) string {
	t.Helper()
	if _, ok := t.(*testing.B); ok {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp("/dev/shm", "hawser-consensus-") //nolint:usetesting // it must lie in memory
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// fast are timeouts for tests on a busy machine.
var fast = Timeouts{Heartbeat: 300 * time.Millisecond, Lease: 300 * time.Millisecond, Commit: 5 * time.Millisecond, RPC: 2 * time.Second}

// newGroup starts n replicas n1..nn and bootstraps them.
func newGroup(t testing.TB, n int, tune func(*Config)) *group {
	t.Helper()
	g := &group{t: t, base: shmDir(t), hub: newHub(), tune: tune, members: map[string]*member{}}
	t.Cleanup(g.close)
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("n%d", i+1)
		g.start(ids[i])
	}
	if n > 0 {
		if err := g.members[ids[0]].replica.Bootstrap(ids); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// start opens a member on its directory, which it keeps from start to start.
func (g *group) start(id string) *member {
	g.t.Helper()
	m, err := g.open(id)
	if err != nil {
		g.t.Fatal(err)
	}
	return m
}

func (g *group) open(id string) (*member, error) {
	g.t.Helper()
	m := g.members[id]
	if m == nil {
		m = &member{id: id, dir: filepath.Join(g.base, id)}
		g.members[id] = m
	}
	var err error
	if m.machine, err = fsm.Open(filepath.Join(m.dir, "state"), fsm.Options{}); err != nil {
		return nil, err
	}
	cfg := Config{
		ID: id, Dir: m.dir, Machine: m.machine, Streams: g.hub.listen(g.t, id), Logger: testLogger(g.t).With("node", id),
		Halt: m.halt, OnApplied: m.applied, OnLeadership: m.led, OnConfiguration: m.configured, Timeouts: fast,
		segmentSize: 1 << 20,
	}
	if g.tune != nil {
		g.tune(&cfg)
	}
	if m.replica, err = Open(cfg); err != nil {
		_ = cfg.Streams.Close()
		_ = m.machine.Close()
		m.machine = nil
		return nil, err
	}
	return m, nil
}

// stop closes a member.
func (g *group) stop(id string) {
	g.t.Helper()
	m := g.members[id]
	if m.replica == nil {
		return
	}
	if err := m.replica.Close(context.Background()); err != nil {
		g.t.Errorf("close %s: %v", id, err)
	}
	m.replica = nil
	if err := m.machine.Close(); err != nil && m.halted() == nil {
		g.t.Errorf("close machine of %s: %v", id, err)
	}
	m.machine = nil
}

func (g *group) close() {
	var wg sync.WaitGroup
	for id := range g.members {
		wg.Go(func() { g.stop(id) })
	}
	wg.Wait()
}

func (m *member) halt(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.halts = append(m.halts, err)
}

func (m *member) halted() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.halts) == 0 {
		return nil
	}
	return m.halts[0]
}

func (m *member) applied(a []fsm.Applied) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, x := range a {
		m.results += len(x.Results)
	}
}

func (m *member) led(l Leadership) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leadership = append(m.leadership, l)
}

func (m *member) configured(c Configuration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.conf = c
}

// eventually polls until ok, for a bounded time.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// leader waits for a leader other than those named.
func (g *group) leader(not ...string) *member {
	g.t.Helper()
	var found *member
	eventually(g.t, "a leader", func() bool {
		for id, m := range g.members {
			if m.replica != nil && !g.hub.isCut(id) && !slices.Contains(not, id) && m.replica.IsLeader() {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// follower returns a running member that is not m.
func (g *group) follower(m *member) *member {
	for _, id := range slices.Sorted(keysOf(g.members)) {
		if f := g.members[id]; f != m && f.replica != nil {
			return f
		}
	}
	g.t.Fatal("no follower")
	return nil
}

func keysOf[K comparable, V any](m map[K]V) func(func(K) bool) {
	return func(yield func(K) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// command makes the n-th save of agent default/a, of size bytes.
func command(t testing.TB, agent string, n uint64, size int) []byte {
	t.Helper()
	id, err := hawser.NewAgentID("default", agent)
	if err != nil {
		t.Fatal(err)
	}
	state := make([]byte, max(size, 8))
	for i := range state {
		state[i] = byte(i*7) ^ byte(n>>(i%8)) // does not compress well, differs by n
	}
	binary.LittleEndian.PutUint64(state, n)
	var nonce hawser.Nonce
	binary.LittleEndian.PutUint64(nonce[:], n)
	save := &fsm.Save{Agent: id, Request: fsm.Request{Nonce: nonce, Seen: 0, Attempt: 1}, SHA256: sha256.Sum256(state), Content: record.EncodeKeyframe(state)}
	var batch fsm.BatchID
	binary.LittleEndian.PutUint64(batch[:], n)
	return fsm.AppendBatch(nil, batch, int64(n), [][]byte{fsm.AppendCommand(nil, save)})
}

func (m *member) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.results
}

// propose hands n saves to m, which leads, and waits until m applied them.
func (g *group) propose(m *member, n, size int) {
	g.t.Helper()
	before := m.count()
	for range n {
		g.seq++
		data := command(g.t, "a", g.seq, size)
		eventually(g.t, "propose", func() bool { return m.replica.Propose(data) == nil })
	}
	eventually(g.t, m.id+" applies what was proposed", func() bool { return m.count() >= before+n })
}

// same waits until all running members have m's digest.
func (g *group) same(m *member) {
	g.t.Helper()
	digest := func(m *member) string {
		d, err := m.machine.Digest(context.Background())
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(d)
	}
	for _, o := range g.members {
		if o.replica == nil {
			continue
		}
		eventually(g.t, o.id+" is equal to "+m.id, func() bool {
			a, _ := m.machine.Applied()
			b, _ := o.machine.Applied()
			return a == b && digest(m) == digest(o)
		})
	}
}
