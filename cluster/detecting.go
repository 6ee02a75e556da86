// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/cluster/consensus"
	"github.com/hawserdb/hawser/cluster/detect"
	"github.com/hawserdb/hawser/cluster/peer"
	"github.com/hawserdb/hawser/cluster/policy"
	"github.com/hawserdb/hawser/internal/peerpb"
	"github.com/hawserdb/hawser/internal/wire"
)

// newDetector starts to watch the leader.
func (c *core) newDetector() *detect.Detector {
	n := c.node
	return detect.New(detect.Config{
		Self:      n.id,
		Standing:  func() consensus.Standing { return get(c.replica, (*consensus.Replica).Standing) },
		LastEntry: c.replica.lastEntry, Voters: c.replica.voters, Campaign: c.replica.campaign,
		Fetching: func() bool { return c.catchUp.Progress().Source != "" },
		Liveness: c.liveness, Answered: c.answered, Refused: peer.Refused, Ping: c.ping, Ask: c.askSuspicion, Logger: n.part("detect"),
		Dial: func(ctx context.Context, id string) (detect.Line, error) {
			line, err := n.port.DialLine(ctx, id)
			if err != nil {
				return nil, err
			}
			return line, nil
		},
	})
}

// ping asks whether the process of a node answers.
func (c *core) ping(ctx context.Context, id string) error {
	conn, err := c.node.port.Conn(id)
	if err != nil {
		return err
	}
	_, err = peerpb.NewPeerClient(conn).Ping(ctx, &peerpb.PingRequest{})
	return wire.FromStatus(err)
}

// askSuspicion asks a voter whether it takes the leader of a term for gone.
func (c *core) askSuspicion(ctx context.Context, voter, leader string, term uint64) (policy.Answer, error) {
	conn, err := c.node.port.Conn(voter)
	if err != nil {
		return policy.Answer{}, err
	}
	r, err := peerpb.NewPeerClient(conn).Suspicion(ctx, &peerpb.SuspicionRequest{Leader: leader, Term: term})
	if err != nil {
		return policy.Answer{}, wire.FromStatus(err)
	}
	return policy.Answer{
		Voter: r.GetNode(), Term: r.GetTerm(), Suspects: r.GetSuspects(), Reason: r.GetReason(),
		Log: policy.Log{Term: r.GetLastTerm(), Index: r.GetLastIndex()}, MayLead: r.GetMayLead(), Stands: r.GetStands(),
	}, nil
}

// Ping implements peerpb.PeerServer.
func (p *peerServer) Ping(context.Context, *peerpb.PingRequest) (*peerpb.PingResponse, error) {
	return &peerpb.PingResponse{Node: p.node.id, BootId: p.node.bootID}, nil
}

// Suspicion implements peerpb.PeerServer.
func (p *peerServer) Suspicion(ctx context.Context, r *peerpb.SuspicionRequest) (*peerpb.SuspicionResponse, error) {
	c, err := p.node.joined()
	if err != nil {
		return nil, err
	}
	caller, _ := peer.RemoteFrom(ctx)
	if _, member := c.replica.Configuration().Find(caller.NodeID); !member {
		return nil, &hawser.Error{Code: hawser.CodeRefused, Op: "suspicion", Key: caller.NodeID, Msg: "only members may ask"}
	}
	a := c.detector.Answer(r.GetLeader(), r.GetTerm())
	return &peerpb.SuspicionResponse{
		Node: a.Voter, Term: a.Term, Suspects: a.Suspects, Reason: a.Reason,
		LastTerm: a.Log.Term, LastIndex: a.Log.Index, MayLead: a.MayLead, Stands: a.Stands,
	}, nil
}
