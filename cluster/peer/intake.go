// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"net"
	"sync"
)

// intake is a net.Listener fed with connections that passed the handshake.
type intake struct {
	addr net.Addr
	// onClose runs once, when the intake is closed; may be nil.
	onClose func()
	done    chan struct{}

	mu     sync.Mutex // guards closed, and sends on queue against Close
	closed bool
	// queue holds what nobody accepted yet. Never closed.
	queue chan *secured
}

func newIntake(addr net.Addr, onClose func()) *intake {
	return &intake{addr: addr, onClose: onClose, done: make(chan struct{}), queue: make(chan *secured, maxWaiting)}
}

// isClosed reports whether Close was called.
func (in *intake) isClosed() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.closed
}

// ready reports whether deliver would take a connection now. A nil intake
// takes none.
func (in *intake) ready() bool {
	if in == nil {
		return false
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	return !in.closed && len(in.queue) < cap(in.queue)
}

// deliver queues c, or returns false when the intake is closed or full.
func (in *intake) deliver(c *secured) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return false
	}
	select {
	case in.queue <- c:
		return true
	default:
		return false
	}
}

// Accept implements net.Listener.
func (in *intake) Accept() (net.Conn, error) {
	select {
	case c := <-in.queue:
		return c, nil
	case <-in.done:
		return nil, &net.OpError{Op: "accept", Net: in.addr.Network(), Addr: in.addr, Err: net.ErrClosed}
	}
}

// Close implements net.Listener. It closes what nobody accepted.
func (in *intake) Close() error {
	in.mu.Lock()
	if in.closed {
		in.mu.Unlock()
		return nil
	}
	in.closed = true
	close(in.done)
	in.mu.Unlock()
	for {
		select {
		case c := <-in.queue:
			_ = c.NetConn().Close()
			_ = c.Close()
			continue
		default:
		}
		break
	}
	if in.onClose != nil {
		in.onClose()
	}
	return nil
}

// Addr implements net.Listener.
func (in *intake) Addr() net.Addr { return in.addr }
