// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/hawserdb/hawser"
)

var testKey = bytes.Repeat([]byte{7}, 32)

// testLog sends a pool's lines to the test's log.
func testLog(t *testing.T) *slog.Logger {
	t.Helper()
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

type option func(*Config)

func seeded(addresses ...string) option {
	return func(c *Config) { c.Seeds = func() []string { return addresses } }
}

// start opens a pool on loopback that is closed with the test.
func start(t *testing.T, id string, options ...option) *Pool {
	t.Helper()
	cfg := Config{ID: id, BindAddr: "127.0.0.1:0", Key: testKey, ClusterLabel: "c1", RejoinEvery: 200 * time.Millisecond, Logger: testLog(t)}
	cfg.Meta.PeerAddress = id + ":1"
	for _, o := range options {
		o(&cfg)
	}
	p, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// within polls until ok holds.
func within(t *testing.T, limit time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !ok() {
		if time.Since(begin) > limit {
			t.Fatalf("%s: not within %v", what, limit)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
	return time.Since(begin)
}

// member returns what p thinks of id.
func member(p *Pool, id string) Member {
	for _, m := range p.Members() {
		if m.ID == id {
			return m
		}
	}
	return Member{}
}

// sees reports whether p's alive members are exactly ids.
func sees(p *Pool, ids ...string) bool {
	var alive []string
	for _, m := range p.Members() {
		if m.Liveness == Alive {
			alive = append(alive, m.ID)
		}
	}
	return slices.Equal(alive, ids)
}

func three(t *testing.T) (a, b, c *Pool) {
	t.Helper()
	a = start(t, "a")
	b = start(t, "b", seeded(a.Address()))
	c = start(t, "c", seeded(a.Address()))
	for _, p := range []*Pool{a, b, c} {
		within(t, 10*time.Second, "three converge", func() bool { return sees(p, "a", "b", "c") })
	}
	return a, b, c
}

// Claim: three pools find each other, metadata arrives and updates spread,
// and Changes signals each.
func TestPool_ConvergesAndSpreadsMetadata(t *testing.T) {
	a, b, c := three(t)
	if m := member(c, "b"); m.Meta.PeerAddress != "b:1" || !m.MetaKnown || m.GossipAddress != b.Address() {
		t.Errorf("c sees b as %+v", m)
	}
	for len(c.Changes()) > 0 {
		<-c.Changes()
	}
	want := Meta{PeerAddress: "a:2", Role: RoleVoter, Leader: true, Term: 7, AppliedIndex: 99, FreeBytes: 1 << 40, FeatureLevel: 3, BootID: 5, Version: "v1"}
	a.Update(Meta{PeerAddress: "lost"})
	a.Update(want)
	for _, p := range []*Pool{a, b, c} {
		within(t, 5*time.Second, "update spreads", func() bool { return member(p, "a").Meta == want })
	}
	within(t, 5*time.Second, "change is signalled", func() bool { return len(c.Changes()) == 1 })
	within(t, 10*time.Second, "probes are answered", func() bool {
		row := b.delegate.table.members
		b.delegate.table.mu.Lock()
		defer b.delegate.table.mu.Unlock()
		return !row["a"].answers[0].IsZero()
	})
	if m := member(b, "a"); m.Answered != 1 {
		t.Errorf("a has answered %v of the probes", m.Answered)
	}
}

// Claim: the part of the last ten probes that were answered is known once they
// could have been, and those of a node that is short of processor are too few of
// all.
func TestTable_Answered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := newTable("a")
		for _, id := range []string{"a", "b", "c"} {
			tab.put(&memberlist.Node{Name: id})
		}
		answered := func() (b, c float64) {
			for _, m := range tab.list() {
				switch m.ID {
				case "a":
					if m.Answered != 1 {
						t.Errorf("itself: %v", m.Answered)
					}
				case "b":
					b = m.Answered
				case "c":
					c = m.Answered
				}
			}
			return b, c
		}
		if b, c := answered(); b != 1 || c != 1 {
			t.Errorf("at first %v and %v, want 1", b, c)
		}
		for i := range 30 { // each is probed once in two intervals
			time.Sleep(2 * probeInterval)
			tab.answered("b")
			if i%5 < 2 {
				tab.answered("c")
			}
		}
		if b, c := answered(); b != 1 || c != 0.4 {
			t.Errorf("%v and %v, want 1 and 0.4", b, c)
		}
		time.Sleep(10 * probeInterval)
		if b, c := answered(); b != 0.5 || c > 0.2 {
			t.Errorf("%v and %v after half a window without a probe", b, c)
		}
		tab.gone(&memberlist.Node{Name: "c"})
		if _, c := answered(); c != 1 {
			t.Errorf("dead, and %v", c)
		}
	})
}

// Claim: a pool that closes without a word is dead for the others within
// three seconds; one that leaves is left. The metadata stays readable.
func TestPool_TellsDeadFromLeft(t *testing.T) {
	a, b, c := three(t)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	took := within(t, 3*time.Second, "closed member is dead", func() bool { return member(a, "b").Liveness == Dead })
	t.Logf("dead after %v", took)
	within(t, 3*time.Second, "closed member is dead", func() bool { return member(c, "b").Liveness == Dead })
	if m := member(a, "b"); m.Meta.PeerAddress != "b:1" || m.Since.IsZero() {
		t.Errorf("dead member: %+v", m)
	}
	if err := c.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Leave(t.Context()); err != nil {
		t.Errorf("second leave: %v", err)
	}
	within(t, 3*time.Second, "left member is left", func() bool { return member(a, "c").Liveness == Left })
	c.Update(Meta{})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Close(), c.Leave(t.Context())); err != nil {
		t.Errorf("close and leave after close: %v", err)
	}
	within(t, 3*time.Second, "a is alone", func() bool { return sees(a, "a") })
}

// Claim: a node that comes back under its id on another address is taken in
// again, and listed once.
func TestPool_ReturnsOnAnotherAddress(t *testing.T) {
	a, b, _ := three(t)
	old := b.Address()
	_ = b.Close()
	within(t, 3*time.Second, "b is dead", func() bool { return member(a, "b").Liveness == Dead })
	// The old address stays taken, so that port 0 gives another one.
	l, err := net.Listen("tcp", old)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	again := start(t, "b", seeded(a.Address()))
	within(t, 15*time.Second, "b is back", func() bool {
		m := member(a, "b")
		return m.Liveness == Alive && m.GossipAddress == again.Address()
	})
	if len(a.Members()) != 3 {
		t.Errorf("a lists %v", a.Members())
	}
}

// Claim: a node that restarts under its id and address is alive with its new
// metadata within seconds, whether it crashed and nobody noticed, crashed and
// was found dead, or left.
func TestPool_RestartsInPlace(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, a, b *Pool){
		"unnoticed": func(_ *testing.T, _, b *Pool) { _ = b.Close() },
		"dead": func(t *testing.T, a, b *Pool) {
			t.Helper()
			_ = b.Close()
			within(t, 3*time.Second, "b is dead", func() bool { return member(a, "b").Liveness == Dead })
		},
		"left": func(t *testing.T, a, b *Pool) {
			t.Helper()
			_ = b.Leave(t.Context())
			within(t, 3*time.Second, "b has left", func() bool { return member(a, "b").Liveness == Left })
			_ = b.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b, c := three(t)
			end(t, a, b)
			start(t, "b", seeded(a.Address()), func(cfg *Config) { cfg.BindAddr, cfg.Meta.BootID = b.Address(), 2 })
			for _, p := range []*Pool{a, c} {
				took := within(t, 5*time.Second, "b is back", func() bool {
					m := member(p, "b")
					return m.Liveness == Alive && m.Meta.BootID == 2
				})
				t.Logf("back after %v", took)
			}
		})
	}
}

// Claim: neither a wrong key nor another label nor, with the same label,
// another cluster id gets in, while a right one does.
func TestPool_KeepsStrangersOut(t *testing.T) {
	one := func(c *Config) { c.Meta.ClusterID = [8]byte{1} }
	a := start(t, "a", one)
	strangers := []*Pool{
		start(t, "key", seeded(a.Address()), one, func(c *Config) { c.Key = bytes.Repeat([]byte{8}, 32) }),
		start(t, "label", seeded(a.Address()), one, func(c *Config) { c.ClusterLabel = "c2" }),
		start(t, "nolabel", seeded(a.Address()), one, func(c *Config) { c.ClusterLabel = "" }),
		start(t, "cluster", seeded(a.Address()), func(c *Config) { c.Meta.ClusterID = [8]byte{2} }),
	}
	for _, p := range strangers {
		_, _ = p.list.Join([]string{a.Address()}) // once more, and waited for
	}
	friend := start(t, "friend", seeded(a.Address()), one)
	within(t, 10*time.Second, "friend joins", func() bool { return sees(a, "a", "friend") && sees(friend, "a", "friend") })
	for _, p := range strangers {
		if n := len(p.Members()); n != 1 {
			t.Errorf("%s sees %d members", p.list.LocalNode().Name, n)
		}
	}
	if len(a.Members()) != 2 || len(friend.Members()) != 2 {
		t.Errorf("a sees %v, friend sees %v", a.Members(), friend.Members())
	}
}

// Claim: two groups that do not know each other become one when a seed of the
// other side appears, without any pool being restarted.
func TestPool_RejoinHealsASplit(t *testing.T) {
	var bridge atomic.Pointer[[]string]
	bridge.Store(new([]string))
	a := start(t, "a", func(c *Config) { c.Seeds = func() []string { return *bridge.Load() } })
	b := start(t, "b", seeded(a.Address()))
	c := start(t, "c")
	d := start(t, "d", seeded(c.Address(), "127.0.0.1:1", "not an address"))
	within(t, 10*time.Second, "two groups", func() bool { return sees(a, "a", "b") && sees(b, "a", "b") && sees(c, "c", "d") && sees(d, "c", "d") })
	bridge.Store(&[]string{a.Address(), d.Address()})
	for _, p := range []*Pool{a, b, c, d} {
		within(t, 10*time.Second, "one group", func() bool { return sees(p, "a", "b", "c", "d") })
	}
}

// lines collects log output.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Claim: garbage on the port, UDP and TCP, is dropped; the members stay, and
// the log is not flooded.
func TestPool_IgnoresGarbage(t *testing.T) {
	var out lines
	logger := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn}))
	a := start(t, "a", func(c *Config) { c.Logger = logger })
	b := start(t, "b", seeded(a.Address()))
	within(t, 10*time.Second, "two converge", func() bool { return sees(a, "a", "b") && sees(b, "a", "b") })
	for i := range 200 {
		payload := bytes.Repeat([]byte{byte(i), 0xff, byte(i * 7)}, i+1)
		udp, err := net.Dial("udp", a.Address())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = udp.Write(payload)
		_ = udp.Close()
		if i%4 != 0 {
			continue
		}
		tcp, err := net.Dial("tcp", a.Address())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = tcp.Write(payload)
		_ = tcp.Close()
	}
	idle, err := net.Dial("tcp", a.Address()) // says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	c := start(t, "c", seeded(a.Address()))
	within(t, 10*time.Second, "a third joins", func() bool { return sees(a, "a", "b", "c") && sees(c, "a", "b", "c") })
	if n := strings.Count(out.String(), "\n"); n > 100 {
		t.Errorf("%d lines logged for 250 bits of garbage", n)
	}
}

// Claim: two running nodes with one id are reported with both addresses, and
// the first stays.
func TestPool_ReportsConflict(t *testing.T) {
	var out lines
	logger := slog.New(slog.NewTextHandler(&out, nil))
	a := start(t, "a", func(c *Config) { c.Logger = logger })
	first := start(t, "twin", seeded(a.Address()))
	within(t, 10*time.Second, "first twin", func() bool { return sees(a, "a", "twin") })
	second := start(t, "twin", seeded(a.Address()))
	within(t, 10*time.Second, "conflict is logged", func() bool {
		s := out.String()
		return strings.Contains(s, "two nodes gossip under one id") && strings.Contains(s, first.Address()) && strings.Contains(s, second.Address())
	})
	if m := member(a, "twin"); m.GossipAddress != first.Address() {
		t.Errorf("a moved twin to %s", m.GossipAddress)
	}
}

// Claim: a member whose metadata this binary cannot read is listed all the
// same, and updates of it too.
func TestPool_ShowsUnreadableMetadata(t *testing.T) {
	a, b, _ := three(t)
	b.delegate.mu.Lock()
	b.delegate.own.PeerAddress = "not ascii \xff"
	b.delegate.mu.Unlock()
	b.updates <- struct{}{}
	within(t, 5*time.Second, "unreadable metadata", func() bool { m := member(a, "b"); return m.Liveness == Alive && !m.MetaKnown && m.Meta == Meta{} })
}

// Claim: configuration mistakes are errors that name what is wrong.
func TestOpen_Refuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, c := range map[string]struct {
		change option
		code   error
		want   string
	}{
		"no id":          {func(c *Config) { c.ID = "" }, hawser.ErrInvalid, "id must have"},
		"long id":        {func(c *Config) { c.ID = strings.Repeat("x", 65) }, hawser.ErrInvalid, "id must have"},
		"short key":      {func(c *Config) { c.Key = testKey[:16] }, hawser.ErrInvalid, "key must have 32 bytes, has 16"},
		"no key":         {func(c *Config) { c.Key = nil }, hawser.ErrInvalid, "key must have"},
		"long label":     {func(c *Config) { c.ClusterLabel = strings.Repeat("x", 256) }, hawser.ErrInvalid, "cluster label"},
		"long address":   {func(c *Config) { c.Meta.HTTPAddress = strings.Repeat("x", 129) }, hawser.ErrInvalid, "HTTPAddress"},
		"interval":       {func(c *Config) { c.RejoinEvery = -1 }, hawser.ErrInvalid, "rejoin interval"},
		"no port":        {func(c *Config) { c.BindAddr = "127.0.0.1" }, hawser.ErrInvalid, "must be host:port"},
		"bad port":       {func(c *Config) { c.BindAddr = "127.0.0.1:99999" }, hawser.ErrInvalid, "port must be"},
		"no host":        {func(c *Config) { c.BindAddr = ":0" }, hawser.ErrInvalid, "host is missing"},
		"everywhere":     {func(c *Config) { c.BindAddr = "0.0.0.0:0" }, hawser.ErrInvalid, "advertise"},
		"bad advertise":  {func(c *Config) { c.AdvertiseAddr = "0.0.0.0:1" }, hawser.ErrInvalid, "not an address"},
		"port taken":     {func(c *Config) { c.BindAddr = taken.Addr().String() }, hawser.ErrUnavailable, taken.Addr().String()},
		"not ours":       {func(c *Config) { c.BindAddr = "192.0.2.1:0" }, hawser.ErrUnavailable, "192.0.2.1"},
		"odd advertised": {func(c *Config) { c.AdvertiseAddr = "nowhere" }, hawser.ErrInvalid, "nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{ID: "a", BindAddr: "127.0.0.1:0", Key: testKey}
			c.change(&cfg)
			p, err := Open(cfg)
			if err == nil {
				_ = p.Close()
			}
			if !errors.Is(err, c.code) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v, want %v with %q", err, c.code, c.want)
			}
			if err != nil && strings.Contains(err.Error(), string(testKey)) {
				t.Error("the error shows the key")
			}
		})
	}
}

// Claim: others are told the advertised address, with the bound port where it
// names none; a host name is resolved.
func TestPool_Advertises(t *testing.T) {
	p := start(t, "a", func(c *Config) { c.BindAddr, c.AdvertiseAddr = "0.0.0.0:0", "localhost:0" })
	host, port, err := net.SplitHostPort(p.Address())
	if err != nil || host != "127.0.0.1" || port == "0" {
		t.Errorf("address = %q", p.Address())
	}
	if m := member(p, "a"); m.GossipAddress != p.Address() {
		t.Errorf("own entry says %q", m.GossipAddress)
	}
}

// goroutines counts those that run code of gossip or memberlist.
func goroutines() int {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	n := 0
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		if strings.Contains(stack, "memberlist") || strings.Contains(stack, "gossip.(") {
			n++
		}
	}
	return n
}

// Claim: Close ends every goroutine, ours at once and memberlist's soon, even
// while seeds that swallow packets are being dialed and idle streams are open;
// it waits for neither.
func TestPool_CloseLeavesNothingBehind(t *testing.T) {
	hole, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hole.Close()
	dialed := make(chan net.Conn, 100)
	go func() {
		for {
			c, err := hole.Accept()
			if err != nil {
				return
			}
			dialed <- c // kept open, never answered
		}
	}()
	a := start(t, "a", seeded(hole.Addr().String()))
	b := start(t, "b", seeded(a.Address(), hole.Addr().String()))
	within(t, 10*time.Second, "b joins", func() bool { return sees(b, "a", "b") })
	idle, err := net.Dial("tcp", a.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for len(dialed) > 0 {
		<-dialed
	}
	<-dialed // one of them waits for an answer from now on, for two seconds
	begin := time.Now()
	_ = a.Leave(ctx) // may or may not be heard in 50 ms
	if err := errors.Join(a.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 1500*time.Millisecond {
		t.Errorf("leave and close took %v", took)
	}
	within(t, 5*time.Second, "goroutines end", func() bool { return goroutines() == 0 })
}

// Claim: dead and left members are bounded in number, the newest stay; alive
// ones are never dropped.
func TestTable_BoundsTheGone(t *testing.T) {
	tab := newTable("self")
	for i := range 3 * maxGone {
		tab.members[fmt.Sprint(i)] = &row{Member: Member{ID: fmt.Sprint(i), Liveness: Dead, Since: time.Now().Add(time.Duration(i-500) * time.Second)}}
	}
	tab.members["old"] = &row{Member: Member{ID: "old", Liveness: Left, Since: time.Now().Add(-2 * keepGone)}}
	tab.members["alive"] = &row{Member: Member{ID: "alive", Liveness: Alive, Since: time.Now().Add(-2 * keepGone)}}
	got := tab.list()
	if len(got) != maxGone+1 {
		t.Fatalf("%d members are listed, want %d", len(got), maxGone+1)
	}
	for _, m := range got {
		if m.ID == "old" || m.ID == "0" {
			t.Errorf("%s is still listed", m.ID)
		}
	}
	if !slices.ContainsFunc(got, func(m Member) bool { return m.ID == "alive" }) {
		t.Error("the alive member was dropped")
	}
}
