// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"

	"github.com/hawserdb/hawser/cluster/audit"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/peerpb"
	"github.com/hawserdb/hawser/internal/wire"
)

// newAuditor makes the node's auditor, which compares what is applied from now
// on and asks others once it is started.
func (c *core) newAuditor() (*audit.Auditor, error) {
	n := c.node
	return audit.New(audit.Config{
		Self: n.id, Marks: n.machine.Marks, Leads: c.leads, Peers: auditPeers{c},
		Submit: func(ctx context.Context, cmd fsm.Command) (fsm.Result, error) { return c.proposer.Submit(ctx, cmd) },
		Halt:   n.halt, Logger: n.part("audit"),
	})
}

// auditPeers is audit.Peers.
type auditPeers struct{ core *core }

// Voters implements audit.Peers.
func (p auditPeers) Voters() []string { return p.core.replica.voters() }

// Compare implements audit.Peers.
func (p auditPeers) Compare(ctx context.Context, node string, own fsm.Mark) (digest uint64, known bool, err error) {
	conn, err := p.core.node.port.Conn(node)
	if err != nil {
		return 0, false, err
	}
	r, err := peerpb.NewPeerClient(conn).Compare(ctx, &peerpb.CompareRequest{Index: own.Index, Digest: own.Digest})
	return r.GetDigest(), r.GetKnown(), wire.FromStatus(err)
}

// Compare implements peerpb.PeerServer.
func (p *peerServer) Compare(ctx context.Context, r *peerpb.CompareRequest) (*peerpb.CompareResponse, error) {
	c, _, err := p.fetchingMember(ctx)
	if err != nil {
		return nil, err
	}
	digest, known := c.auditor.Compare(fsm.Mark{Index: r.GetIndex(), Digest: r.GetDigest()})
	return &peerpb.CompareResponse{Known: known, Digest: digest}, nil
}
