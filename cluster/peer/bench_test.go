// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"testing"
	"time"

	"github.com/hawserdb/hawser/internal/peerpb"
)

// One unary call over an open connection.
func BenchmarkCall(b *testing.B) {
	x, y := start(b, "x"), start(b, "y")
	x.knows(y)
	client := x.peer(b, "y")
	if _, err := client.Term(b.Context(), &peerpb.TermRequest{}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := client.Promise(b.Context(), &peerpb.PromiseRequest{ClusterId: testSecret}); err != nil {
			b.Fatal(err)
		}
	}
}

// One connection from nothing to a usable Raft stream, both sides on this
// machine.
func BenchmarkHandshake(b *testing.B) {
	x, y := start(b, "x"), start(b, "y", allow("x"))
	x.knows(y)
	in := y.Raft()
	go func() {
		for {
			c, err := in.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	for b.Loop() {
		c, err := x.Raft().Dial("y", 5*time.Second)
		if err != nil {
			b.Fatal(err)
		}
		_ = c.Close()
	}
}
