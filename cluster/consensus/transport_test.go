// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/logbridge"
)

// fakeReceiver is what a test says of the replica behind a transport.
type fakeReceiver struct {
	term, applied uint64
	holds         entryID
	mu            sync.Mutex
	installed     []entryID
	decision      Install
}

func (f *fakeReceiver) Term() uint64           { return f.term }
func (f *fakeReceiver) Holds(id entryID) bool  { return id == f.holds }
func (f *fakeReceiver) Applied() uint64        { return f.applied }
func (f *fakeReceiver) Decide(entryID) Install { return f.decision }
func (f *fakeReceiver) Installed(id entryID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.installed = append(f.installed, id)
}

func transportConfig(t testing.TB, h *hub, id string) Config {
	t.Helper()
	c := Config{ID: id, Dir: t.TempDir(), Streams: h.listen(t, id), Logger: testLogger(t), Timeouts: fast}
	return c.withDefaults()
}

// ours is a transport with the cures.
func ours(t testing.TB, h *hub, id string, r receiver) *transport {
	t.Helper()
	c := transportConfig(t, h, id)
	tr := newTransport(c, newLatch(c.Dir, time.Minute, c.Logger, func(error) {}), r)
	t.Cleanup(func() { _ = tr.stop() })
	return tr
}

// plain is raft's transport as it comes, but for MaxRPCsInFlight.
func plain(t testing.TB, h *hub, id string) *raft.NetworkTransport {
	t.Helper()
	c := transportConfig(t, h, id)
	tr := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: newStreams(c.Streams, id, time.Minute), MaxPool: maxPool, Timeout: c.Timeouts.RPC, MaxRPCsInFlight: 1,
		Logger: logbridge.HCLog(c.Logger.Handler()),
	})
	t.Cleanup(func() { _ = tr.Close(); tr.CloseStreams() })
	return tr
}

// answer plays a member that grants every vote and stores nothing.
func answer(t testing.TB, tr raft.Transport) {
	t.Helper()
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	head := raft.RPCHeader{ProtocolVersion: 3}
	go func() {
		for {
			var rpc raft.RPC
			select {
			case rpc = <-tr.Consumer():
			case <-stop:
				return
			}
			switch c := rpc.Command.(type) {
			case *raft.RequestPreVoteRequest:
				rpc.Respond(&raft.RequestPreVoteResponse{RPCHeader: head, Term: c.Term, Granted: true}, nil)
			case *raft.RequestVoteRequest:
				rpc.Respond(&raft.RequestVoteResponse{RPCHeader: head, Term: c.Term, Granted: true}, nil)
			case *raft.AppendEntriesRequest:
				rpc.Respond(&raft.AppendEntriesResponse{RPCHeader: head, Term: c.Term}, nil)
			default:
				rpc.Respond(nil, errors.New("no"))
			}
		}
	}()
}

// listFSM records what raft applies.
type listFSM struct {
	mu   sync.Mutex
	logs []*raft.Log
}

func (f *listFSM) Apply(l *raft.Log) any {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.logs = append(f.logs, l)
	return nil
}

func (f *listFSM) Snapshot() (raft.FSMSnapshot, error) { return nil, errors.New("no") }

func (f *listFSM) Restore(rc io.ReadCloser) error {
	_, err := io.Copy(io.Discard, rc)
	return err
}

func (f *listFSM) has(index uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.logs, func(l *raft.Log) bool { return l.Index == index })
}

// marks returns what becomes of a machine that applies the list.
func (f *listFSM) marks(t *testing.T) fsm.Marks {
	t.Helper()
	m, err := fsm.Open("state", fsm.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.logs {
		if _, err := m.Apply([]fsm.Entry{{Index: l.Index, Term: l.Term, Kind: fsm.EntryCommand, Data: l.Data}}); err != nil {
			t.Fatal(err)
		}
	}
	marks, err := m.Marks()
	if err != nil {
		t.Fatal(err)
	}
	return marks
}

// gate is a slog handler that holds up the goroutine that logs a message.
type gate struct {
	slog.Handler
	message         string
	once            sync.Once
	reached, resume chan struct{}
}

func (g *gate) Handle(_ context.Context, r slog.Record) error {
	if r.Message == g.message {
		g.once.Do(func() { close(g.reached); <-g.resume })
	}
	return nil
}
func (g *gate) Enabled(context.Context, slog.Level) bool { return true }
func (g *gate) WithAttrs([]slog.Attr) slog.Handler       { return g }

func sealed(l raft.Log) *raft.Log {
	l.Extensions = appendExtension(nil, entryChecksum(&l))
	return &l
}

// raft#695. A is elected in term T and held up just as it becomes leader. C is
// elected in T+1 and sends a heartbeat. With raft's fast path the heartbeat
// raises A's term at once, and A goes on as a leader of T+1: it stores its own
// no-op of T+1, takes C's entry of the same index and term for it, and never
// applies what C committed. Without the fast path it does. A replica to which
// this happens shows it at the next audit.
func TestTransport_HeartbeatsDoNotRaceWithElections(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(*hub) raft.Transport
		want bool
	}{
		{"with the cure", func(h *hub) raft.Transport { return ours(t, h, "A", &fakeReceiver{}) }, true},
		{"without the cure", func(h *hub) raft.Transport { return plain(t, h, "A") }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHub()
			applied, committed := heartbeatRace(t, h, c.make(h))
			if got := applied.has(2); got != c.want {
				t.Errorf("A applied the committed entry: %v, want %v", got, c.want)
			}
			a, others := applied.marks(t), committed.marks(t)
			if a.Audited.Index != 3 || others.Audited.Index != 3 {
				t.Fatalf("the audit was not applied: %+v, %+v", a, others)
			}
			if same := a.Audited == others.Audited; same != c.want {
				t.Errorf("A and the others agree: %v, want %v", same, c.want)
			}
		})
	}
}

// heartbeatRace returns what A has applied, and what was committed.
func heartbeatRace(t *testing.T, h *hub, a raft.Transport) (applied, committed *listFSM) {
	t.Helper()
	b, c := plain(t, h, "B"), plain(t, h, "C")
	answer(t, b)
	answer(t, c)
	g := &gate{message: "entering leader state", reached: make(chan struct{}), resume: make(chan struct{})}
	conf := raft.DefaultConfig()
	conf.HeartbeatTimeout, conf.ElectionTimeout, conf.LeaderLeaseTimeout = 200*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond
	conf.LocalID, conf.Logger = "A", logbridge.HCLog(g)
	store, snaps, f := raft.NewInmemStore(), raft.NewInmemSnapshotStore(), &listFSM{}
	members := raft.Configuration{Servers: []raft.Server{{ID: "A", Address: "A"}, {ID: "B", Address: "B"}, {ID: "C", Address: "C"}}}
	if err := raft.BootstrapCluster(conf, store, store, snaps, a, members); err != nil {
		t.Fatal(err)
	}
	r, err := raft.NewRaft(conf, f, store, store, snaps, a)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Shutdown()
	<-g.reached
	term := r.CurrentTerm() + 1
	head := raft.RPCHeader{ProtocolVersion: 3, ID: []byte("C"), Addr: []byte("C")}
	heartbeat := make(chan error, 1)
	go func() {
		heartbeat <- c.AppendEntries("A", "A", &raft.AppendEntriesRequest{RPCHeader: head, Term: term}, &raft.AppendEntriesResponse{})
	}()
	// With the fast path it is answered now; without, only after A goes on.
	select {
	case <-heartbeat:
		heartbeat <- nil
	case <-time.After(200 * time.Millisecond):
	}
	close(g.resume)
	if err := <-heartbeat; err != nil {
		t.Fatal(err)
	}
	committed = &listFSM{}
	for i, command := range []fsm.Command{&fsm.LeaderStart{Term: term, Node: "C", ClusterID: [16]byte{1}}, &fsm.Audit{}} {
		index := uint64(2 + i)
		data := fsm.AppendBatch(nil, fsm.BatchID{byte(index)}, 1, [][]byte{fsm.AppendCommand(nil, command)})
		entry := sealed(raft.Log{Index: index, Term: term, Type: raft.LogCommand, Data: data})
		committed.Apply(entry)
		request := &raft.AppendEntriesRequest{
			RPCHeader: head, Term: term, PrevLogEntry: index - 1, PrevLogTerm: []uint64{1, term}[i],
			Entries: []*raft.Log{entry}, LeaderCommitIndex: index,
		}
		eventually(t, "A takes C's entry", func() bool {
			var resp raft.AppendEntriesResponse
			return c.AppendEntries("A", "A", request, &resp) == nil && resp.Success
		})
	}
	eventually(t, "A applies the last entry", func() bool { return f.has(3) })
	return f, committed
}

// A vote over pooled connections that the other end closed (it was restarted)
// is asked again; raft's transport alone answers with an error, which costs
// the candidate a whole election timeout.
func TestTransport_VotesSurviveStaleConnections(t *testing.T) {
	vote := func(tr raft.Transport) error {
		req := &raft.RequestVoteRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: 3}, Term: 2}
		return tr.RequestVote("B", "B", req, &raft.RequestVoteResponse{})
	}
	for _, c := range []struct {
		name string
		make func(*hub) raft.Transport
		ok   bool
	}{
		{"with the cure", func(h *hub) raft.Transport { return ours(t, h, "A", &fakeReceiver{}) }, true},
		{"without the cure", func(h *hub) raft.Transport { return plain(t, h, "A") }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHub()
			from := c.make(h)
			fillPool(t, h, from, vote)
			second := plain(t, h, "B") // B restarted
			answer(t, second)
			if err := vote(from); (err == nil) != c.ok {
				t.Errorf("vote: %v", err)
			}
		})
	}
}

// fillPool leaves from with maxPool connections to B that B has closed.
func fillPool(t *testing.T, h *hub, from raft.Transport, vote func(raft.Transport) error) {
	t.Helper()
	first := plain(t, h, "B")
	var wg sync.WaitGroup
	for range maxPool {
		wg.Go(func() {
			if err := vote(from); err != nil {
				t.Errorf("filling the pool: %v", err)
			}
		})
	}
	var held []raft.RPC
	for range maxPool {
		held = append(held, <-first.Consumer())
	}
	for _, rpc := range held { // only now: so they were all in flight at once
		rpc.Respond(&raft.RequestVoteResponse{RPCHeader: raft.RPCHeader{ProtocolVersion: 3}, Granted: true}, nil)
	}
	wg.Wait()
	_ = first.Close()
}

// raft#612: a pipeline to a follower deadlocks for good after one refused
// append. There is none: raft falls back to one request at a time.
func TestTransport_DoesNotPipeline(t *testing.T) {
	h := newHub()
	tr := ours(t, h, "A", &fakeReceiver{})
	if _, err := tr.AppendEntriesPipeline("B", "B"); !errors.Is(err, raft.ErrPipelineReplicationNotSupported) {
		t.Errorf("%v", err)
	}
}

// A damaged entry is refused before raft sees it, and an entry without a
// checksum is neither sent nor taken.
func TestTransport_RefusesDamagedEntries(t *testing.T) {
	h := newHub()
	ours(t, h, "A", &fakeReceiver{}) // its raft would never answer
	raw, tr := plain(t, h, "B"), ours(t, h, "C", &fakeReceiver{})
	head := raft.RPCHeader{ProtocolVersion: 3}
	good := sealed(raft.Log{Index: 1, Term: 1, Data: []byte("x")})
	bad, none := *good, *good
	bad.Data, none.Extensions = []byte("y"), nil
	for name, e := range map[string]*raft.Log{"damaged": &bad, "without checksum": &none} {
		req := &raft.AppendEntriesRequest{RPCHeader: head, Term: 1, Entries: []*raft.Log{good, e}}
		if err := raw.AppendEntries("A", "A", req, &raft.AppendEntriesResponse{}); err == nil || !bytes.Contains([]byte(err.Error()), []byte("refused damaged")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	req := &raft.AppendEntriesRequest{RPCHeader: head, Term: 1, Entries: []*raft.Log{&none}}
	if err := tr.AppendEntries("A", "A", req, &raft.AppendEntriesResponse{}); !errors.Is(err, errNoChecksum) {
		t.Errorf("sent: %v", err)
	}
}

// A late snapshot never reaches raft: with its last entry in the log it is
// answered with success and not installed; behind the machine it is refused;
// else raft gets it. Its bytes are always read to the end.
func TestTransport_AnswersLateSnapshots(t *testing.T) {
	for _, c := range []struct {
		name    string
		index   uint64
		success bool
		toRaft  bool
	}{{"held by the log", 5, true, false}, {"behind the machine", 7, false, false}, {"needed", 9, true, true}} {
		t.Run(c.name, func(t *testing.T) {
			h := newHub()
			fake := &fakeReceiver{term: 3, applied: 8, holds: entryID{5, 3}}
			tr, from := ours(t, h, "A", fake), plain(t, h, "B")
			var reached atomic.Bool
			go func() {
				select {
				case rpc := <-tr.Consumer():
					reached.Store(true)
					_, _ = io.Copy(io.Discard, rpc.Reader)
					rpc.Respond(&raft.InstallSnapshotResponse{Success: true}, nil)
				case <-t.Context().Done():
				}
			}()
			data := bytes.Repeat([]byte("state"), 100_000)
			req := &raft.InstallSnapshotRequest{
				RPCHeader: raft.RPCHeader{ProtocolVersion: 3}, SnapshotVersion: 1, Term: 3,
				LastLogIndex: c.index, LastLogTerm: 3, Size: int64(len(data)),
			}
			var resp raft.InstallSnapshotResponse
			err := from.InstallSnapshot("A", "A", req, &resp, bytes.NewReader(data))
			if resp.Success != c.success || (err == nil) != c.success || reached.Load() != c.toRaft {
				t.Errorf("success %v, %v, reached raft: %v", resp.Success, err, reached.Load())
			}
			eventually(t, "the count of installs", func() bool {
				fake.mu.Lock()
				defer fake.mu.Unlock()
				return (len(fake.installed) == 1) == c.success
			})
		})
	}
}

// After the latch closed nothing goes out and nothing comes in.
func TestTransport_IsSilentAfterAFailure(t *testing.T) {
	h := newHub()
	tr, other := ours(t, h, "A", &fakeReceiver{}), plain(t, h, "B")
	answer(t, other)
	_ = tr.latch.fail(errors.New("disk"))
	head := raft.RPCHeader{ProtocolVersion: 3}
	for name, err := range map[string]error{
		"vote out":   tr.RequestVote("B", "B", &raft.RequestVoteRequest{RPCHeader: head}, &raft.RequestVoteResponse{}),
		"append out": tr.AppendEntries("B", "B", &raft.AppendEntriesRequest{RPCHeader: head}, &raft.AppendEntriesResponse{}),
		"vote in":    other.RequestVote("A", "A", &raft.RequestVoteRequest{RPCHeader: head}, &raft.RequestVoteResponse{}),
		"append in":  other.AppendEntries("A", "A", &raft.AppendEntriesRequest{RPCHeader: head}, &raft.AppendEntriesResponse{}),
	} {
		if err == nil {
			t.Errorf("%s was answered", name)
		}
	}
}

// A peer that stands still in the middle of a snapshot is given up: raft sets
// no deadline where it receives.
func TestStreams_GiveUpAStalledPeer(t *testing.T) {
	h := newHub()
	c := transportConfig(t, h, "A")
	c.Timeouts.Stall = 50 * time.Millisecond
	tr := newTransport(c, newLatch(c.Dir, time.Minute, c.Logger, func(error) {}), &fakeReceiver{})
	defer func() { _ = tr.stop() }()
	got := make(chan error, 1)
	go func() {
		rpc := <-tr.Consumer()
		_, err := io.Copy(io.Discard, rpc.Reader)
		got <- err
		rpc.Respond(nil, errors.New("short"))
	}()
	r, w := io.Pipe()
	defer func() { _ = w.Close() }()
	go func() {
		req := &raft.InstallSnapshotRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: 3}, SnapshotVersion: 1, LastLogIndex: 9, Size: 1 << 30}
		_ = plain(t, h, "B").InstallSnapshot("A", "A", req, &raft.InstallSnapshotResponse{}, r)
	}()
	if _, err := w.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-got:
	case <-time.After(10 * time.Second):
		t.Fatal("still waiting for a stalled peer")
	}
}
