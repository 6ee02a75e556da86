// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
)

// Port is a node's peer port. Its methods may be called from any goroutine.
type Port struct {
	listener  net.Listener
	secret    []byte
	identity  func() Identity
	allowRaft func(string) bool
	resolve   func(string) (string, bool)
	log       *slog.Logger
	failures  *limiter
	timeout   time.Duration

	server, client *tls.Config
	handshakes     *gate
	open           registry
	// done is closed by Close.
	done chan struct{}

	rpc *intake

	mu    sync.Mutex // guards raft, conns and held
	raft  *RaftStreams
	conns map[string]*grpc.ClientConn
	// held are the lines of others, oldest first.
	held []*secured
}

// Open starts serving the listener. Errors match [hawser.ErrInvalid] when the
// configuration is at fault.
func Open(cfg Config) (*Port, error) {
	fail := func(err error) (*Port, error) {
		if cfg.Listener != nil {
			_ = cfg.Listener.Close()
		}
		return nil, err
	}
	if err := cfg.validate(); err != nil {
		return fail(err)
	}
	server, client, err := tlsConfigs()
	if err != nil {
		return fail(err)
	}
	p := &Port{
		listener: cfg.Listener, secret: bytes.Clone(cfg.Secret),
		identity: cfg.Identity, allowRaft: cfg.AllowRaft, resolve: cfg.Resolve,
		log: cfg.Logger, failures: newLimiter(cfg.Logger, time.Second),
		timeout: cfg.HandshakeTimeout, server: server, client: client,
		handshakes: newGate(cfg.MaxHandshakes),
		done:       make(chan struct{}),
		rpc:        newIntake(cfg.Listener.Addr(), nil),
		conns:      map[string]*grpc.ClientConn{},
	}
	p.open.begin()
	go p.accept()
	return p, nil
}

// Addr returns the address of the listener.
func (p *Port) Addr() net.Addr { return p.listener.Addr() }

// RPC returns the listener for the internal gRPC server, which must be made
// with [Port.ServerOptions]. It is the same at every call. Connections that
// arrive before anybody accepts wait in a short queue.
func (p *Port) RPC() net.Listener { return p.rpc }

// Drop closes every connection from and to a node and the client that
// [Port.Conn] returned for it, which must not be used any more. Raft streams
// stay away if AllowRaft refused the node before the call.
func (p *Port) Drop(nodeID string) {
	if nodeID == "" {
		return
	}
	p.mu.Lock()
	cc := p.conns[nodeID]
	delete(p.conns, nodeID)
	p.mu.Unlock()
	if cc != nil {
		_ = cc.Close()
	}
	p.open.abort(func(e *entry) bool { return e.nodeID == nodeID })
}

// Close closes the listener, every connection, inbound and outbound, and the
// clients that [Port.Conn] returned, and waits for the goroutines and dials
// of the port. Stop the gRPC server first to let its calls end; Close does
// not wait for them. Close may be called more than once.
func (p *Port) Close() error {
	if !p.open.close() {
		p.open.running.Wait()
		return nil
	}
	close(p.done)
	err := p.listener.Close()
	p.mu.Lock()
	raft, conns := p.raft, p.conns
	p.raft, p.conns = nil, nil
	p.mu.Unlock()
	_ = p.rpc.Close()
	if raft != nil {
		_ = raft.Close()
	}
	p.open.abort(func(*entry) bool { return true })
	for _, cc := range conns {
		_ = cc.Close()
	}
	p.open.running.Wait()
	return err
}
