// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package lan

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// pieceSize is the most that a stream carries at once, maxPieces bounds what is
	// under way; a sender that is faster waits, as for a window.
	pieceSize = 32 << 10
	maxPieces = 32
	// resentAfter is the time after which a lost piece is sent again, twice as long
	// each time up to maxResent: the least that Linux's TCP waits, without its quick
	// ways of noticing.
	resentAfter = 200 * time.Millisecond
	maxResent   = 5 * time.Second
)

// piece is a part of a stream that is under way; its end has no data.
type piece struct {
	data []byte
	at   time.Time
}

// carry hands on what from sends until its end, an error or that of ctx, and
// closes both if it was an error. What a link would lose arrives late, as TCP
// would have sent it again.
func (k *link) carry(ctx context.Context, to, from *net.TCPConn) {
	pieces, refused := make(chan piece, maxPieces), make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() { k.take(from, pieces, refused) })
	err := k.deliver(ctx, to, pieces)
	if err != nil {
		reset(to, from)
	}
	close(refused)
	reading.Wait()
}

// take reads pieces until the end, which is a piece without data, or until refused
// is closed. An error is no end: pieces is closed without one.
func (k *link) take(from io.Reader, pieces chan<- piece, refused <-chan struct{}) {
	defer close(pieces)
	var last time.Time
	for {
		data := make([]byte, pieceSize)
		n, err := from.Read(data)
		if err != nil && !errors.Is(err, io.EOF) {
			return
		}
		p := piece{data: data[:n], at: time.Now().Add(k.late())}
		if p.at.Before(last) {
			p.at = last
		}
		last = p.at
		select {
		case pieces <- p:
		case <-refused:
			return
		}
		if err != nil {
			return
		}
	}
}

// late returns how long the next piece of a stream takes.
func (k *link) late() (late time.Duration) {
	q := k.quality.Load()
	if late = k.holds(q); late > 0 {
		k.delayed.Add(1)
	}
	for again := resentAfter; k.loses(q); again = min(2*again, maxResent) {
		k.lost.Add(1)
		late += again
	}
	return late
}

// errBroken is the end of a stream that its sender did not end.
var errBroken = errors.New("stream broken")

// deliver writes pieces when it is time, and not while the link is cut.
func (k *link) deliver(ctx context.Context, to *net.TCPConn, pieces <-chan piece) error {
	for {
		var p piece
		select {
		case next, ok := <-pieces:
			if !ok {
				return errBroken
			}
			p = next
		case <-ctx.Done():
			return ctx.Err()
		}
		if wait := time.Until(p.at); wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := k.uncut(ctx); err != nil {
			return err
		}
		if len(p.data) == 0 {
			return to.CloseWrite()
		}
		if _, err := to.Write(p.data); err != nil {
			return err
		}
	}
}

// uncut waits until the link is not cut.
func (k *link) uncut(ctx context.Context) error {
	for held := false; ; {
		k.mu.Lock()
		change := k.change
		k.mu.Unlock()
		if !k.quality.Load().Cut {
			return nil
		}
		if !held {
			k.lost.Add(1)
			held = true
		}
		select {
		case <-change:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// reset ends connections at once, and their other ends notice.
func reset(conns ...*net.TCPConn) {
	for _, c := range conns {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
}
