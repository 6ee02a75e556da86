// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/cluster/catchup"
	"github.com/hawserdb/hawser/cluster/consensus"
	"github.com/hawserdb/hawser/cluster/peer"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/halt"
	"github.com/hawserdb/hawser/internal/peerpb"
	"github.com/hawserdb/hawser/internal/wire"
)

// openCatchUp makes both sides of catching up: the node's own fetches, and the
// checkpoints that others fetch from it.
func (c *core) openCatchUp() error {
	n := c.node
	source, err := catchup.NewSource(catchup.SourceConfig{
		Dir: filepath.Join(n.dir.Path(), "send", "catchup"), Checkpoint: n.machine.Checkpoint,
		BytesPerSecond: n.cfg.Tuning.FetchBytesPerSecond, Logger: n.part("catchup"),
	})
	if err != nil {
		return &halt.Error{Reason: halt.Directory, Where: n.dir.Path(), Err: err}
	}
	c.source = source
	c.catchUp = catchup.New(catchup.Config{
		Dir: filepath.Join(n.dir.Path(), "fetch"), Members: (*members)(c), Reach: c.reach, Adopt: c.adopt,
		Free: func() (uint64, error) { s, err := n.space(); return s.free, err }, Halt: n.halt, Logger: n.part("catchup"),
	})
	return nil
}

func (c *core) reach() (last, applied uint64) {
	applied, _ = c.node.machine.Applied()
	return max(c.replica.LastIndex(), applied), applied
}

// adopt takes over a checkpoint that was fetched, while raft is stopped.
func (c *core) adopt(ctx context.Context, dir string, meta fsm.Meta) error {
	if err := c.vet(ctx, dir); err != nil {
		return err
	}
	resume, err := c.replica.Quiesce(context.WithoutCancel(ctx))
	if err != nil {
		return &halt.Error{Reason: halt.Hung, Where: "raft", Err: fmt.Errorf("stop raft to take over a checkpoint: %w", err)}
	}
	defer resume()
	return consensus.Adopt(c.raftConfig(), dir, meta)
}

// members is the core as package catchup asks the other members through it.
type members core

// IDs implements catchup.Members. A node that was taken in a moment ago has no
// configuration yet, and knows the members' addresses only.
func (m *members) IDs() []string {
	var ids []string
	for _, s := range m.replica.Configuration().Servers {
		ids = append(ids, s.ID)
	}
	if state := m.node.dir.Node().State(); len(ids) == 0 && !state.ClusterID.IsZero() {
		for _, a := range m.node.book.Addresses() {
			ids = append(ids, a.ID)
		}
	}
	return slices.DeleteFunc(ids, func(id string) bool { return id == m.node.id })
}

func (m *members) client(node string) (peerpb.PeerClient, error) {
	conn, err := m.node.port.Conn(node)
	if err != nil {
		return nil, err
	}
	return peerpb.NewPeerClient(conn), nil
}

// Log implements catchup.Members.
func (m *members) Log(ctx context.Context, node string, ask catchup.LogRequest) (catchup.Log, error) {
	client, err := m.client(node)
	if err != nil {
		return catchup.Log{}, err
	}
	r, err := client.Log(ctx, &peerpb.LogRequest{
		Keep: ask.Keep, From: ask.From, Source: ask.Progress.Source, Fetched: uint64(ask.Progress.Done), Total: uint64(ask.Progress.Total),
	})
	if err != nil {
		return catchup.Log{}, wire.FromStatus(err)
	}
	return catchup.Log{First: r.GetFirstIndex(), Last: r.GetLastIndex(), Applied: r.GetAppliedIndex(), Leads: r.GetLeads()}, nil
}

// Manifest implements catchup.Remote.
func (m *members) Manifest(ctx context.Context, node, id string, minIndex uint64, preparing func(prepared, total int64)) (*catchup.Manifest, error) {
	client, err := m.client(node)
	if err != nil {
		return nil, err
	}
	return catchup.AskManifest(ctx, client, id, minIndex, preparing)
}

// Read implements catchup.Remote.
func (m *members) Read(ctx context.Context, node, id, file string, offset int64, take func([]byte) error) error {
	client, err := m.client(node)
	if err != nil {
		return err
	}
	return catchup.AskFile(ctx, client, id, file, offset, take)
}

// fetchingMember checks that the caller may fetch: it is a member, or was taken
// in a moment ago.
func (p *peerServer) fetchingMember(ctx context.Context) (*core, string, error) {
	c, err := p.node.runningCore()
	if err != nil {
		return nil, "", err
	}
	caller, _ := peer.RemoteFrom(ctx)
	if !c.elders.allow(caller.NodeID) {
		return nil, "", &hawser.Error{Code: hawser.CodePermissionDenied, Op: "fetch state", Key: caller.NodeID, Msg: "is no member of the cluster, as far as this node knows"}
	}
	return c, caller.NodeID, nil
}

// Log implements peerpb.PeerServer.
func (p *peerServer) Log(ctx context.Context, r *peerpb.LogRequest) (*peerpb.LogResponse, error) {
	c, caller, err := p.fetchingMember(ctx)
	if err != nil {
		return nil, err
	}
	if r.GetKeep() {
		c.replica.hold(caller, r.GetFrom())
		c.fetchers.heard(caller, catchup.Progress{Source: r.GetSource(), Index: r.GetFrom(), Done: int64(r.GetFetched()), Total: int64(r.GetTotal())})
	}
	resp := &peerpb.LogResponse{Leads: c.replica.IsLeader()}
	resp.FirstIndex, resp.LastIndex = c.replica.reach()
	resp.AppliedIndex, _ = p.node.machine.Applied()
	return resp, nil
}

// Checkpoint implements peerpb.PeerServer.
func (p *peerServer) Checkpoint(r *peerpb.CheckpointRequest, stream grpc.ServerStreamingServer[peerpb.CheckpointResponse]) error {
	c, _, err := p.fetchingMember(stream.Context())
	if err == nil {
		err = c.sound()
	}
	if err == nil {
		err = c.source.SendManifest(r, stream)
	}
	return err
}

// ReadCheckpoint implements peerpb.PeerServer.
func (p *peerServer) ReadCheckpoint(r *peerpb.ReadCheckpointRequest, stream grpc.ServerStreamingServer[peerpb.ReadCheckpointResponse]) error {
	c, _, err := p.fetchingMember(stream.Context())
	if err == nil {
		err = c.sound()
	}
	if err == nil {
		err = c.source.SendFile(r, stream)
	}
	return err
}

// fetchers remembers which members fetch the state, for an operator. It is safe
// for concurrent use.
type fetchers struct {
	mu    sync.Mutex
	known map[string]fetching
}

type fetching struct {
	progress catchup.Progress
	heard    time.Time
}

func (f *fetchers) heard(node string, p catchup.Progress) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known == nil {
		f.known = map[string]fetching{}
	}
	f.known[node] = fetching{p, time.Now()}
}

// notes says who fetches, of those that were heard from a moment ago.
func (f *fetchers) notes() (notes []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for node, at := range f.known {
		switch {
		case time.Since(at.heard) > fetchSilence:
			delete(f.known, node)
		case at.progress.Source != "":
			notes = append(notes, "member "+node+" is behind: "+at.progress.String())
		}
	}
	slices.Sort(notes)
	return notes
}

// fetchSilence is after how long without a word a fetch is not mentioned any more.
const fetchSilence = 15 * time.Second
