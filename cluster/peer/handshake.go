// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/hawserdb/hawser"
)

// greet is the dialing side of a handshake over raw, which is bounded by ctx
// and by raw's deadline. It returns the secured connection and who answered.
func (p *Port) greet(ctx context.Context, raw net.Conn, addr string, ours hello) (*tls.Conn, Identity, error) {
	c := tls.Client(raw, p.client)
	theirs, v, err := p.converse(ctx, c, ours)
	if err != nil {
		return nil, Identity{}, greetError(addr, err)
	}
	if err := v.err(addr, ours.identity, theirs.identity); err != nil {
		return nil, Identity{}, err
	}
	return c, theirs.identity, nil
}

func (p *Port) converse(ctx context.Context, c *tls.Conn, ours hello) (theirs hello, v verdict, err error) {
	if err := c.HandshakeContext(ctx); err != nil {
		return hello{}, 0, fmt.Errorf("tls: %w", err)
	}
	var t transcript
	if t.ekm, err = sessionKey(c); err != nil {
		return hello{}, 0, err
	}
	t.dialer = ours.encode()
	if _, err := c.Write(t.dialer[:]); err != nil {
		return hello{}, 0, fmt.Errorf("send hello: %w", err)
	}
	if _, err := io.ReadFull(c, t.acceptor[:]); err != nil {
		return hello{}, 0, fmt.Errorf("read hello: %w", err)
	}
	theirs, err = decodeHello(t.acceptor)
	if err != nil {
		return hello{}, 0, err
	}
	if theirs.kind != ours.kind {
		return hello{}, 0, fmt.Errorf("asked for a %s stream, got a %s stream", ours.kind, theirs.kind)
	}
	proof := t.prove(p.secret, roleDialer)
	if _, err := c.Write(proof[:]); err != nil {
		return hello{}, 0, fmt.Errorf("send proof: %w", err)
	}
	var answer [proofSize + 1]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		if ctx.Err() == nil {
			err = fmt.Errorf("node %q closed the connection instead of accepting our proof; its cluster secret probably differs: %w: %w", theirs.identity.NodeID, errBadProof, err)
		}
		return hello{}, 0, err
	}
	if err := t.verify(p.secret, roleAcceptor, answer[:proofSize]); err != nil {
		return hello{}, 0, err
	}
	return theirs, verdict(answer[proofSize]), nil
}

// greetError gives an error of the conversation its code.
func greetError(addr string, err error) error {
	switch {
	case errors.Is(err, errBadProof), errors.Is(err, errNotHawser):
		return dialError(hawser.CodeUnauthenticated, addr, "", err)
	default:
		return dialError(hawser.CodeUnavailable, addr, "handshake", err)
	}
}

// receive is the accepting side of a handshake up to the dialer's proof. Its
// result is authenticated; answer must follow.
func (p *Port) receive(ctx context.Context, c *tls.Conn) (t transcript, theirs hello, ours Identity, err error) {
	fail := func(err error) (transcript, hello, Identity, error) { return transcript{}, hello{}, Identity{}, err }
	if err := c.HandshakeContext(ctx); errors.Is(err, io.EOF) {
		return fail(errSilent)
	} else if err != nil {
		return fail(fmt.Errorf("tls: %w", err))
	}
	if t.ekm, err = sessionKey(c); err != nil {
		return fail(err)
	}
	if _, err := io.ReadFull(c, t.dialer[:]); err != nil {
		return fail(fmt.Errorf("read hello: %w", err))
	}
	theirs, helloErr := decodeHello(t.dialer)
	if errors.Is(helloErr, errNotHawser) {
		return fail(helloErr)
	}
	ours = p.identity()
	if err := checkNodeID(ours.NodeID); err != nil {
		return fail(err)
	}
	// A dialer of another format learns ours from this hello.
	t.acceptor = hello{kind: theirs.kind, identity: ours}.encode()
	if _, err := c.Write(t.acceptor[:]); err != nil {
		return fail(fmt.Errorf("send hello: %w", err))
	}
	if helloErr != nil {
		return fail(helloErr)
	}
	var proof [proofSize]byte
	if _, err := io.ReadFull(c, proof[:]); err != nil {
		return fail(fmt.Errorf("read proof: %w", err))
	}
	if err := t.verify(p.secret, roleDialer, proof[:]); err != nil {
		return fail(err)
	}
	return t, theirs, ours, nil
}

// answer sends our proof and the verdict.
func (p *Port) answer(c *tls.Conn, t *transcript, v verdict) error {
	proof := t.prove(p.secret, roleAcceptor)
	if _, err := c.Write(append(proof[:], byte(v))); err != nil {
		return fmt.Errorf("send proof: %w", err)
	}
	return nil
}

// judge applies the rules of cluster ids and membership.
func (p *Port) judge(theirs hello, ours Identity) verdict {
	remote := theirs.identity
	if theirs.kind == kindRaft {
		switch {
		case !remote.HasCluster() || !ours.HasCluster():
			return verdictNoRaftYet
		case remote.ClusterID != ours.ClusterID:
			return verdictWrongCluster
		case remote.NodeID == ours.NodeID || !p.allowRaft(remote.NodeID):
			return verdictNotMember
		}
		return verdictOK
	}
	if (remote.HasCluster() || theirs.kind == kindLine) && remote.ClusterID != ours.ClusterID {
		return verdictWrongCluster
	}
	return verdictOK
}
