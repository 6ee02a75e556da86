// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package freeport

import (
	"net"
	"slices"
	"testing"
)

// As many processes as there are blocks get ports that differ, and one more is
// refused; what a process gave back goes to the next.
func TestTake_BlocksAreOnesOwn(t *testing.T) {
	var held []*block
	defer func() {
		for _, b := range held {
			_ = b.lock.Close()
		}
	}()
	seen := map[int]bool{}
	for {
		b := &block{}
		ports, err := b.take(10)
		if err != nil {
			break
		}
		held = append(held, b)
		for _, p := range ports {
			if seen[p] {
				t.Fatalf("port %d is given to two", p)
			}
			seen[p] = true
		}
	}
	if len(held) == 0 || len(held) > blocks {
		t.Fatalf("%d blocks of %d were given", len(held), blocks)
	}
	_ = held[0].lock.Close()
	held = held[1:]
	b := &block{}
	if _, err := b.take(1); err != nil {
		t.Fatalf("a block that was given back: %v", err)
	}
	held = append(held, b)
}

func TestTake_PassesOverTakenPorts(t *testing.T) {
	b := &block{}
	first, err := b.take(3)
	if err != nil {
		t.Fatal(err)
	}
	defer b.lock.Close()
	tcp, err := net.Listen("tcp", address(first[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", address(first[1]))
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	b.next = 0
	again, err := b.take(1)
	if err != nil || again[0] != first[2] {
		t.Errorf("%v, %v; the first that is free is %d", again, err, first[2])
	}
	if ports, err := b.take(blockSize); err == nil {
		t.Errorf("%d ports of a block of %d", len(ports), blockSize)
	}
	b.next = 0
	if all, err := b.take(blockSize - 1 - 2); err != nil || slices.Contains(all, first[0]) {
		t.Errorf("the rest of the block: %d ports, %v", len(all), err)
	}
}
