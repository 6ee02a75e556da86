// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/peerpb"
)

// counted counts the bytes that arrive on the wire.
type counted struct {
	net.Conn
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n += n
	return n, err
}

// probe is a client that speaks the handshake by hand.
type probe struct {
	wire *counted
	*tls.Conn
	t transcript
}

// dialTLS gets as far as TLS.
func dialTLS(t *testing.T, addr string) *probe {
	t.Helper()
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	_ = raw.SetDeadline(time.Now().Add(10 * time.Second))
	p := &probe{wire: &counted{Conn: raw}}
	p.Conn = tls.Client(p.wire, &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{alpn}, InsecureSkipVerify: true})
	if err := p.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p.t.ekm, err = sessionKey(p.Conn); err != nil {
		t.Fatal(err)
	}
	return p
}

// greet sends a hello and reads the answer.
func (p *probe) greet(t *testing.T, h hello) {
	t.Helper()
	p.t.dialer = h.encode()
	if _, err := p.Write(p.t.dialer[:]); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(p, p.t.acceptor[:]); err != nil {
		t.Fatal(err)
	}
}

// rest sends b and returns what the other side still says, with the number of
// bytes on the wire, until it closes.
func (p *probe) rest(b []byte) (said []byte, wire int) {
	p.wire.n = 0
	_, _ = p.Write(b)
	said, _ = io.ReadAll(p.Conn)
	return said, p.wire.n
}

var goodHello = hello{kind: kindRPC, identity: Identity{ClusterID: testCluster, NodeID: "probe"}}

// Claim: the probe speaks the protocol as documented: with the secret it gets
// proof and verdict. Without this the refusals below would prove nothing.
func TestHandshake_AcceptsTheSecret(t *testing.T) {
	b := start(t, "b")
	p := dialTLS(t, b.address)
	p.greet(t, goodHello)
	proof := p.t.prove(testSecret, roleDialer)
	if _, err := p.Write(proof[:]); err != nil {
		t.Fatal(err)
	}
	var answer [proofSize + 1]byte
	if _, err := io.ReadFull(p, answer[:]); err != nil {
		t.Fatal(err)
	}
	if err := p.t.verify(testSecret, roleAcceptor, answer[:proofSize]); err != nil || answer[proofSize] != byte(verdictOK) {
		t.Errorf("proof: %v, verdict %d", err, answer[proofSize])
	}
	theirs, err := decodeHello(p.t.acceptor)
	if err != nil || theirs != (hello{kind: kindRPC, identity: Identity{ClusterID: testCluster, NodeID: "b"}}) {
		t.Errorf("hello = %+v, %v", theirs, err)
	}
}

// Claim: whoever does not prove the secret, in whatever way, gets not one
// byte on the wire after the acceptor's hello.
func TestHandshake_NoByteWithoutProof(t *testing.T) {
	b := start(t, "b", allow("probe"))
	b.Raft()
	recorded := dialTLS(t, b.address)
	recorded.greet(t, goodHello)
	old := recorded.t.prove(testSecret, roleDialer)
	for name, send := range map[string]func(*transcript) []byte{
		"zeros": func(*transcript) []byte { return make([]byte, proofSize) },
		"wrong secret": func(x *transcript) []byte {
			p := x.prove([]byte("not the secret, but as long as one is"), roleDialer)
			return p[:]
		},
		"empty secret": func(x *transcript) []byte { p := x.prove(nil, roleDialer); return p[:] },
		"wrong role":   func(x *transcript) []byte { p := x.prove(testSecret, roleAcceptor); return p[:] },
		"replay":       func(*transcript) []byte { return old[:] },
		"other session": func(x *transcript) []byte {
			y := *x
			y.ekm = make([]byte, ekmSize)
			p := y.prove(testSecret, roleDialer)
			return p[:]
		},
		"other hello": func(x *transcript) []byte {
			y := *x
			y.dialer[107] ^= 1
			p := y.prove(testSecret, roleDialer)
			return p[:]
		},
		"last bit": func(x *transcript) []byte { p := x.prove(testSecret, roleDialer); p[proofSize-1] ^= 1; return p[:] },
		"and more": func(*transcript) []byte { return make([]byte, 4096) },
		"grpc":     func(*transcript) []byte { return []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n padding up to a proof") },
	} {
		for _, k := range []kind{kindRPC, kindRaft} {
			t.Run(name+" "+k.String(), func(t *testing.T) {
				p := dialTLS(t, b.address)
				p.greet(t, hello{kind: k, identity: goodHello.identity})
				if said, wire := p.rest(send(&p.t)); len(said) != 0 || wire != 0 {
					t.Errorf("got %q, %d bytes on the wire", said, wire)
				}
			})
		}
	}
}

// Claim: hellos that are cut short at any length, or wrong in any part, get
// at most our hello; those that are not of this protocol get nothing.
func TestHandshake_RefusesHellos(t *testing.T) {
	b := start(t, "b", func(_ *node, c *Config) { c.HandshakeTimeout = 20 * time.Second })
	good := goodHello.encode()
	for n := range helloSize {
		p := dialTLS(t, b.address)
		p.wire.n = 0
		_, _ = p.Write(good[:n])
		_ = p.CloseWrite()
		if said, _ := io.ReadAll(p.Conn); len(said) != 0 || p.wire.n != 0 {
			t.Fatalf("%d bytes of hello: got %d bytes, %d on the wire", n, len(said), p.wire.n)
		}
		_ = p.wire.Close()
	}
	change := func(at int, v byte) [helloSize]byte {
		h := good
		h[at] = v
		return h
	}
	for name, c := range map[string]struct {
		hello [helloSize]byte
		reply int
		log   string
	}{
		"magic":      {change(0, 'x'), 0, "not a peer port"},
		"format":     {change(9, 2), helloSize, "speaks peer format 2, this binary format 1"},
		"kind":       {change(10, 9), helloSize, "unknown stream kind 9"},
		"no id":      {change(28, 0), helloSize, "padded"},
		"control id": {change(29, '\n'), helloSize, "printable ASCII"},
		"padding":    {change(90, 'x'), helloSize, "padded"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, "b")
			p := dialTLS(t, b.address)
			said, _ := p.rest(c.hello[:])
			if len(said) != c.reply {
				t.Errorf("got %d bytes, want %d", len(said), c.reply)
			}
			within(t, time.Second, "it is logged", func() bool { return strings.Contains(b.log.String(), c.log) })
		})
	}
}

// Claim: what is not TLS 1.3 of this protocol gets no further than TLS.
func TestHandshake_RefusesOtherProtocols(t *testing.T) {
	b := start(t, "b")
	for name, payload := range map[string][]byte{
		"garbage": bytes.Repeat([]byte{0xde, 0xad, 0, 1}, 100),
		"zeros":   make([]byte, 1000),
		"http":    []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"http2":   []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"),
		"raft":    {0, 0x8f, 0xa9, 'R', 'P', 'C', 'H', 'e', 'a', 'd', 'e', 'r'},
		"hello":   func() []byte { h := goodHello.encode(); return h[:] }(),
	} {
		raw, err := net.Dial("tcp", b.address)
		if err != nil {
			t.Fatal(err)
		}
		_ = raw.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = raw.Write(payload)
		said, _ := io.ReadAll(raw)
		if len(said) > 64 || bytes.Contains(said, []byte(helloMagic)) { // a TLS alert, or a plain HTTP hint
			t.Errorf("%s: got %q", name, said)
		}
		_ = raw.Close()
	}
	for name, cfg := range map[string]*tls.Config{
		"tls 1.2":    {MaxVersion: tls.VersionTLS12, NextProtos: []string{alpn}},
		"other alpn": {NextProtos: []string{"h2"}},
	} {
		cfg.InsecureSkipVerify = true
		if c, err := tls.Dial("tcp", b.address, cfg); err == nil {
			t.Errorf("%s: the handshake succeeds", name)
			_ = c.Close()
		}
	}
	c, err := tls.Dial("tcp", b.address, &tls.Config{InsecureSkipVerify: true}) // no ALPN at all
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	h := goodHello.encode()
	_, _ = c.Write(h[:])
	if said, _ := io.ReadAll(c); len(said) != 0 {
		t.Errorf("no alpn: got %q", said)
	}
	a := start(t, "a").knows(b)
	if _, err := a.peer(t, "b").Term(t.Context(), &peerpb.TermRequest{}); err != nil {
		t.Errorf("a good node afterwards: %v", err)
	}
}

// impostor is an acceptor that speaks by hand: answer gets the dialer's hello
// and returns the bytes to say, then gets the proof and returns the rest.
func impostor(t *testing.T, first func(theirs [helloSize]byte) []byte, second func(x *transcript, proof []byte) []byte) (addr string) {
	t.Helper()
	server, _, err := tlsConfigs()
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serveImpostor(c.(*tls.Conn), first, second)
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

func serveImpostor(c *tls.Conn, first func([helloSize]byte) []byte, second func(*transcript, []byte) []byte) {
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if c.Handshake() != nil {
		return
	}
	var x transcript
	x.ekm, _ = sessionKey(c)
	if _, err := io.ReadFull(c, x.dialer[:]); err != nil {
		return
	}
	reply := first(x.dialer)
	copy(x.acceptor[:], reply)
	_, _ = c.Write(reply)
	proof := make([]byte, proofSize)
	if _, err := io.ReadFull(c, proof); err != nil {
		return
	}
	_, _ = c.Write(second(&x, proof))
	_, _ = io.Copy(io.Discard, c)
}

// Claim: the dialer takes only the acceptor's proof of this session: not its
// own reflected, not one of another role, session or secret. The reflected
// hello makes both transcripts equal, so that only the role tells them apart.
func TestHandshake_DialerRefusesImpostors(t *testing.T) {
	reflect := func(theirs [helloSize]byte) []byte { return theirs[:] }
	asB := func([helloSize]byte) []byte {
		h := hello{kind: kindRaft, identity: Identity{ClusterID: testCluster, NodeID: "b"}}.encode()
		return h[:]
	}
	ok := func(p [proofSize]byte) []byte { return append(p[:], byte(verdictOK)) }
	for name, c := range map[string]struct {
		first  func([helloSize]byte) []byte
		second func(*transcript, []byte) []byte
		want   error
		text   string
	}{
		"reflection":   {reflect, func(_ *transcript, p []byte) []byte { return append(bytes.Clone(p), 0) }, hawser.ErrUnauthenticated, "does not know the cluster secret"},
		"wrong role":   {asB, func(x *transcript, _ []byte) []byte { return ok(x.prove(testSecret, roleDialer)) }, hawser.ErrUnauthenticated, "secret"},
		"wrong secret": {asB, func(x *transcript, _ []byte) []byte { return ok(x.prove([]byte("wrong"), roleAcceptor)) }, hawser.ErrUnauthenticated, "secret"},
		"other session": {asB, func(x *transcript, _ []byte) []byte {
			y := *x
			y.ekm = make([]byte, ekmSize)
			return ok(y.prove(testSecret, roleAcceptor))
		}, hawser.ErrUnauthenticated, "secret"},
		"short proof": {asB, func(*transcript, []byte) []byte { return make([]byte, proofSize) }, hawser.ErrUnavailable, ""},
		"format": {func([helloSize]byte) []byte {
			h := goodHello.encode()
			h[9] = 3
			return h[:]
		}, nil, hawser.ErrUnavailable, "format 3"},
		"not hawser":  {func([helloSize]byte) []byte { return bytes.Repeat([]byte("x"), helloSize) }, nil, hawser.ErrUnauthenticated, "not a peer port"},
		"other kind":  {func([helloSize]byte) []byte { h := goodHello.encode(); return h[:] }, nil, hawser.ErrUnavailable, "asked for a raft stream, got a rpc stream"},
		"new verdict": {asB, func(x *transcript, _ []byte) []byte { p := x.prove(testSecret, roleAcceptor); return append(p[:], 99) }, hawser.ErrUnavailable, "reason 99"},
		"none":        {asB, func(x *transcript, _ []byte) []byte { return ok(x.prove(testSecret, roleAcceptor)) }, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := start(t, "a")
			a.book["b"] = impostor(t, c.first, c.second)
			stream, err := a.Raft().Dial("b", 500*time.Millisecond)
			if err == nil {
				_ = stream.Close()
			}
			if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.text) {
				t.Errorf("error = %v, want %v with %q", err, c.want, c.text)
			}
		})
	}
}

// Claim: connections that stall in the handshake, in TLS or after it, do not
// keep good ones out, though many times more than the bound; and they are
// closed in the end.
func TestHandshake_SlowOnesDoNotBlock(t *testing.T) {
	b := start(t, "b", func(_ *node, c *Config) { c.MaxHandshakes, c.HandshakeTimeout = 4, 3*time.Second })
	a := start(t, "a").knows(b)
	var stalled []net.Conn
	for i := range 40 {
		var c net.Conn
		var err error
		if i%2 == 0 {
			c, err = net.Dial("tcp", b.address)
		} else {
			c = dialTLS(t, b.address).Conn
		}
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		stalled = append(stalled, c)
	}
	begin := time.Now()
	if _, err := a.peer(t, "b").Term(t.Context(), &peerpb.TermRequest{}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("a good call took %v beside stalled handshakes", took)
	}
	if n := len(b.handshakes.slots); n > 4 {
		t.Errorf("%d handshakes are under way", n)
	}
	for i, c := range stalled {
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.ReadAll(c); isTimeout(err) {
			t.Fatalf("stalled connection %d is still open", i)
		}
	}
}

// Claim: a flood of bad handshakes makes about one log line a second, which
// counts the others; silent clients make none.
func TestHandshake_LogsAreLimited(t *testing.T) {
	b := start(t, "b")
	begin := time.Now()
	for i := range 100 {
		c, err := net.Dial("tcp", b.address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(c, "garbage %d", i)
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.ReadAll(c)
		_ = c.Close()
	}
	within(t, time.Second, "it is logged", func() bool { return b.log.String() != "" })
	if n, limit := strings.Count(b.log.String(), "\n"), 2+int(time.Since(begin)/time.Second); n > limit {
		t.Errorf("%d lines, want at most %d", n, limit)
	}
	quiet := start(t, "quiet")
	for range 20 {
		c, err := net.Dial("tcp", quiet.address)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.ReadAll(c)
		_ = c.Close()
	}
	if s := quiet.log.String(); s != "" {
		t.Errorf("silent clients are logged: %s", s)
	}
}
