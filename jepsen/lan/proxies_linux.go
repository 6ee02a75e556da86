// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package lan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
)

// Proxies is a network of programs on this machine, for which it takes no rights:
// each is reached at an address of loopback of its own, where this process accepts
// connections and datagrams, finds out whose they are, and hands them on. Make one
// with [NewProxies]; Close ends it. It is safe for concurrent use.
//
// A stream stands still while its link is cut, and so does one that is begun then,
// which seems to be accepted. One way is one way for what is sent, while
// acknowledgements always arrive. A piece of a stream, up to 32 KiB, that is lost is
// sent again after 200 ms, the second time after 400 ms. Datagrams are cut, lost and
// held back as in a [LAN].
type Proxies struct {
	hosts []Host
	pid   func(host int) int
	links map[[2]int]*link
	doors []io.Closer // what accepts
	stop  context.CancelFunc
	works sync.WaitGroup
}

// NewProxies listens for the hosts, and hands on to them, from other processes as
// host len(hosts). Whose a connection is shows the process of a host, which pid
// returns, 0 for none. What links do by chance depends on seed, and on timing. It
// needs /proc, and that all of 127.0.0.0/8 is loopback: Linux.
func NewProxies(hosts []Host, pid func(host int) int, seed uint64) (*Proxies, error) {
	ctx, stop := context.WithCancel(context.Background())
	p := &Proxies{hosts: hosts, pid: pid, links: map[[2]int]*link{}, stop: stop}
	if err := p.listen(ctx, seed); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Proxies) listen(ctx context.Context, seed uint64) error {
	inboxes := make([]*net.UDPConn, len(p.hosts))
	for i, h := range p.hosts {
		c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(h.At, h.UDP)))
		if err != nil {
			return fmt.Errorf("proxy of host %d: %w", i, err)
		}
		inboxes[i], p.doors = c, append(p.doors, c)
	}
	for from := range len(p.hosts) + 1 {
		for to := range len(p.hosts) + 1 {
			if from == to {
				continue
			}
			inbox := io.Discard // nobody sends datagrams to other processes
			if to < len(p.hosts) {
				inbox = forwarder{inboxes[to], netip.AddrPortFrom(p.hosts[to].Listens, p.hosts[to].UDP)}
			}
			k := newLink(inbox, rand.New(rand.NewPCG(seed, uint64(from)<<32|uint64(to))))
			p.links[[2]int{from, to}] = k
			p.works.Go(k.run)
		}
	}
	for to, h := range p.hosts {
		p.works.Go(func() { p.pump(inboxes[to], to) })
		for _, port := range h.TCP {
			l, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(h.At, port)))
			if err != nil {
				return fmt.Errorf("proxy of host %d: %w", to, err)
			}
			p.doors = append(p.doors, l)
			p.works.Go(func() { p.accept(ctx, l, to, port) })
		}
	}
	return nil
}

// forwarder hands datagrams on to where a host listens.
type forwarder struct {
	conn *net.UDPConn
	to   netip.AddrPort
}

// Write implements io.Writer.
func (f forwarder) Write(data []byte) (int, error) { return f.conn.WriteToUDPAddrPort(data, f.to) }

// pump hands on the datagrams for a host, until their socket is closed. A host is
// known by the port that it sends from.
func (p *Proxies) pump(inbox *net.UDPConn, to int) {
	buffer := make([]byte, 1<<16)
	for {
		n, sender, err := inbox.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // nobody listened to an earlier one
		}
		from := len(p.hosts)
		for i, h := range p.hosts {
			if sender == netip.AddrPortFrom(h.Listens, h.UDP) {
				from = i
			}
		}
		if from != to {
			p.links[[2]int{from, to}].send(buffer[:n])
		}
	}
}

// accept accepts connections for a host at one of its ports, until that is closed.
func (p *Proxies) accept(ctx context.Context, l *net.TCPListener, to int, port uint16) {
	for {
		c, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // the other side has ended it already
		}
		p.works.Go(func() { p.connect(ctx, c, to, port) })
	}
}

// connect joins a connection to the host that it is for, and ends with it.
func (p *Proxies) connect(ctx context.Context, caller *net.TCPConn, to int, port uint16) {
	defer func() { _ = caller.Close() }()
	from, err := p.whose(caller)
	if err != nil {
		reset(caller)
		return
	}
	var there, back *link
	if from == to { // it talks to itself, which no network can spoil
		there, back = newLink(io.Discard, nil), newLink(io.Discard, nil)
	} else {
		there, back = p.links[[2]int{from, to}], p.links[[2]int{to, from}]
	}
	if err := errors.Join(there.uncut(ctx), back.uncut(ctx)); err != nil {
		reset(caller)
		return
	}
	callee, err := net.DialTCP("tcp4", nil, net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.hosts[to].Listens, port)))
	if err != nil {
		reset(caller)
		return
	}
	defer func() { _ = callee.Close() }()
	// What closes both ends what waits in a read.
	closes := context.AfterFunc(ctx, func() { reset(caller, callee) })
	defer closes()
	var answers sync.WaitGroup
	answers.Go(func() { back.carry(ctx, caller, callee) })
	there.carry(ctx, callee, caller)
	answers.Wait()
}

// whose returns the host whose process has the other end of a connection.
func (p *Proxies) whose(c *net.TCPConn) (host int, err error) {
	socket, err := socketOf(c.RemoteAddr(), c.LocalAddr())
	if err != nil {
		return 0, err
	}
	for i := range p.hosts {
		if pid := p.pid(i); pid != 0 && holds(pid, socket) {
			return i, nil
		}
	}
	return len(p.hosts), nil
}

// socketOf returns how /proc calls the socket of a connection on this machine, see
// proc_pid_fd(5) and the kernel's networking/proc_net_tcp.rst.
func socketOf(local, remote net.Addr) (string, error) {
	// Not /proc/net, which is that of the first thread: a LAN of this process may have
	// left it in a namespace.
	table, err := os.ReadFile("/proc/thread-self/net/tcp")
	if err != nil {
		return "", err
	}
	want := hexAddr(local) + " " + hexAddr(remote)
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) > 9 && fields[1]+" "+fields[2] == want {
			return "socket:[" + fields[9] + "]", nil
		}
	}
	return "", fmt.Errorf("the connection from %s has ended", local)
}

// hexAddr is an address as in /proc/net/tcp, on a machine with little-endian words.
func hexAddr(a net.Addr) string {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return ""
	}
	b := at.Addr().Unmap().As4()
	return fmt.Sprintf("%02X%02X%02X%02X:%04X", b[3], b[2], b[1], b[0], at.Port())
}

// holds reports whether a process has a socket open.
func holds(pid int, socket string) bool {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd/"
	open, err := os.ReadDir(dir)
	if err != nil {
		return false // it has ended
	}
	for _, fd := range open {
		if to, err := os.Readlink(dir + fd.Name()); err == nil && to == socket {
			return true
		}
	}
	return false
}

// Spoil makes links worse until mend is called, as of a [LAN].
func (p *Proxies) Spoil(links [][2]int, q Quality) (mend func()) { return spoil(p.links, links, q) }

// Lost returns how many datagrams the links, or all for none, have lost so far, how many pieces of streams
// were sent again, and how many times a stream stood still.
func (p *Proxies) Lost(links ...[2]int) uint64 { return lost(p.links, links) }

// Delayed returns how many datagrams and pieces of streams were held back by a
// delay so far.
func (p *Proxies) Delayed(links ...[2]int) uint64 { return delayed(p.links, links) }

// Close ends all connections. Closing again does nothing.
func (p *Proxies) Close() error {
	p.stop()
	var errs []error
	for _, d := range p.doors {
		errs = append(errs, d.Close())
	}
	for _, k := range p.links {
		k.close()
	}
	p.works.Wait()
	p.doors, p.links = nil, nil
	return errors.Join(errs...)
}
