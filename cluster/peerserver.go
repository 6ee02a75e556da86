// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"time"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/cluster/consensus"
	"github.com/hawserdb/hawser/cluster/peer"
	"github.com/hawserdb/hawser/cluster/read"
	"github.com/hawserdb/hawser/cluster/service"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/peerpb"
	"github.com/hawserdb/hawser/internal/wire"
)

// peerServer answers what other nodes ask. Who asks has proved that it knows
// the cluster secret.
type peerServer struct {
	peerpb.UnimplementedPeerServer
	node *Node
}

// peersServer returns the server of the peer port. Calls of clients that other
// nodes forward arrive there too.
func (n *Node) peersServer() *grpc.Server {
	server := grpc.NewServer(append(n.port.ServerOptions(),
		grpc.InTapHandle(service.Tap),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connWindow),
		grpc.ChainUnaryInterceptor(n.service.Unary(n.log, ignoreCall), service.Forwarded),
		grpc.ChainStreamInterceptor(n.service.Stream(n.log, ignoreCall), service.ForwardedStream))...)
	peerpb.RegisterPeerServer(server, &peerServer{node: n})
	hawserv1.RegisterStateServer(server, n.service)
	hawserv1.RegisterClusterServer(server, n.service)
	hawserv1.RegisterArchiveServer(server, n.service)
	hawserv1.RegisterCoordinationServer(server, n.service)
	hawserv1.RegisterTransactionsServer(server, n.service)
	hawserv1.RegisterMessagesServer(server, n.service)
	hawserv1.RegisterCutsServer(server, n.service)
	hawserv1.RegisterEffectsServer(server, n.service)
	hawserv1.RegisterHealthServer(server, n.service)
	return server
}

func ignoreCall(string, hawser.Code, time.Duration) {}

// Promise implements peerpb.PeerServer.
func (p *peerServer) Promise(ctx context.Context, r *peerpb.PromiseRequest) (*peerpb.PromiseResponse, error) {
	caller, _ := peer.RemoteFrom(ctx)
	return p.node.grant(ctx, r, caller.NodeID)
}

// Join implements peerpb.PeerServer.
func (p *peerServer) Join(ctx context.Context, r *peerpb.JoinRequest) (*peerpb.JoinResponse, error) {
	c, err := p.node.joined()
	if err != nil {
		return nil, err
	}
	caller, _ := peer.RemoteFrom(ctx)
	return c.taker.Take(ctx, r, caller.NodeID)
}

// Term implements peerpb.PeerServer. The answer must be the node's present
// term, read after the question arrived.
func (p *peerServer) Term(context.Context, *peerpb.TermRequest) (*peerpb.TermResponse, error) {
	c, err := p.node.runningCore()
	if err != nil {
		return nil, err
	}
	a := c.answer()
	return &peerpb.TermResponse{
		Node: a.Node, Term: a.Term, Wall: a.Wall.UnixNano(), AppliedIndex: a.AppliedIndex, LastIndex: a.LastIndex,
		FreeBytes: a.FreeBytes, TotalBytes: a.TotalBytes, FeatureLevel: a.FeatureLevel,
		GossipAddress: c.gossipAddress(), ClientAddress: c.node.clientAddr,
		AppendMicros: uint64(get(c.replica, (*consensus.Replica).AppendTime).Microseconds()),
	}, nil
}

// answer is what this node says about itself.
func (c *core) answer() read.Answer {
	applied, _ := c.node.machine.Applied()
	a := read.Answer{
		Node: c.node.id, Term: c.replica.Term(), Wall: time.Now(), AppliedIndex: applied,
		LastIndex: c.replica.LastIndex(), FeatureLevel: fsm.MaxLevel,
	}
	if s, ok := c.node.lastSpace.Load().(space); ok {
		a.FreeBytes, a.TotalBytes = s.free, s.total
	}
	return a
}

// ask asks another voter, or this node, about itself.
func (c *core) ask(ctx context.Context, voter string, term uint64) (read.Answer, error) {
	if voter == c.node.id {
		return c.answer(), nil
	}
	conn, err := c.node.port.Conn(voter)
	if err != nil {
		return read.Answer{}, err
	}
	r, err := peerpb.NewPeerClient(conn).Term(ctx, &peerpb.TermRequest{Leader: c.node.id, Term: term})
	if err != nil {
		return read.Answer{}, wire.FromStatus(err)
	}
	return read.Answer{
		Node: r.GetNode(), Term: r.GetTerm(), Wall: time.Unix(0, r.GetWall()), AppliedIndex: r.GetAppliedIndex(),
		LastIndex: r.GetLastIndex(), FreeBytes: r.GetFreeBytes(), TotalBytes: r.GetTotalBytes(), FeatureLevel: r.GetFeatureLevel(),
	}, nil
}

// ReadIndex implements peerpb.PeerServer.
func (p *peerServer) ReadIndex(ctx context.Context, _ *peerpb.ReadIndexRequest) (*peerpb.ReadIndexResponse, error) {
	c, err := p.node.runningCore()
	if err != nil {
		return nil, err
	}
	index, err := c.reads.LeaderIndex(ctx)
	if err != nil {
		return nil, err
	}
	return &peerpb.ReadIndexResponse{Index: index, Term: c.replica.Term()}, nil
}

// readIndexAtLeader asks the leader for the index of a linearizable read.
func (c *core) readIndexAtLeader(ctx context.Context) (uint64, error) {
	leader := c.replica.Leader()
	if leader == "" || leader == c.node.id {
		return 0, &hawser.Error{Code: hawser.CodeUnavailable, Op: "read", Msg: "the cluster has no leader at the moment"}
	}
	conn, err := c.node.port.Conn(leader)
	if err != nil {
		return 0, err
	}
	r, err := peerpb.NewPeerClient(conn).ReadIndex(ctx, &peerpb.ReadIndexRequest{})
	if err != nil {
		return 0, unavailableRead(err)
	}
	return r.GetIndex(), nil
}

// unavailableRead turns a failure of the transport into one that is worth
// another try: a read that failed changed nothing.
func unavailableRead(err error) error {
	if wire.Detailed(err) {
		return wire.FromStatus(err)
	}
	return &hawser.Error{Code: hawser.CodeUnavailable, Op: "ask the leader", Err: wire.FromStatus(err)}
}

// Book implements peerpb.PeerServer.
func (p *peerServer) Book(context.Context, *peerpb.BookRequest) (*peerpb.BookResponse, error) {
	c, err := p.node.joined()
	if err != nil {
		return nil, err
	}
	configuration := c.replica.Configuration()
	if c.replica.CommitIndex() < configuration.Index {
		return nil, &hawser.Error{Code: hawser.CodeUnavailable, Op: "book", Msg: "the newest configuration known here is not known to be committed"}
	}
	resp := &peerpb.BookResponse{Leader: c.replica.Leader(), ConfigurationIndex: configuration.Index}
	for _, s := range configuration.Servers {
		addr, _ := p.node.book.Resolve(s.ID)
		resp.Members = append(resp.Members, &peerpb.Node{Id: s.ID, PeerAddress: addr, Voter: s.Voter})
	}
	return resp, nil
}
