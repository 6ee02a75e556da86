// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package lan

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// within runs f on a thread in the namespace of a host.
func within[T any](t *testing.T, l *LAN, host int, f func() (T, error)) (result T) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- func() error {
			ns, err := os.Open("/var/run/netns/" + l.hosts[host].space)
			if err != nil {
				return err
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			result, err = f()
			return err
		}()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return result
}

// echo answers UDP packets at a host until the test ends.
func echo(t *testing.T, l *LAN, host int) (address string) {
	t.Helper()
	address = l.Address(host) + ":9000"
	c := within(t, l, host, func() (net.PacketConn, error) { return net.ListenPacket("udp", address) })
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(b[:n], from)
		}
	}()
	return address
}

// ask returns how long the answer to a packet takes, and whether it comes.
func ask(t *testing.T, address, text string) (time.Duration, bool) {
	t.Helper()
	c, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	begin := time.Now()
	_ = c.SetDeadline(begin.Add(500 * time.Millisecond))
	if _, err := fmt.Fprint(c, text); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1<<16)
	n, err := c.Read(b)
	return time.Since(begin), err == nil && string(b[:n]) == text
}

// Claim: a link does to its packets what was asked for, one way, and the others
// are as they were.
func TestLAN_SpoilsOneWay(t *testing.T) {
	l, err := New(2, 1)
	if err != nil {
		t.Skipf("SKIPPED: no network can be made here: %v", err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	first, second := echo(t, l, 0), echo(t, l, 1)
	const self = 2
	fine := func(address string) {
		t.Helper()
		if took, ok := ask(t, address, "hello"); !ok || took > 200*time.Millisecond {
			t.Errorf("%s answered: %t, after %s", address, ok, took)
		}
	}
	fine(first)
	fine(second)

	answers := [][2]int{{0, self}}
	mend := l.Spoil(answers, Quality{Delay: 50 * time.Millisecond})
	if took, ok := ask(t, first, "hello"); !ok || took < 50*time.Millisecond || l.Delayed() == 0 {
		t.Errorf("delayed by 50 ms, answered: %t, after %s", ok, took)
	}
	fine(second)

	mendCut := l.Spoil(answers, Quality{Cut: true})
	mend()
	if _, ok := ask(t, first, "hello"); ok || l.Lost() == 0 {
		t.Errorf("cut, and it answered; %d packets were lost", l.Lost())
	}
	fine(second)

	mendCut()
	mend = l.Spoil(answers, Quality{Loss: 0.5})
	answered := 0
	for i := range 20 {
		if _, ok := ask(t, first, fmt.Sprint(i)); ok {
			answered++
		}
	}
	if answered == 0 || answered == 20 {
		t.Errorf("half is lost, and %d of 20 were answered", answered)
	}
	mend()
	fine(first)
}
