// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package lan

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// behind returns proxies before a host 0 that echoes what it is sent. This process
// is host 1, or one of the others while it is told to be.
func behind(t *testing.T) (p *Proxies, at string, other *atomic.Bool) {
	t.Helper()
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.AcceptTCP()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.CloseWrite()
				_ = c.Close()
			}()
		}
	}()
	port := netip.MustParseAddrPort(l.Addr().String()).Port()
	other = &atomic.Bool{}
	hosts := []Host{
		{At: netip.MustParseAddr("127.83.1.1"), Listens: netip.MustParseAddr("127.0.0.1"), TCP: []uint16{port}, UDP: port},
		{At: netip.MustParseAddr("127.83.1.2"), Listens: netip.MustParseAddr("127.0.0.2"), UDP: port},
	}
	p, err = NewProxies(hosts, func(host int) int {
		if host == 1 && !other.Load() {
			return os.Getpid()
		}
		return 0
	}, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p, netip.AddrPortFrom(hosts[0].At, port).String(), other
}

// told returns what the echo of a text is, and how long it took to come.
func told(t *testing.T, c net.Conn, text string, within time.Duration) (string, time.Duration) {
	t.Helper()
	begin := time.Now()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(begin.Add(within))
	answer := make([]byte, len(text))
	n, _ := io.ReadFull(c, answer)
	return string(answer[:n]), time.Since(begin)
}

func dialed(t *testing.T, at string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp4", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn)
}

// Claim: a stream over a spoilt link is late or stands still, and all of it
// arrives, in order, once the link is mended; streams of other hosts are as they
// were.
func TestProxies_Streams(t *testing.T) {
	p, at, other := behind(t)
	c := dialed(t, at)
	if got, took := told(t, c, "hello", time.Second); got != "hello" || took > 200*time.Millisecond {
		t.Fatalf("echo %q after %s", got, took)
	}
	other.Store(true)
	d := dialed(t, at)
	if got, _ := told(t, d, "hello", time.Second); got != "hello" {
		t.Fatalf("echo of others %q", got)
	}

	mend := p.Spoil([][2]int{{0, 1}}, Quality{Delay: 50 * time.Millisecond})
	if got, took := told(t, c, "late", time.Second); got != "late" || took < 50*time.Millisecond || p.Delayed() == 0 {
		t.Errorf("echo %q after %s, with a delay of 50 ms", got, took)
	}
	mend()
	mend = p.Spoil([][2]int{{1, 0}}, Quality{Cut: true})
	if got, _ := told(t, c, "held", 100*time.Millisecond); got != "" || p.Lost() == 0 {
		t.Errorf("echo %q over a link that is cut", got)
	}
	if got, took := told(t, d, "again", time.Second); got != "again" || took > 200*time.Millisecond {
		t.Errorf("echo of others %q after %s", got, took)
	}
	mend()
	if got, _ := told(t, c, "+new", time.Second); got != "held" {
		t.Errorf("echo %q once the link was mended", got)
	}
	if got, _ := told(t, c, "+old", time.Second); got != "+new" {
		t.Errorf("echo %q after it", got)
	}
	c = dialed(t, at)
	mend = p.Spoil([][2]int{{2, 0}}, Quality{Loss: 0.5})
	before := p.Lost()
	for p.Lost() == before {
		if _, took := told(t, c, "x", 10*time.Second); p.Lost() > before && took < resentAfter {
			t.Errorf("what was lost has arrived after %s", took)
		}
	}
	mend()
}

// Claim: many pieces keep their order through delays that differ, and the end of a
// stream comes after all of it.
func TestProxies_StreamIsWhole(t *testing.T) {
	p, at, _ := behind(t)
	defer p.Spoil([][2]int{{1, 0}, {0, 1}}, Quality{Delay: time.Millisecond, Jitter: 5 * time.Millisecond})()
	c := dialed(t, at)
	sent := bytes.Repeat([]byte("a stream that is long enough. "), 1<<17) // 3.75 MiB
	go func() {
		_, _ = c.Write(sent)
		_ = c.CloseWrite()
	}()
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	got, err := io.ReadAll(c)
	if err != nil || sha256.Sum256(got) != sha256.Sum256(sent) {
		t.Errorf("%d of %d bytes came back, or others: %v", len(got), len(sent), err)
	}
}

// Claim: a connection to a host that does not listen, or stops to, ends at once.
func TestProxies_Refused(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := netip.MustParseAddrPort(l.Addr().String()).Port()
	_ = l.Close()
	h := Host{At: netip.MustParseAddr("127.83.2.1"), Listens: netip.MustParseAddr("127.0.0.1"), TCP: []uint16{port}, UDP: port}
	p, err := NewProxies([]Host{h}, func(int) int { return 0 }, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	begin := time.Now()
	c, err := net.Dial("tcp4", netip.AddrPortFrom(h.At, port).String())
	if err == nil {
		defer c.Close()
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) || time.Since(begin) > time.Second {
		t.Errorf("%v after %s", err, time.Since(begin))
	}
}

// Claim: datagrams are handed on to where their host listens, known by where they
// come from, and are lost when their link is cut.
func TestProxies_Datagrams(t *testing.T) {
	p, at, _ := behind(t)
	host := netip.MustParseAddrPort(at)
	inbox, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.hosts[0].Listens, host.Port())))
	if err != nil {
		t.Fatal(err)
	}
	defer inbox.Close()
	sender, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.hosts[1].Listens, host.Port())))
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	arrives := func(from *net.UDPConn, text string) bool {
		t.Helper()
		if _, err := from.WriteToUDPAddrPort([]byte(text), host); err != nil {
			t.Fatal(err)
		}
		_ = inbox.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		b := make([]byte, 100)
		n, _, err := inbox.ReadFromUDPAddrPort(b)
		return err == nil && string(b[:n]) == text
	}
	stranger, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if !arrives(sender, "1") || !arrives(stranger, "2") {
		t.Error("datagrams do not arrive")
	}
	mend := p.Spoil([][2]int{{1, 0}}, Quality{Cut: true})
	if arrives(sender, "3") || !arrives(stranger, "4") || p.Lost() != 1 {
		t.Errorf("a link is cut, %d datagrams were lost", p.Lost())
	}
	mend()
	if !arrives(sender, "5") {
		t.Error("datagrams do not arrive once the link is mended")
	}
}
