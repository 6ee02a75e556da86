// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"slices"

	"github.com/hawserdb/hawser"
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

// sound returns why this node's state is not to be given to another one.
func (c *core) sound() error {
	if err := c.node.Err(); err != nil {
		return &hawser.Error{Code: hawser.CodeUnavailable, Op: "give the state", Msg: "this node stops itself", Err: err}
	}
	return c.auditor.Doubt()
}

// vet asks the other members whether they have had the state in dir too, which
// was fetched from one of them.
func (c *core) vet(ctx context.Context, dir string) error {
	marks, err := fsm.ReadMarks(dir, fsm.Options{})
	if err != nil || marks.Audited.Index == 0 {
		return err
	}
	others := slices.DeleteFunc((*members)(c).IDs(), func(id string) bool { return id == c.node.id })
	if err := c.auditor.Vet(ctx, others, marks); err != nil {
		return fmt.Errorf("a fetched state is not taken over: %w", err)
	}
	return nil
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
	c, caller, err := p.fetchingMember(ctx)
	if err != nil {
		return nil, err
	}
	digest, known := c.auditor.Compare(caller, fsm.Mark{Index: r.GetIndex(), Digest: r.GetDigest()})
	return &peerpb.CompareResponse{Known: known, Digest: digest}, nil
}
