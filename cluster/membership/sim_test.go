// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// sim is a network of founders without time or goroutines. Every call, every
// durable write and both sides of it are points at which a script may crash a
// process, take its disk, cut its network or let a second process answer at
// its address while the first is stopped in the middle of a call.
//
// Raft is modelled by what matters here: a disk that bootstrapped X, or was
// replicated to, holds X's configuration and may ask for votes under X; a disk
// gives a vote only while its identity is X, and has raft state from then on.
type sim struct {
	t     *testing.T
	addrs []string
	at    map[string]*proc // who answers at an address
	procs []*proc          // every process that was not crashed, zombies too
	shelf map[string][]*disk
	cut   map[string]bool // addresses that are isolated
	disks int

	point   int
	script  map[int]func(*proc) // what happens at a point; gets the process that is there
	depth   int
	elected map[ClusterID]bool
	confs   map[ClusterID][]string
	lines   map[ClusterID]string // the start line that a cluster was founded from
	log     []string

	task   *task // that runs now, under interleave; nil otherwise
	failed string
}

// task is one step of a process, which stops at every point until it is
// resumed: so steps of several processes interleave in every way.
type task struct {
	resume, stopped chan struct{}
	done            bool
}

// spawn begins a step of p and runs it to its first point.
func (s *sim) spawn(p *proc) *task {
	t := &task{resume: make(chan struct{}), stopped: make(chan struct{})}
	go func() {
		<-t.resume
		s.step(p)
		t.done = true
		t.stopped <- struct{}{}
	}()
	s.proceed(t)
	return t
}

// proceed runs t to its next point or its end.
func (s *sim) proceed(t *task) {
	s.task = t
	t.resume <- struct{}{}
	<-t.stopped
	s.task = nil
	if s.failed != "" {
		s.t.Fatal(s.failed)
	}
}

type disk struct {
	id    string
	addr  string
	state State
	raft  ClusterID // raft state exists under it; zero: none
	conf  []string  // the configuration, if it has one
	held  int       // processes that run on it
}

type proc struct {
	s         *sim
	d         *disk
	f         *Founder
	crashed   bool
	stepping  bool
	granting  bool
	quiesced  int
	belonging bool
	err       error
}

var errCrashed = errors.New("process crashed")

func newSim(t *testing.T, n int) *sim {
	t.Helper()
	s := &sim{
		t: t, at: map[string]*proc{}, shelf: map[string][]*disk{}, cut: map[string]bool{},
		script: map[int]func(*proc){}, elected: map[ClusterID]bool{}, confs: map[ClusterID][]string{}, lines: map[ClusterID]string{},
	}
	for i := range n {
		s.addrs = append(s.addrs, fmt.Sprintf("host%c:7421", 'a'+i))
	}
	for _, addr := range s.addrs {
		s.start(addr, s.newDisk(addr))
	}
	return s
}

func (s *sim) newDisk(addr string) *disk {
	s.disks++
	id := fmt.Sprintf("%s-%08x", addr[:5], s.disks)
	return &disk{id: id, addr: addr, state: State{Format: format, Node: id}}
}

// start runs a process on d at addr, with the whole start line.
func (s *sim) start(addr string, d *disk, line ...string) *proc {
	s.note("start %s", d.id)
	if len(line) == 0 {
		line = s.addrs
	}
	p := &proc{s: s, d: d}
	d.held++
	f, err := NewFounder(FounderConfig{
		Self: Address{ID: d.id, Peer: addr}, StartLine: line, Store: p, Dialer: p, Replica: p, JoinAfter: 1, FeatureLevel: 1,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	f.serial = true
	p.f = f
	s.at[addr] = p
	s.procs = append(s.procs, p)
	return p
}

func (s *sim) note(format string, args ...any) {
	s.log = append(s.log, fmt.Sprintf("%d: ", s.point)+fmt.Sprintf(format, args...))
}

// crash ends p; its disk stays at its address until somebody starts on it.
func (s *sim) crash(p *proc) {
	if p.crashed {
		return
	}
	s.note("crash %s", p.d.id)
	p.crashed = true
	p.d.held--
	s.procs = slices.DeleteFunc(s.procs, func(q *proc) bool { return q == p })
}

// restart crashes who is at addr and starts it again on the same disk.
func (s *sim) restart(addr string) {
	p := s.at[addr]
	s.crash(p)
	s.start(addr, p.d)
}

// wipe restarts addr with an empty disk; the old one goes on the shelf.
func (s *sim) wipe(addr string) {
	p := s.at[addr]
	s.crash(p)
	s.shelf[addr] = append(s.shelf[addr], p.d)
	s.start(addr, s.newDisk(addr))
}

// swapBack restarts addr with the disk that it lost, if there is one.
func (s *sim) swapBack(addr string) {
	old := s.shelf[addr]
	if len(old) == 0 {
		return
	}
	p := s.at[addr]
	s.crash(p)
	s.shelf[addr] = append(slices.Clone(old[:len(old)-1]), p.d)
	s.start(addr, old[len(old)-1])
}

// zombie stops who is at addr in the middle of what it does, lets another
// process on an empty disk (or the one last shelved) answer there for some
// rounds, and then goes on with the first, which answers again if back is set.
func (s *sim) zombie(addr string, rounds int, shelved, back bool) {
	first := s.at[addr]
	d := s.newDisk(addr)
	if old := s.shelf[addr]; shelved && len(old) > 0 {
		d, s.shelf[addr] = old[len(old)-1], old[:len(old)-1]
	}
	s.note("zombie %s", first.d.id)
	s.start(addr, d)
	for range rounds {
		s.round()
	}
	if back && !first.crashed {
		second := s.at[addr]
		s.at[addr] = first
		s.note("back %s", first.d.id)
		_ = second // goes on as a zombie: it can call, and nobody can call it
	}
}

// here is a point of the script.
func (s *sim) here(p *proc) {
	s.point++
	if t := s.task; t != nil {
		t.stopped <- struct{}{}
		<-t.resume
		return
	}
	if s.point > 20000 {
		s.t.Fatal("the simulation does not end")
	}
	if do := s.script[s.point]; do != nil && s.depth < 3 {
		s.depth++
		do(p)
		s.depth--
		s.check()
	}
}

// round steps every process once and lets every candidate ask for votes.
func (s *sim) round() {
	for _, p := range slices.Clone(s.procs) {
		s.step(p)
		s.check()
	}
	for _, p := range slices.Clone(s.procs) {
		s.campaign(p)
		s.check()
	}
}

func (s *sim) step(p *proc) {
	if p.crashed || p.stepping || p.granting || p.err != nil {
		return
	}
	p.stepping = true
	defer func() { p.stepping = false }()
	done, err := p.f.step(context.Background())
	if p.crashed {
		return
	}
	p.belonging, p.err = done, err
}

// campaign lets p ask for votes if it has a configuration that names it.
func (s *sim) campaign(p *proc) {
	x := p.d.raft
	if p.crashed || p.quiesced > 0 || p.d.conf == nil || p.identity() != x || !slices.Contains(p.d.conf, p.d.id) {
		return
	}
	var voters []*proc
	for _, addr := range s.addrs {
		v := s.at[addr]
		if v.d == p.d || !slices.Contains(p.d.conf, v.d.id) || !s.reaches(p, v) || v.quiesced > 0 || v.identity() != x {
			continue
		}
		if v.d.conf == nil && !v.d.state.Founder(p.d.id) {
			continue
		}
		if !v.d.raft.IsZero() && v.d.raft != x {
			s.fail("%s has raft state under %s and identity %s", v.d.id, v.d.raft.Short(), x.Short())
		}
		v.d.raft = x // a vote is durable
		voters = append(voters, v)
	}
	if len(voters)+1 <= len(p.d.conf)/2 {
		return
	}
	if !s.elected[x] {
		s.note("%s elected under %s", p.d.id, x.Short())
	}
	s.elected[x] = true
	for _, v := range voters {
		v.d.conf = p.d.conf
	}
}

func (p *proc) identity() ClusterID {
	id, _ := p.d.state.Identity()
	return id
}

func (s *sim) reaches(from, to *proc) bool {
	return !from.crashed && !to.crashed && !s.cut[from.d.addr] && !s.cut[to.d.addr]
}

func (s *sim) fail(format string, args ...any) {
	s.t.Helper()
	message := fmt.Sprintf("%s\nhistory: %v", fmt.Sprintf(format, args...), s.log)
	if s.task != nil {
		s.failed = message // the goroutine is not the test's
		return
	}
	s.t.Fatal(message)
}

// check is the claim: of all clusters that were founded from one start line, at
// most one has a majority of its founders, on disks in service, that could
// vote under it, and at most one a majority that did. (A start line of one node
// is left out: two processes that were told to be alone are two clusters.)
func (s *sim) check() {
	able, ruling := map[string]int{}, map[string]int{}
	for x, conf := range s.confs {
		if len(conf) == 1 {
			continue
		}
		if s.majority(conf, func(d *disk) bool { id, _ := d.state.Identity(); return id == x }) {
			able[s.lines[x]]++
		}
		if s.elected[x] && s.majority(conf, func(d *disk) bool { return d.raft == x }) {
			ruling[s.lines[x]]++
		}
	}
	for line, n := range able {
		if n > 1 || ruling[line] > 1 {
			s.fail("from %s: %d clusters have a majority of founders that can vote, %d one that did", line, n, ruling[line])
		}
	}
}

func (s *sim) majority(conf []string, is func(*disk) bool) bool {
	n := 0
	for _, id := range conf {
		if s.inService(id, is) {
			n++
		}
	}
	return n > len(conf)/2
}

// inService reports whether id's disk runs, or waits at its address for a restart.
func (s *sim) inService(id string, is func(*disk) bool) bool {
	for _, p := range s.procs {
		if p.d.id == id && is(p.d) {
			return true
		}
	}
	for _, p := range s.at {
		if p.d.id == id && is(p.d) {
			return true
		}
	}
	return false
}

// settle cures the network and steps everybody until nothing changes any more.
// Zombies end first. It reports whether every node belongs to the one cluster,
// and fails if somebody waits without saying for what.
func (s *sim) settle() bool {
	s.t.Helper()
	clear(s.script)
	clear(s.cut)
	for _, p := range slices.Clone(s.procs) {
		if s.at[p.d.addr] != p {
			s.crash(p)
		}
	}
	for _, addr := range s.addrs {
		if s.at[addr].crashed {
			s.start(addr, s.at[addr].d)
		}
	}
	for range 8 {
		s.round()
	}
	formed := true
	for _, addr := range s.addrs {
		p := s.at[addr]
		if !p.belonging {
			formed = false
			if p.err == nil && p.f.Waiting() == "" {
				s.fail("%s waits and does not say for what", p.d.id)
			}
		}
	}
	return formed && len(s.elected) > 0
}

func (s *sim) why() string {
	var why string
	for _, addr := range s.addrs {
		why += fmt.Sprintf("\n%s: belongs %v, error %v, waits %q", s.at[addr].d.id, s.at[addr].belonging, s.at[addr].err, s.at[addr].f.Waiting())
	}
	return why
}
