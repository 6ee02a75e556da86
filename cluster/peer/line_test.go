// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"errors"
	"testing"
	"time"
)

func boot(id uint64) option { return func(n *node, _ *Config) { n.boot = id } }

// ended waits for the end of a line.
func ended(t *testing.T, l *Line) {
	t.Helper()
	select {
	case <-l.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("the line is still open")
	}
}

// Claim: a line shows who is there, ends at once when the other side goes, and
// the next dial is refused; a process that comes back under the address is
// another one.
func TestLine_EndsWithTheOtherSide(t *testing.T) {
	a, b := start(t, "a"), start(t, "b", boot(1))
	a.knows(b)
	l, err := a.DialLine(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	select {
	case <-l.Done():
		t.Fatal("the line ended by itself")
	case <-time.After(50 * time.Millisecond):
	}
	if l.BootID() != 1 {
		t.Errorf("boot id %d", l.BootID())
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	ended(t, l)
	if _, err := a.DialLine(t.Context(), "b"); !Refused(err) {
		t.Errorf("dial where nobody listens: %v", err)
	}
	again := start(t, "b", boot(2))
	a.knows(again)
	back, err := a.DialLine(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	if back.BootID() != 2 {
		t.Errorf("boot id %d", back.BootID())
	}
	back.Close()
	back.Close()
	ended(t, back)
}

// Claim: a line ends with either port, with a drop, and with whoever speaks on
// it; none of these errors is a refusal.
func TestLine_Ends(t *testing.T) {
	for name, end := range map[string]func(a, b *node, l *Line){
		"own port":   func(a, _ *node, _ *Line) { _ = a.Close() },
		"drop here":  func(a, _ *node, _ *Line) { a.Drop("b") },
		"drop there": func(_, b *node, _ *Line) { b.Drop("a") },
		"speaks":     func(_, _ *node, l *Line) { _, _ = l.conn.Write([]byte("x")) },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := start(t, "a"), start(t, "b")
			a.knows(b)
			l, err := a.DialLine(t.Context(), "b")
			if err != nil {
				t.Fatal(err)
			}
			end(a, b, l)
			ended(t, l)
			l.Close()
		})
	}
	a := start(t, "a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.DialLine(ctx, "nowhere"); err == nil || Refused(err) {
		t.Errorf("a node without an address: %v", err)
	}
}

// Claim: lines are for members of the cluster: a node of another one, or of
// none, gets none.
func TestLine_NotForStrangers(t *testing.T) {
	b := start(t, "b")
	for _, id := range [][16]byte{{0xee}, {}} {
		a := start(t, "a", cluster(id))
		a.knows(b)
		if _, err := a.dial(t.Context(), dialing{addr: b.address, want: "b", ours: a.identity(), kind: kindLine}); !errors.Is(err, ErrWrongCluster) {
			t.Errorf("cluster %x: %v", id, err)
		}
	}
}

// Claim: lines without end do not fill a port: the oldest gives way.
func TestLine_Bounded(t *testing.T) {
	a, b := start(t, "a"), start(t, "b")
	a.knows(b)
	lines := make([]*Line, maxLines+1)
	for i := range lines {
		l, err := a.DialLine(t.Context(), "b")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		lines[i] = l
		// Which is the oldest is decided at the other end, and after the dial here returns.
		heldBy(t, b, min(i+1, maxLines))
	}
	ended(t, lines[0])
	select {
	case <-lines[1].Done():
		t.Error("the second line ended too")
	case <-time.After(20 * time.Millisecond):
	}
	heldBy(t, b, maxLines)
}

// heldBy waits until a node holds n lines.
func heldBy(t *testing.T, b *node, n int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(100 * time.Microsecond) {
		b.Port.mu.Lock()
		held := len(b.held)
		b.Port.mu.Unlock()
		switch {
		case held == n:
			return
		case time.Now().After(deadline):
			t.Fatalf("%d lines held, %d expected", held, n)
		}
	}
}
