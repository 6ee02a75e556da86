// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package freeport chooses loopback ports for nodes that are stopped and
// started again, by many processes at once.
//
// A port that was free a moment ago may be taken when a node wants it: by the
// outgoing connection of anybody, or by another process that chooses as we do.
// So the ports lie below those that systems give to outgoing connections, and
// are divided in blocks, each of which belongs to the one process that listens
// on its first port (as in Consul's sdk/freeport).
package freeport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

const (
	firstPort = 20000
	blocks    = 20
	blockSize = 500 // the first is the lock
)

// process is the block of this process, which it keeps until it ends.
var process block

// Take returns n different ports on 127.0.0.1 that are free for TCP and UDP
// and which no other process is given. A port is given again after some
// hundreds of others. It is safe for concurrent use.
func Take(n int) ([]int, error) { return process.take(n) }

type block struct {
	mu   sync.Mutex
	lock net.Listener // on port first, nil until the first take
	next int          // offset of the port that is tried next
}

func (b *block) take(n int) (ports []int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.hold(); err != nil {
		return nil, err
	}
	first := b.lock.Addr().(*net.TCPAddr).Port
	for range blockSize - 1 {
		port := first + 1 + b.next
		b.next = (b.next + 1) % (blockSize - 1)
		if free(port) {
			ports = append(ports, port)
		}
		if len(ports) >= n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("find %d free ports: only %d of %d to %d are free", n, len(ports), first+1, first+blockSize-1)
}

// hold makes a block ours that is nobody's.
func (b *block) hold() error {
	if b.lock != nil {
		return nil
	}
	var failed error
	for _, i := range rand.Perm(blocks) {
		l, err := net.Listen("tcp", address(firstPort+i*blockSize))
		if err == nil {
			b.lock = l
			return nil
		}
		failed = err
	}
	return fmt.Errorf("find free ports: all %d blocks from port %d are taken, the last with: %w", blocks, firstPort, failed)
}

func free(port int) bool {
	l, err := net.Listen("tcp", address(port))
	if err != nil {
		return false
	}
	p, err := net.ListenPacket("udp", address(port))
	if err == nil {
		err = p.Close()
	}
	return errors.Join(err, l.Close()) == nil
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
