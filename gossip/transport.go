// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// transport is memberlist's own, but closing it cuts short what is being
// dialed and closes streams that are open: memberlist waits for neither.
type transport struct {
	*memberlist.NetTransport
	streams chan net.Conn
	// cut is closed by abort, done when the inner transport has ended.
	cut, done chan struct{}
	running   sync.WaitGroup

	mu     sync.Mutex
	closed bool
	open   map[*stream]struct{}
}

// maxStreams bounds the open streams of both directions; an inbound one above
// it is closed at once.
const maxStreams = 128

type stream struct {
	net.Conn
	t *transport
}

// Close implements net.Conn.
func (s *stream) Close() error {
	s.t.mu.Lock()
	delete(s.t.open, s)
	s.t.mu.Unlock()
	return s.Conn.Close()
}

func newTransport(inner *memberlist.NetTransport) *transport {
	t := &transport{NetTransport: inner, streams: make(chan net.Conn), cut: make(chan struct{}), done: make(chan struct{}), open: map[*stream]struct{}{}}
	t.running.Go(t.pump)
	return t
}

// track registers c, or closes it and returns nil.
func (t *transport) track(c net.Conn) net.Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || len(t.open) >= maxStreams {
		_ = c.Close()
		return nil
	}
	s := &stream{Conn: c, t: t}
	t.open[s] = struct{}{}
	return s
}

// pump hands inbound streams on, tracked. It empties the inner channel until
// Shutdown is over, so that the inner accept loop is never stuck.
func (t *transport) pump() {
	for {
		select {
		case c := <-t.NetTransport.StreamCh():
			s := t.track(c)
			if s == nil {
				continue
			}
			select {
			case t.streams <- s:
			case <-t.done:
				_ = s.Close()
			}
		case <-t.done:
			return
		}
	}
}

// StreamCh implements memberlist.Transport.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// DialTimeout implements memberlist.Transport.
func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (t *transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	finished := make(chan struct{})
	defer close(finished)
	go func() {
		select {
		case <-t.cut:
			cancel()
		case <-finished:
		}
	}()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", a.Addr)
	if err != nil {
		return nil, err
	}
	if s := t.track(c); s != nil {
		return s, nil
	}
	return nil, net.ErrClosed
}

// abort cuts short dials and closes open streams. Nothing is opened after it.
func (t *transport) abort() {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return
	}
	t.closed = true
	close(t.cut)
	open := make([]*stream, 0, len(t.open))
	for s := range t.open {
		open = append(open, s)
	}
	t.mu.Unlock()
	for _, s := range open {
		_ = s.Close()
	}
}

// Shutdown implements memberlist.Transport: it returns when the inner
// transport's goroutines and the pump have ended.
func (t *transport) Shutdown() error {
	t.abort()
	err := t.NetTransport.Shutdown()
	t.mu.Lock()
	select {
	case <-t.done:
	default:
		close(t.done)
	}
	t.mu.Unlock()
	t.running.Wait()
	return err
}

// discard ends a transport that memberlist never took over: nobody else reads
// its packets.
func (t *transport) discard() {
	t.running.Go(func() {
		for {
			select {
			case <-t.PacketCh():
			case <-t.done:
				return
			}
		}
	})
	_ = t.Shutdown()
}
