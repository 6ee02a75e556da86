// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/cluster/consensus"
	"github.com/hawserdb/hawser/cluster/peer"
	"github.com/hawserdb/hawser/cluster/policy"
	"github.com/hawserdb/hawser/internal/peerpb"
	"github.com/hawserdb/hawser/internal/wire"
)

// shapeEvery is how often a leader asks itself how it does.
const shapeEvery = 500 * time.Millisecond

// standTime bounds the question to a voter to stand.
const standTime = 5 * time.Second

// successions hands the leadership on when this node leads badly. The zero value does
// nothing.
type successions struct {
	stop context.CancelFunc
	done chan struct{}
}

func (s *successions) start(c *core) {
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.done = stop, make(chan struct{})
	go func() {
		defer close(s.done)
		c.handOverWhenSlow(ctx)
	}()
}

func (s *successions) close() {
	if s.stop != nil {
		s.stop()
		<-s.done
	}
}

func (c *core) handOverWhenSlow(ctx context.Context) {
	tick := time.NewTicker(shapeEvery)
	defer tick.Stop()
	var term uint64
	var since time.Time // it leads in term
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		ready := c.proposer.ReadyTerm()
		if ready != term {
			term, since = ready, time.Now()
		}
		if ready == 0 {
			continue
		}
		to, reason := policy.HandOver(c.tenure(time.Since(since)))
		if to == "" {
			continue
		}
		log := c.node.part("handover")
		log.Warn("this node leads badly and hands the leadership on", "to", to, "reason", reason)
		// Raft's own transfer would wait until the other has this node's log.
		if err := c.askToStand(ctx, to, ready); err != nil {
			log.Warn("the leadership could not be handed on", "to", to, "error", err)
		}
		since = time.Now()
	}
}

// askToStand has a voter stand for election against this leader.
func (c *core) askToStand(ctx context.Context, voter string, term uint64) error {
	ctx, cancel := context.WithTimeout(ctx, standTime)
	defer cancel()
	conn, err := c.node.port.Conn(voter)
	if err != nil {
		return err
	}
	_, err = peerpb.NewPeerClient(conn).Stand(ctx, &peerpb.StandRequest{Term: term})
	return wire.FromStatus(err)
}

// Stand implements peerpb.PeerServer.
func (p *peerServer) Stand(ctx context.Context, r *peerpb.StandRequest) (*peerpb.StandResponse, error) {
	c, err := p.node.joined()
	if err != nil {
		return nil, err
	}
	caller, _ := peer.RemoteFrom(ctx)
	if leader := c.replica.Leader(); leader != caller.NodeID {
		return nil, &hawser.Error{Code: hawser.CodeRefused, Op: "stand for election", Key: caller.NodeID, Msg: "only the leader may ask for it"}
	}
	return &peerpb.StandResponse{}, c.replica.campaign(ctx, r.GetTerm())
}

// tenure is how this leader and the other voters do.
func (c *core) tenure(leading time.Duration) policy.Tenure {
	voters := c.replica.voters()
	t := policy.Tenure{
		Leading: leading, Waiting: c.proposer.Stats().Waiting, Append: get(c.replica, (*consensus.Replica).AppendTime), Voters: len(voters),
	}
	for _, id := range voters {
		if f, told := c.tracker.Follower(id); told && id != c.node.id {
			t.Others = append(t.Others, policy.Successor{ID: id, Contact: time.Since(f.Contact), LastIndex: f.LastIndex, Append: f.Append, Alive: c.liveness(id) == policy.Alive})
		}
	}
	return t
}
