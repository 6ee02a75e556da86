// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/peerpb"
)

// Claim: calls go through with the identities of both sides known, the client
// is cached, and messages are bounded at MaxMessage.
func TestPort_CarriesCalls(t *testing.T) {
	a, b := start(t, "a"), start(t, "b")
	a.knows(b)
	r, err := a.peer(t, "b").Term(t.Context(), &peerpb.TermRequest{Term: 7})
	if err != nil || r.GetNode() != "b" || r.GetTerm() != 7 {
		t.Fatalf("Term = %v, %v", r, err)
	}
	if want := (Identity{ClusterID: testCluster, NodeID: "a"}); len(b.callers) != 1 || b.callers[0] != want {
		t.Errorf("b was called by %v, want %v", b.callers, want)
	}
	first, _ := a.Conn("b")
	if again, err := a.Conn("b"); err != nil || again != first {
		t.Errorf("Conn is not cached: %v", err)
	}
	big := make([]byte, MaxMessage-16) // room for the tag and the length
	p, err := a.peer(t, "b").Promise(t.Context(), &peerpb.PromiseRequest{ClusterId: big})
	if err != nil || len(p.GetClusterId()) != len(big) {
		t.Errorf("the largest message: %v", err)
	}
	_, err = a.peer(t, "b").Promise(t.Context(), &peerpb.PromiseRequest{ClusterId: make([]byte, MaxMessage+1)})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a message above MaxMessage: %v", err)
	}
	if s, err := watch(t.Context(), first); err != nil || s != "from the stream" {
		t.Errorf("stream = %q, %v", s, err)
	}
}

// Claim: a Raft stream carries bytes both ways; addresses are node ids.
func TestRaftStreams_CarryBytes(t *testing.T) {
	a, b := start(t, "a"), start(t, "b", allow("a"))
	a.knows(b)
	in := b.Raft()
	out, err := a.Raft().Dial("b", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	accepted, err := in.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	echo := make(chan error, 1)
	go func() {
		_, err := io.CopyN(accepted, accepted, 5)
		echo <- err
	}()
	if _, err := out.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(out, got); err != nil || string(got) != "hello" {
		t.Fatalf("echo = %q, %v", got, err)
	}
	if err := <-echo; err != nil {
		t.Fatal(err)
	}
	if in.Addr().String() != "b" || a.Raft().Addr().String() != "a" {
		t.Errorf("addresses are %v and %v", in.Addr(), a.Raft().Addr())
	}
}

// Claim: the rules of cluster ids and membership hold for both kinds of
// stream, and each refusal names both sides.
func TestPort_AppliesTheRules(t *testing.T) {
	other, none := [16]byte{0xee}, [16]byte{}
	for name, c := range map[string]struct {
		ours, theirs [16]byte
		raft         bool
		allowed      string
		want         error
		names        []string
	}{
		"rpc, same":              {ours: testCluster, theirs: testCluster},
		"rpc, other":             {ours: other, theirs: testCluster, want: ErrWrongCluster, names: []string{"cluster ee", "cluster c1"}},
		"rpc, acceptor has none": {ours: testCluster, theirs: none, want: ErrWrongCluster, names: []string{"cluster c1", "no cluster"}},
		"raft, member":           {ours: testCluster, theirs: testCluster, raft: true, allowed: "dialer"},
		"raft, stranger":         {ours: testCluster, theirs: testCluster, raft: true, allowed: "somebody", want: ErrNotMember, names: []string{`"dialer"`, `"acceptor"`}},
		"raft, other":            {ours: other, theirs: testCluster, raft: true, allowed: "dialer", want: ErrWrongCluster, names: []string{"cluster ee", "cluster c1"}},
		"raft, acceptor none":    {ours: testCluster, theirs: none, raft: true, allowed: "dialer", want: ErrWrongCluster, names: []string{"cluster c1", "no cluster"}},
	} {
		t.Run(name, func(t *testing.T) {
			acceptor := start(t, "acceptor", cluster(c.theirs), allow(c.allowed))
			acceptor.Raft()
			dialer := start(t, "dialer", cluster(c.ours)).knows(acceptor)
			var err error
			if c.raft {
				var stream net.Conn
				if stream, err = dialer.Raft().Dial("acceptor", 2*time.Second); err == nil {
					_ = stream.Close()
				}
			} else {
				var cc *grpc.ClientConn
				if cc, err = dialer.DialAddress(t.Context(), acceptor.address, false); err == nil {
					_ = cc.Close()
				}
			}
			if !errors.Is(err, c.want) {
				t.Fatalf("error = %v, want %v", err, c.want)
			}
			if c.want != nil && !errors.Is(err, hawser.ErrPermissionDenied) {
				t.Errorf("error %v has code %v", err, hawser.CodeOf(err))
			}
			for _, want := range c.names {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not name %s", err, want)
				}
			}
			if c.want != nil {
				within(t, 2*time.Second, "the acceptor logs", func() bool { return strings.Contains(acceptor.log.String(), "dialer") })
			}
		})
	}
}

// Claim: a node without a cluster dials no Raft streams and no members; a
// node does not take a Raft stream under its own id, nor before anybody asked
// for Raft().
func TestPort_RefusesOddRaftStreams(t *testing.T) {
	b := start(t, "b", allow("a", "b", "new"))
	fresh := start(t, "new", cluster([16]byte{})).knows(b)
	if _, err := fresh.Raft().Dial("b", time.Second); !errors.Is(err, hawser.ErrUnavailable) || !strings.Contains(err.Error(), "belongs to no cluster") {
		t.Errorf("a node without a cluster: %v", err)
	}
	if _, err := fresh.dial(t.Context(), dialing{addr: b.address, ours: fresh.identity(), kind: kindRaft}); !errors.Is(err, ErrWrongCluster) {
		t.Errorf("a zero cluster id dialing raft: %v", err)
	}
	twin := start(t, "b").knows(b)
	if _, err := twin.Raft().Dial("b", time.Second); !errors.Is(err, ErrNotMember) {
		t.Errorf("a twin: %v", err)
	}
	a := start(t, "a").knows(b)
	if _, err := a.Raft().Dial("b", time.Second); !errors.Is(err, hawser.ErrUnavailable) {
		t.Errorf("before Raft(): %v", err)
	}
	if _, err := a.Raft().Dial("nobody", time.Second); !errors.Is(err, hawser.ErrUnavailable) || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("a node without an address: %v", err)
	}
}

// Claim: a caller without a cluster reaches Promise and Join and nothing else,
// unary or streaming, even at a node that has one.
func TestPort_FounderMayOnlyPromiseAndJoin(t *testing.T) {
	for name, theirs := range map[string][16]byte{"with a cluster": testCluster, "without": {}} {
		t.Run(name, func(t *testing.T) {
			b := start(t, "b", cluster(theirs))
			a := start(t, "a")
			cc, err := a.DialAddress(t.Context(), b.address, true)
			if err != nil {
				t.Fatal(err)
			}
			defer cc.Close()
			client := peerpb.NewPeerClient(cc)
			if _, err := client.Promise(t.Context(), &peerpb.PromiseRequest{}); err != nil {
				t.Errorf("Promise: %v", err)
			}
			if _, err := client.Join(t.Context(), &peerpb.JoinRequest{}); err != nil {
				t.Errorf("Join: %v", err)
			}
			if want := (Identity{NodeID: "a"}); len(b.callers) != 2 || b.callers[0] != want {
				t.Errorf("b was called by %v", b.callers)
			}
			_, term := client.Term(t.Context(), &peerpb.TermRequest{})
			_, index := client.ReadIndex(t.Context(), &peerpb.ReadIndexRequest{})
			_, book := client.Book(t.Context(), &peerpb.BookRequest{})
			_, stream := watch(t.Context(), cc)
			for _, err := range []error{term, index, book, stream} {
				if status.Code(err) != codes.PermissionDenied {
					t.Errorf("another method: %v", err)
				}
			}
			if len(b.callers) != 2 {
				t.Error("another method was executed")
			}
		})
	}
}

// Claim: when another node answers at an address, dials and calls fail and
// name both, and succeed once the address is right.
func TestPort_NoticesAnotherNode(t *testing.T) {
	a, b, c := start(t, "a"), start(t, "b", allow("a")), start(t, "c", allow("a"))
	b.Raft()
	c.Raft()
	a.mu.Lock()
	a.book["b"] = c.address
	a.mu.Unlock()
	_, err := a.Raft().Dial("b", time.Second)
	wrong, ok := errors.AsType[*WrongNodeError](err)
	if !ok || *wrong != (WrongNodeError{Address: c.address, Dialed: "b", Found: "c"}) || !errors.Is(err, hawser.ErrUnavailable) {
		t.Fatalf("dial: %v", err)
	}
	_, err = a.peer(t, "b").Term(t.Context(), &peerpb.TermRequest{})
	if status.Code(err) != codes.Unavailable || !strings.Contains(strings.ReplaceAll(err.Error(), `\`, ""), `wanted node "b", found node "c"`) {
		t.Errorf("call: %v", err)
	}
	a.knows(b)
	within(t, 5*time.Second, "the right address is found", func() bool {
		r, err := a.peer(t, "b").Term(t.Context(), &peerpb.TermRequest{})
		return err == nil && r.GetNode() == "b"
	})
}

// Claim: nodes with different secrets do not talk, both say so, and neither
// shows the secret.
func TestPort_RefusesAnotherSecret(t *testing.T) {
	const mine = "another secret of more than thirty-two bytes"
	a, b := start(t, "a", secret(mine)), start(t, "b", allow("a"))
	a.knows(b)
	b.Raft()
	_, raftErr := a.Raft().Dial("b", time.Second)
	_, callErr := a.DialAddress(t.Context(), b.address, true)
	for _, err := range []error{raftErr, callErr} {
		if !errors.Is(err, hawser.ErrUnauthenticated) || !strings.Contains(err.Error(), "secret") {
			t.Errorf("error = %v", err)
		}
	}
	within(t, time.Second, "b logs it", func() bool { return strings.Contains(b.log.String(), "does not know the cluster secret") })
	all := b.log.String() + raftErr.Error() + callErr.Error()
	if strings.Contains(all, mine) || strings.Contains(all, string(testSecret)) {
		t.Error("a secret is shown")
	}
}

// Claim: no dial outlasts its deadline, whether nobody listens, somebody
// accepts and stays silent, or an HTTP server answers.
func TestPort_DialsAreBounded(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	refused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = refused.Close()
	a := start(t, "a")
	for name, addr := range map[string]string{"silent": silent.Addr().String(), "refused": refused.Addr().String(), "odd": "no port"} {
		a.book[name] = addr
		begin := time.Now()
		if _, err := a.Raft().Dial(name, 100*time.Millisecond); !errors.Is(err, hawser.ErrUnavailable) || !strings.Contains(err.Error(), addr) {
			t.Errorf("%s: raft: %v", name, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if _, err := a.DialAddress(ctx, addr, true); !errors.Is(err, hawser.ErrUnavailable) {
			t.Errorf("%s: rpc: %v", name, err)
		}
		cancel()
		if took := time.Since(begin); took > time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
}

// Claim: Drop closes everything from and to the node, at both ends; a stream
// that AllowRaft refuses by then does not come back, a call does.
func TestPort_Drop(t *testing.T) {
	a, b := start(t, "a", allow("b")), start(t, "b", allow("a"))
	a.knows(b)
	b.knows(a)
	a.Raft()
	in := b.Raft()
	out, err := a.Raft().Dial("b", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := in.Accept()
	if err != nil {
		t.Fatal(err)
	}
	back, err := b.Raft().Dial("a", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	old := b.peer(t, "a")
	if _, err := old.Term(t.Context(), &peerpb.TermRequest{}); err != nil {
		t.Fatal(err)
	}
	b.forget("a")
	b.Drop("")
	b.Drop("a")
	for name, c := range map[string]net.Conn{"dialed by a": out, "accepted by b": accepted, "dialed by b": back} {
		_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
			t.Errorf("%s is still open: %v", name, err)
		}
	}
	if _, err := old.Term(t.Context(), &peerpb.TermRequest{}); err == nil {
		t.Error("the dropped client still works")
	}
	if _, err := a.Raft().Dial("b", time.Second); !errors.Is(err, ErrNotMember) {
		t.Errorf("raft after drop: %v", err)
	}
	if _, err := b.peer(t, "a").Term(t.Context(), &peerpb.TermRequest{}); err != nil {
		t.Errorf("call after drop: %v", err)
	}
}

func isTimeout(err error) bool {
	n, ok := errors.AsType[net.Error](err)
	return ok && n.Timeout()
}

// Claim: closing Raft's layer closes its streams, dialed and accepted, and
// refuses others; the next layer works, and calls never notice.
func TestRaftStreams_CloseAndRestart(t *testing.T) {
	a, b := start(t, "a"), start(t, "b", allow("a"))
	a.knows(b)
	first := b.Raft()
	if b.Raft() != first {
		t.Error("Raft() makes a new layer each time")
	}
	out, err := a.Raft().Dial("b", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	held, err := first.Accept() // raft's transport would not close it
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(first.Close(), first.Close()); err != nil {
		t.Fatal(err)
	}
	_ = out.SetReadDeadline(time.Now().Add(2 * time.Second))
	if _, err := out.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("the stream is still open: %v", err)
	}
	_ = held.SetReadDeadline(time.Now().Add(2 * time.Second))
	if _, err := held.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the accepted stream is still open: %v", err)
	}
	if _, err := first.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept after close: %v", err)
	}
	if _, err := first.Dial("a", time.Second); !errors.Is(err, ErrClosed) {
		t.Errorf("dial after close: %v", err)
	}
	if _, err := a.Raft().Dial("b", time.Second); !errors.Is(err, hawser.ErrUnavailable) {
		t.Errorf("a stream to a closed layer: %v", err)
	}
	if _, err := a.peer(t, "b").Term(t.Context(), &peerpb.TermRequest{}); err != nil {
		t.Errorf("a call meanwhile: %v", err)
	}
	second := b.Raft()
	again, err := a.Raft().Dial("b", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	accepted, err := second.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = accepted.Close()
}

// Claim: Close ends every goroutine and connection, whatever is under way:
// streams that Raft holds or has not accepted, calls, dials and handshakes
// that hang; afterwards everything fails with a clear error.
func TestPort_CloseLeavesNothingBehind(t *testing.T) {
	within(t, 5*time.Second, "earlier tests end", func() bool { return len(goroutines()) == 0 })
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	a, b := start(t, "a"), start(t, "b", allow("a"))
	a.knows(b)
	a.book["silent"] = silent.Addr().String()
	in := b.Raft()
	held, err := a.Raft().Dial("b", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Accept(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Raft().Dial("b", time.Second); err != nil { // never accepted
		t.Fatal(err)
	}
	if _, err := a.peer(t, "b").Term(t.Context(), &peerpb.TermRequest{}); err != nil {
		t.Fatal(err)
	}
	lorises, err := net.Dial("tcp", b.address)
	if err != nil {
		t.Fatal(err)
	}
	defer lorises.Close()
	hanging := make(chan error, 1)
	go func() {
		_, err := a.Raft().Dial("silent", time.Minute)
		hanging <- err
	}()
	if _, err := silent.Accept(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := errors.Join(a.Close(), a.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("close took %v", took)
	}
	if err := <-hanging; !errors.Is(err, hawser.ErrUnavailable) {
		t.Errorf("hanging dial: %v", err)
	}
	if _, err := held.Read(make([]byte, 1)); err == nil {
		t.Error("a held stream is still open")
	}
	if _, err := a.Conn("b"); !errors.Is(err, ErrClosed) {
		t.Errorf("Conn after close: %v", err)
	}
	if _, err := a.DialAddress(t.Context(), b.address, true); !errors.Is(err, ErrClosed) {
		t.Errorf("DialAddress after close: %v", err)
	}
	if _, err := a.Raft().Dial("b", time.Second); !errors.Is(err, ErrClosed) {
		t.Errorf("Dial after close: %v", err)
	}
	if _, err := a.Raft().Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after close: %v", err)
	}
	var left []string
	within(t, 5*time.Second, "goroutines end", func() bool { left = goroutines(); return len(left) == 0 })
	_ = left
}

// Claim: Close closes the connections that the gRPC server holds and those of
// DialAddress, though their owners have not.
func TestPort_CloseEndsCalls(t *testing.T) {
	a, b, c := start(t, "a"), start(t, "b"), start(t, "c")
	inbound, err := a.DialAddress(t.Context(), b.address, true)
	if err != nil {
		t.Fatal(err)
	}
	defer inbound.Close()
	outbound, err := b.DialAddress(t.Context(), c.address, true)
	if err != nil {
		t.Fatal(err)
	}
	defer outbound.Close()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for name, cc := range map[string]*grpc.ClientConn{"inbound": inbound, "outbound": outbound} {
		within(t, 2*time.Second, name+" connection ends", func() bool { return cc.GetState() != connectivity.Ready })
	}
}

// Claim: configuration mistakes are errors that match ErrInvalid, name the
// part, close the listener and do not show the secret.
func TestOpen_Refuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no secret":    {func(c *Config) { c.Secret = nil }, "secret: is shorter"},
		"short secret": {func(c *Config) { c.Secret = []byte("short but secret") }, "secret: is shorter"},
		"dull secret":  {func(c *Config) { c.Secret = []byte(strings.Repeat("ab", 40)) }, "secret: repeats"},
		"no identity":  {func(c *Config) { c.Identity = nil }, "identity is missing"},
		"no id":        {func(c *Config) { c.Identity = func() Identity { return Identity{} } }, "is empty"},
		"long id":      {func(c *Config) { c.Identity = func() Identity { return Identity{NodeID: strings.Repeat("x", 65)} } }, "longer than 64"},
		"odd id":       {func(c *Config) { c.Identity = func() Identity { return Identity{NodeID: "a\nb"} } }, "printable ASCII"},
		"negative":     {func(c *Config) { c.MaxHandshakes = -1 }, "negative"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			cfg := Config{Listener: l, Secret: testSecret, Identity: func() Identity { return Identity{NodeID: "a"} }}
			c.change(&cfg)
			p, err := Open(cfg)
			if err == nil {
				_ = p.Close()
			}
			if !errors.Is(err, hawser.ErrInvalid) && hawser.CodeOf(err) != hawser.CodeInvalid || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error = %v, want %q", err, c.want)
			}
			if strings.Contains(err.Error(), "short but secret") || strings.Contains(err.Error(), "abab") {
				t.Error("the error shows the secret")
			}
			if err := l.Close(); err == nil {
				t.Error("the listener was left open")
			}
		})
	}
	if _, err := Open(Config{}); err == nil {
		t.Error("an empty configuration is taken")
	}
}

// Claim: the credentials take only connections of the port, so that a server
// with these options on a plain listener serves nobody.
func TestServerOptions_RefuseOtherListeners(t *testing.T) {
	a := start(t, "a")
	plain, other := net.Pipe()
	defer plain.Close()
	defer other.Close()
	if _, _, err := (passThrough{}).ServerHandshake(plain); !errors.Is(err, errNotSecured) {
		t.Errorf("a plain connection: %v", err)
	}
	if err := guard(t.Context(), peerpb.Peer_Promise_FullMethodName); status.Code(err) != codes.Unauthenticated {
		t.Errorf("a call from nowhere: %v", err)
	}
	if _, ok := RemoteFrom(t.Context()); ok {
		t.Error("a caller from nowhere has an identity")
	}
	if _, err := a.Conn("not a node id"); !errors.Is(err, hawser.ErrInvalid) {
		t.Errorf("Conn of an impossible id: %v", err)
	}
}
