// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/cluster/scrub"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/peerpb"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/internal/wire"
)

// contentTime bounds the fetch of one content or part from another node.
const contentTime = 10 * time.Second

// newScrubber makes the node's scrubber, which notes what is applied from now
// on and works once it is started.
func (c *core) newScrubber() *scrub.Scrubber {
	n := c.node
	return scrub.New(scrub.Config{
		Self: n.id, View: func() (scrub.View, error) { return n.machine.View() }, Gate: c.gate,
		Repair: n.machine.Repair, RepairPart: n.machine.RepairPart, Peers: scrubPeers{c},
		Leads: c.leads, Submit: func(ctx context.Context, cmd fsm.Command) (fsm.Result, error) { return c.proposer.Submit(ctx, cmd) },
		Halt: n.halt, Logger: n.part("scrub"), Delay: n.cfg.Tuning.ScrubDelay,
	})
}

// scrubPeers is scrub.Peers.
type scrubPeers struct{ core *core }

// Voters implements scrub.Peers.
func (p scrubPeers) Voters() []string { return p.core.replica.voters() }

// Leader implements scrub.Peers.
func (p scrubPeers) Leader() string { return p.core.replica.Leader() }

func (p scrubPeers) client(node string) (peerpb.PeerClient, error) {
	conn, err := p.core.node.port.Conn(node)
	if err != nil {
		return nil, err
	}
	return peerpb.NewPeerClient(conn), nil
}

// Stored implements scrub.Peers.
func (p scrubPeers) Stored(ctx context.Context, node string, version hawser.VersionRef) (scrub.Report, error) {
	client, err := p.client(node)
	if err != nil {
		return scrub.Report{}, err
	}
	r, err := client.Stored(ctx, &peerpb.StoredRequest{Version: storedVersion(version)})
	if err != nil {
		return scrub.Report{}, wire.FromStatus(err)
	}
	report := scrub.Report{State: hawser.VersionLive, Verified: r.GetVerified(), Sums: make([]fsm.Sum, len(r.GetSums()))}
	if r.GetBad() {
		report.State = hawser.VersionBad
	}
	copy(report.SHA256[:], r.GetSha256())
	for i, s := range r.GetSums() {
		report.Sums[i] = fsm.Sum{
			Segment: s.GetSegment(), Stamp: s.GetStamp(), Position: s.GetPosition(), Bytes: s.GetBytes(), CRC32C: s.GetCrc32C(),
		}
	}
	return report, nil
}

// Content implements scrub.Peers.
func (p scrubPeers) Content(ctx context.Context, node string, segment uint64, position uint32) (record.Content, uint64, error) {
	r, err := p.content(ctx, node, &peerpb.ContentRequest{Segment: segment, Position: position})
	if err != nil {
		return record.Content{}, 0, err
	}
	content, err := record.ParseContent(r.GetData())
	return content, r.GetStamp(), err
}

// Part implements scrub.Peers.
func (p scrubPeers) Part(ctx context.Context, node string, upload [16]byte, index uint32) ([]byte, error) {
	r, err := p.content(ctx, node, &peerpb.ContentRequest{Upload: upload[:], Part: index})
	return r.GetData(), err
}

func (p scrubPeers) content(ctx context.Context, node string, r *peerpb.ContentRequest) (*peerpb.ContentResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, contentTime)
	defer cancel()
	client, err := p.client(node)
	if err != nil {
		return nil, err
	}
	resp, err := client.Content(ctx, r)
	return resp, wire.FromStatus(err)
}

// Suspect implements scrub.Peers.
func (p scrubPeers) Suspect(ctx context.Context, leader string, version hawser.VersionRef) error {
	client, err := p.client(leader)
	if err != nil {
		return err
	}
	_, err = client.Suspect(ctx, &peerpb.SuspectRequest{Version: storedVersion(version)})
	return wire.FromStatus(err)
}

func storedVersion(v hawser.VersionRef) *peerpb.StoredVersion {
	return &peerpb.StoredVersion{Namespace: v.Agent.Namespace, Name: v.Agent.Name, Number: v.Number}
}

// parseStoredVersion reads what another node names. Number 0 is none.
func parseStoredVersion(v *peerpb.StoredVersion) (hawser.VersionRef, error) {
	id, err := hawser.NewAgentID(v.GetNamespace(), v.GetName())
	if err == nil && v.GetNumber() == 0 {
		err = &hawser.Error{Code: hawser.CodeInvalid, Op: "stored version", Key: id.String(), Msg: "no number is given"}
	}
	return hawser.VersionRef{Agent: id, Number: v.GetNumber()}, err
}

// Stored implements peerpb.PeerServer.
func (p *peerServer) Stored(ctx context.Context, r *peerpb.StoredRequest) (*peerpb.StoredResponse, error) {
	c, _, err := p.fetchingMember(ctx)
	if err != nil {
		return nil, err
	}
	version, err := parseStoredVersion(r.GetVersion())
	if err != nil {
		return nil, err
	}
	report, err := c.scrubber.Inspect(ctx, version)
	if err != nil {
		return nil, err
	}
	resp := &peerpb.StoredResponse{Sha256: report.SHA256[:], Bad: report.State == hawser.VersionBad, Verified: report.Verified}
	for _, s := range report.Sums {
		resp.Sums = append(resp.Sums, &peerpb.StoredSum{
			Segment: s.Segment, Stamp: s.Stamp, Position: s.Position, Bytes: s.Bytes, Crc32C: s.CRC32C,
		})
	}
	return resp, nil
}

// Content implements peerpb.PeerServer.
func (p *peerServer) Content(ctx context.Context, r *peerpb.ContentRequest) (*peerpb.ContentResponse, error) {
	if _, _, err := p.fetchingMember(ctx); err != nil {
		return nil, err
	}
	view, err := p.node.machine.View()
	if err != nil {
		return nil, err
	}
	defer func() { _ = view.Close() }() // a failure of the store is reported by who uses it
	if upload := r.GetUpload(); len(upload) > 0 {
		var id [16]byte
		copy(id[:], upload)
		data, err := view.Part(id, r.GetPart())
		return &peerpb.ContentResponse{Data: data}, err
	}
	content, stamp, err := view.ContentAt(r.GetSegment(), r.GetPosition())
	if err != nil {
		return nil, err
	}
	return &peerpb.ContentResponse{Data: record.AppendContent(nil, content), Stamp: stamp}, nil
}

// Suspect implements peerpb.PeerServer.
func (p *peerServer) Suspect(ctx context.Context, r *peerpb.SuspectRequest) (*peerpb.SuspectResponse, error) {
	c, _, err := p.fetchingMember(ctx)
	if err != nil {
		return nil, err
	}
	version, err := parseStoredVersion(r.GetVersion())
	if err != nil {
		return nil, err
	}
	c.scrubber.Suspect(version)
	return &peerpb.SuspectResponse{}, nil
}
