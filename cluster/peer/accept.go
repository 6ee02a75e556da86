// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

// accept takes connections until the listener closes. Handshakes run beside
// it, so that a silent client holds up nobody.
func (p *Port) accept() {
	defer p.open.done()
	ctx, cancel := p.untilClosed()
	defer cancel()
	delay := time.Duration(0)
	for {
		raw, err := p.listener.Accept()
		if err != nil {
			// Out of descriptors, mostly: wait, others will close theirs.
			if delay = min(max(2*delay, 5*time.Millisecond), time.Second); !p.pause(ctx, err, delay) {
				return
			}
			continue
		}
		delay = 0
		leave, ok := p.handshakes.enter(ctx, raw)
		if !ok || !p.open.begin() {
			_ = raw.Close()
			return
		}
		go func() {
			defer p.open.done()
			defer leave()
			p.admit(ctx, raw)
		}()
	}
}

// untilClosed returns a context that ends with the port.
func (p *Port) untilClosed() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	e := &entry{abort: cancel}
	if !p.open.add(e, maxConnections) {
		cancel()
	}
	return ctx, func() {
		p.open.remove(e)
		cancel()
	}
}

// pause waits after a failed accept. It returns false when the port is closed.
func (p *Port) pause(ctx context.Context, err error, delay time.Duration) bool {
	select {
	case <-p.done:
		return false
	default:
	}
	p.failures.warn(ctx, "listener", err.Error())
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-p.done:
		return false
	case <-timer.C:
		return true
	}
}

// admit runs one inbound handshake and hands the connection over. ctx ends
// with the port.
func (p *Port) admit(ctx context.Context, raw net.Conn) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	setKeepAlive(raw)
	c := tls.Server(raw, p.server)
	t, theirs, ours, err := p.receive(ctx, c)
	if err != nil {
		_ = raw.Close()
		p.refused(ctx, raw.RemoteAddr(), err)
		return
	}
	remote := theirs.identity
	// Registered before it is judged: a Drop from now on finds it, one
	// before has changed the judgement.
	conn := p.keep(raw, c, remote, theirs.kind)
	if conn == nil {
		return
	}
	v := p.judge(theirs, ours)
	if v == verdictOK && !p.ready(theirs.kind) {
		v = verdictBusy
	}
	if err := p.answer(c, &t, v); err != nil || v != verdictOK || !stop() {
		_ = conn.Close()
		if err == nil && v != verdictOK {
			p.failures.warn(ctx, raw.RemoteAddr().String(), v.reason(ours, remote))
		}
		return
	}
	if !p.deliver(theirs.kind, conn) {
		_ = conn.Close()
	}
}

// target returns who takes connections of a kind; nil if nobody does now.
func (p *Port) target(k kind) *intake {
	if k == kindRaft {
		return p.raftIntake()
	}
	return p.rpc
}

// ready reports whether a connection of a kind would be taken now.
func (p *Port) ready(k kind) bool { return k == kindLine || p.target(k).ready() }

func (p *Port) deliver(k kind, c *secured) bool {
	if k == kindLine {
		return p.holdLine(c)
	}
	return p.target(k).deliver(c)
}

// refused logs why a handshake from remote failed. A client that sent nothing
// at all is not worth a line: health checks and port scanners do that.
func (p *Port) refused(ctx context.Context, remote net.Addr, err error) {
	reason := err.Error()
	switch {
	case errors.Is(err, errSilent), errors.Is(ctx.Err(), context.Canceled):
		return
	case ctx.Err() != nil:
		reason = fmt.Sprintf("took longer than %v", p.timeout)
	case errors.Is(err, net.ErrClosed):
		reason = "given up as the oldest of too many"
	}
	p.failures.warn(ctx, remote.String(), reason)
}
