// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"errors"
	"fmt"

	"github.com/hawserdb/hawser"
)

var (
	// ErrClosed is a port, or a part of it, that was closed. It matches
	// net.ErrClosed where a listener returns it.
	ErrClosed = errors.New("peer port is closed")
	// ErrWrongCluster is a node of another cluster, or of none. Errors with
	// it also match [hawser.ErrPermissionDenied] and name both clusters.
	ErrWrongCluster = errors.New("cluster ids do not match")
	// ErrNotMember is a Raft stream refused because the other side does not
	// know this node as a member. Errors with it also match
	// [hawser.ErrPermissionDenied].
	ErrNotMember = errors.New("not a member")

	errSilent    = errors.New("closed without a word")
	errNotHawser = errors.New("the other side is not a peer port (or speaks an unknown protocol)")
)

// WrongNodeError is a node that answers under another id than the one that
// was dialed, so that its address is out of date. It matches
// [hawser.ErrUnavailable].
type WrongNodeError struct {
	Address string
	// Dialed is the node id that was wanted, Found the one that answered.
	Dialed, Found string
}

// Error implements error.
func (e *WrongNodeError) Error() string {
	return fmt.Sprintf("dial peer %s: wanted node %q, found node %q there", e.Address, e.Dialed, e.Found)
}

// HawserCode returns [hawser.CodeUnavailable].
func (e *WrongNodeError) HawserCode() hawser.Code { return hawser.CodeUnavailable }

// Is reports whether target is [hawser.ErrUnavailable].
func (e *WrongNodeError) Is(target error) bool { return target == hawser.ErrUnavailable }

// dialError is an error of a dial to addr.
func dialError(code hawser.Code, addr, msg string, err error) error {
	return &hawser.Error{Code: code, Op: "dial peer", Key: addr, Msg: msg, Err: err}
}

// verdict is the acceptor's last word in a handshake. Values go over the
// wire: append only.
type verdict uint8

const (
	verdictOK           verdict = 0
	verdictWrongCluster verdict = 1
	verdictNotMember    verdict = 2
	verdictNoRaftYet    verdict = 3
	verdictBusy         verdict = 4
)

// err returns what a verdict of theirs means for the dialer ours.
func (v verdict) err(addr string, ours, theirs Identity) error {
	switch v {
	case verdictOK:
		return nil
	case verdictWrongCluster:
		return dialError(hawser.CodePermissionDenied, addr, fmt.Sprintf("node %s refused node %s", theirs, ours), ErrWrongCluster)
	case verdictNotMember:
		return dialError(hawser.CodePermissionDenied, addr,
			fmt.Sprintf("node %q refused a raft stream of node %q, which it does not know", theirs.NodeID, ours.NodeID), ErrNotMember)
	case verdictNoRaftYet:
		return dialError(hawser.CodePermissionDenied, addr,
			fmt.Sprintf("node %s refused a raft stream of node %s: both must belong to the cluster", theirs, ours), ErrWrongCluster)
	case verdictBusy:
		return dialError(hawser.CodeUnavailable, addr, fmt.Sprintf("node %q takes no more connections or is closing", theirs.NodeID), nil)
	}
	return dialError(hawser.CodeUnavailable, addr, fmt.Sprintf("node %q refused with reason %d, which this binary does not know", theirs.NodeID, v), nil)
}

// reason returns what a verdict about the remote node means to the acceptor,
// for its log.
func (v verdict) reason(ours, remote Identity) string {
	switch v {
	case verdictOK:
		return "accepted"
	case verdictWrongCluster:
		return fmt.Sprintf("node %s dialed node %s", remote, ours)
	case verdictNotMember:
		return fmt.Sprintf("raft stream of node %q, which is not a member", remote.NodeID)
	case verdictNoRaftYet:
		return fmt.Sprintf("raft stream of node %s to node %s", remote, ours)
	case verdictBusy:
		return fmt.Sprintf("too many connections, or closing: %s", remote.NodeID)
	}
	return fmt.Sprintf("verdict %d", uint8(v))
}
