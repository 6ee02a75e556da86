// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
)

// maxLines is how many lines are held for others at once.
const maxLines = 64

// Line is an open connection to a node that carries nothing: it shows by its
// end that something happened to the process there.
type Line struct {
	conn *secured
	done chan struct{}
	once sync.Once
}

// DialLine opens a line to a node, within ctx and the port's handshake timeout.
// The caller closes it; [Port.Drop] and [Port.Close] do too. Errors are those of
// [RaftStreams.Dial]; for one of a process that is gone see [Refused].
func (p *Port) DialLine(ctx context.Context, nodeID string) (*Line, error) {
	c, err := p.dialNode(ctx, nodeID, kindLine)
	if err != nil {
		return nil, err
	}
	l := &Line{conn: c, done: make(chan struct{})}
	if !p.open.begin() {
		c.abandon()
		return nil, ErrClosed
	}
	go func() {
		defer p.open.done()
		defer close(l.done)
		c.watch()
	}()
	return l, nil
}

// Done is closed when the line has ended, whoever ended it.
func (l *Line) Done() <-chan struct{} { return l.done }

// BootID returns the number of the process at the other end.
func (l *Line) BootID() uint64 { return l.conn.remote.BootID }

// Close ends the line. It may be called more than once.
func (l *Line) Close() {
	l.once.Do(l.conn.abandon)
	<-l.done
}

// Refused reports whether err, of a dial, says that nobody listens at the
// address: the host answers, and the process is not there.
func Refused(err error) bool { return errors.Is(err, errRefused) }

// watch waits for the end of a line. Nothing is said on one: a peer that does
// say something is cut off.
func (s *secured) watch() {
	var b [1]byte
	_, _ = io.ReadFull(s, b[:])
	s.abandon()
}

// abandon closes the connection without a word to the other side, for which
// tls.Conn.Close may have to wait.
func (s *secured) abandon() {
	s.release()
	_ = s.NetConn().Close()
}

// holdLine keeps a line that another node opened until either side ends it. It
// returns false when the port is closed.
func (p *Port) holdLine(c *secured) bool {
	if !p.open.begin() {
		return false
	}
	p.mu.Lock()
	if len(p.held) >= maxLines {
		p.held[0].abandon()
		p.held = slices.Delete(p.held, 0, 1)
	}
	p.held = append(p.held, c)
	p.mu.Unlock()
	go func() {
		defer p.open.done()
		c.watch()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.held = slices.DeleteFunc(p.held, func(h *secured) bool { return h == c })
	}()
	return true
}
