// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package lan

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// LAN is a network of hosts. Make one with [New]; Close ends it. It is safe for
// concurrent use.
type LAN struct {
	name  string
	hosts []*host
	links map[[2]int]*link
	pumps sync.WaitGroup
	undo  []string
}

// host is an address with the device that has it.
type host struct {
	address netip.Addr
	space   string // its network namespace, "" for that of this process
	device  string
	tun     *os.File
}

// New makes a network of n hosts with a network namespace each, and of this
// process, which is host n. It needs root, /dev/net/tun and the programs ip and nsenter; what
// the links do by chance depends on seed alone.
func New(n int, seed uint64) (*LAN, error) {
	if n < 1 || n > 100 {
		return nil, fmt.Errorf("network of %d hosts: it has 1 to 100", n)
	}
	l := &LAN{name: "hj" + strconv.Itoa(os.Getpid()), links: map[[2]int]*link{}}
	if err := l.make(n, seed); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// make uses addresses of 198.18.0.0/15, which is set aside for benchmarks.
func (l *LAN) make(n int, seed uint64) error {
	subnet := fmt.Sprintf("198.19.%d.", os.Getpid()%256)
	for i := range n + 1 {
		h := &host{address: netip.MustParseAddr(subnet + strconv.Itoa(i+1)), device: l.name + "t" + strconv.Itoa(i)}
		if i < n {
			h.space = l.name + "n" + strconv.Itoa(i)
			if err := l.ip("netns add "+h.space, "netns del "+h.space); err != nil {
				return err
			}
		}
		var err error
		if h.tun, err = openTUN(h.space, h.device); err != nil {
			return fmt.Errorf("network device of host %d: %w", i, err)
		}
		l.hosts = append(l.hosts, h)
		in := ""
		if h.space != "" {
			in = "-n " + h.space + " "
		}
		for _, step := range []string{"addr add " + h.address.String() + "/24 dev " + h.device, "link set " + h.device + " up", "link set lo up"} {
			if err := l.ip(in+step, ""); err != nil {
				return err
			}
		}
	}
	for from := range l.hosts {
		for to, h := range l.hosts {
			if from != to {
				l.links[[2]int{from, to}] = newLink(h.tun, rand.New(rand.NewPCG(seed, uint64(from)<<32|uint64(to))))
			}
		}
	}
	for from := range l.hosts {
		l.pumps.Go(func() { l.pump(from) })
	}
	for _, k := range l.links {
		l.pumps.Go(k.run)
	}
	return nil
}

// openTUN makes a network device in a namespace.
func openTUN(space, name string) (*os.File, error) {
	type opened struct {
		file *os.File
		err  error
	}
	done := make(chan opened, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		file, err := tunHere(space, name)
		done <- opened{file, err}
	}()
	o := <-done
	return o.file, o.err
}

func tunHere(space, name string) (*os.File, error) {
	if space != "" {
		ns, err := os.Open("/var/run/netns/" + space)
		if err != nil {
			return nil, err
		}
		defer func() { _ = ns.Close() }()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return nil, fmt.Errorf("enter %s: %w", space, err)
		}
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// ip runs the program and notes what undoes it.
func (l *LAN) ip(step, undo string) error {
	if out, err := exec.Command("ip", strings.Fields(step)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", step, err, strings.TrimSpace(string(out)))
	}
	if undo != "" {
		l.undo = append(l.undo, undo)
	}
	return nil
}

// pump hands on what a host sends, until its device is closed.
func (l *LAN) pump(from int) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := l.hosts[from].tun.Read(buffer)
		if err != nil {
			return
		}
		if to, ok := l.receiver(buffer[:n]); ok && to != from {
			l.links[[2]int{from, to}].send(buffer[:n])
		}
	}
}

// receiver returns the host for which an IPv4 packet is.
func (l *LAN) receiver(packet []byte) (to int, ok bool) {
	if len(packet) < 20 || packet[0]>>4 != 4 {
		return 0, false
	}
	address := netip.AddrFrom4([4]byte(packet[16:20]))
	i := slices.IndexFunc(l.hosts, func(h *host) bool { return h.address == address })
	return i, i >= 0
}

// Address returns the address of a host.
func (l *LAN) Address(host int) string { return l.hosts[host].address.String() }

// Within returns the command that runs another one on a host. It becomes the
// other one, under the same process id. It enters no other namespace: "ip netns
// exec" makes one of mounts too, in which file systems live on that are unmounted.
func (l *LAN) Within(host int) []string {
	return []string{"nsenter", "--net=/var/run/netns/" + l.hosts[host].space}
}

// Spoil makes links worse until mend is called, once. Links are pairs of the
// host that sends and the one that receives. What several calls do to a link adds
// up.
func (l *LAN) Spoil(links [][2]int, q Quality) (mend func()) { return spoil(l.links, links, q) }

// Lost returns how many packets the links, or all for none, have lost so far: cut, by chance, or
// because too many were under way.
func (l *LAN) Lost(links ...[2]int) uint64 { return lost(l.links, links) }

// Delayed returns how many packets they have held back by a delay so far.
func (l *LAN) Delayed(links ...[2]int) uint64 { return delayed(l.links, links) }

// Close removes the network. What runs on its hosts must have ended. Closing
// again does nothing.
func (l *LAN) Close() error {
	var errs []error
	for _, h := range l.hosts {
		if h.tun != nil {
			errs = append(errs, h.tun.Close())
		}
	}
	for _, k := range l.links {
		k.close()
	}
	l.pumps.Wait()
	l.hosts, l.links = nil, nil
	for _, undo := range slices.Backward(l.undo) {
		errs = append(errs, l.ip(undo, ""))
	}
	l.undo = nil
	return errors.Join(errs...)
}
