// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/net/netutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/cluster/service"
)

const (
	// maxMessage is the largest message of a client, and streamWindow what a
	// stream may send ahead of it. A save with all that goes inline takes a
	// third of a message; what is longer is streamed.
	maxMessage   = 512 << 10
	streamWindow = 512 << 10
	// connWindow is what the streams of one connection may send ahead together,
	// before the node has taken it off the line; it does not wait for any of
	// them to be read, so that none of them can hold up the others.
	connWindow = 4 << 20
	// maxAnswer is above the largest page of a list.
	maxAnswer = 4 << 20
	// maxClientConns and maxClientStreams bound what clients may hold open. Each
	// claim that a program waits for and each watch is a stream.
	maxClientConns   = 1024
	maxClientStreams = 1024
	// maxHTTPConns is far more than probes and scrapers need.
	maxHTTPConns = 256
	// streamWorkers are goroutines that stay, with their stacks grown, from
	// call to call; calls beyond them get goroutines of their own.
	streamWorkers = 256
)

// grpcServer is a gRPC server with the goroutine that runs it.
type grpcServer struct {
	server *grpc.Server
	done   chan error
}

func serveGRPC(l net.Listener, server *grpc.Server) *grpcServer {
	g := &grpcServer{server: server, done: make(chan error, 1)}
	go func() { g.done <- server.Serve(l) }()
	return g
}

// close lets running calls end within ctx, then cuts them off, and joins.
func (g *grpcServer) close(ctx context.Context) error {
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		g.server.GracefulStop()
	}()
	select {
	case <-drained:
	case <-ctx.Done():
		g.server.Stop()
		<-drained
	}
	if err := <-g.done; !errors.Is(err, grpc.ErrServerStopped) { // closed before it served
		return err
	}
	return nil
}

// clientTLS returns the options that make the client port speak TLS, none
// where it is plain.
func (n *Node) clientTLS() ([]grpc.ServerOption, error) {
	if n.cfg.TLSCert == "" {
		return nil, nil
	}
	certificate, err := tls.LoadX509KeyPair(n.cfg.TLSCert, n.cfg.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("client TLS: %w", err)
	}
	return []grpc.ServerOption{grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12,
	}))}, nil
}

// clientServer returns the server of the client port. It has goroutines from
// the start, which end only when it served and was stopped.
func (n *Node) clientServer(observe service.Observer, secure ...grpc.ServerOption) *grpc.Server {
	admitted := &admission{limit: maxCalls, arrival: maxArrival}
	server := grpc.NewServer(append([]grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxSendMsgSize(maxAnswer),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connWindow),
		grpc.MaxConcurrentStreams(maxClientStreams),
		grpc.MaxHeaderListSize(16 << 10),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.ConnectionTimeout(5 * time.Second),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.InTapHandle(admitted.tap),
		grpc.ChainUnaryInterceptor(admitted.unary, n.service.Unary(n.log, observe)),
		grpc.ChainStreamInterceptor(admitted.stream, n.service.Stream(n.log, observe)),
	}, secure...)...)
	hawserv1.RegisterStateServer(server, n.service)
	hawserv1.RegisterClusterServer(server, n.service)
	hawserv1.RegisterArchiveServer(server, n.service)
	hawserv1.RegisterCoordinationServer(server, n.service)
	hawserv1.RegisterTransactionsServer(server, n.service)
	hawserv1.RegisterMessagesServer(server, n.service)
	hawserv1.RegisterCutsServer(server, n.service)
	hawserv1.RegisterEffectsServer(server, n.service)
	hawserv1.RegisterHealthServer(server, n.service)
	hawserv1.RegisterWatchServer(server, n.service)
	grpc_health_v1.RegisterHealthServer(server, n.health)
	return server
}

// listeners are the TCP ports of a node. Gossip opens its own.
type listeners struct{ client, peer, http net.Listener }

func listen(cfg Config) (listeners, error) {
	var l listeners
	for _, p := range []struct {
		what, flag, addr string
		into             *net.Listener
	}{
		{"client", "--client-addr", cfg.ClientAddr, &l.client},
		{"peer", "--peer-addr", cfg.PeerAddr, &l.peer},
		{"http", "--http-addr", cfg.HTTPAddr, &l.http},
	} {
		opened, err := net.Listen("tcp", p.addr)
		if err != nil {
			return listeners{}, errors.Join(
				fmt.Errorf("%s address: %w; stop the process that has the port, or choose another with %s", p.what, err, p.flag),
				l.close())
		}
		*p.into = opened
	}
	if err := probeGossip(cfg.GossipAddr); err != nil {
		return listeners{}, errors.Join(err, l.close())
	}
	l.client = netutil.LimitListener(l.client, maxClientConns)
	l.http = netutil.LimitListener(l.http, maxHTTPConns)
	return l, nil
}

// probeGossip reports a gossip port that is taken at the start, and not only
// when the node belongs to a cluster and begins to gossip.
func probeGossip(addr string) error {
	tcp, err := net.Listen("tcp", addr)
	if err == nil {
		err = tcp.Close()
	}
	if err == nil {
		var udp net.PacketConn
		if udp, err = net.ListenPacket("udp", addr); err == nil {
			err = udp.Close()
		}
	}
	if err != nil {
		return fmt.Errorf("gossip address: %w; stop the process that has the port, or choose another with --gossip-addr", err)
	}
	return nil
}

func (l listeners) close() error {
	var errs []error
	for _, open := range []net.Listener{l.client, l.peer, l.http} {
		if open != nil {
			errs = append(errs, open.Close())
		}
	}
	return errors.Join(errs...)
}
