// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"
)

// receiver is what the transport asks of its replica.
type receiver interface {
	// Term returns raft's term.
	Term() uint64
	// Holds reports whether the log has the entry.
	Holds(id entryID) bool
	// Applied returns the index that the machine applied.
	Applied() uint64
	// Decide says what to do with a snapshot that would help.
	Decide(id entryID) Install
	// Installed is told of each snapshot that was answered with success.
	Installed(id entryID)
}

// dispatch hands incoming requests to raft.
func (t *transport) dispatch() {
	for {
		select {
		case rpc := <-t.NetworkTransport.Consumer():
			t.receive(rpc)
		case <-t.stopping:
			return
		}
	}
}

func (t *transport) receive(rpc raft.RPC) {
	if err := t.latch.Err(); err != nil {
		rpc.Respond(nil, errors.New("this node stopped"))
		return
	}
	switch req := rpc.Command.(type) {
	case *raft.AppendEntriesRequest:
		if err := verifyEntries(req.Entries); err != nil {
			t.logger.Error("refused damaged entries", "leader", string(req.ID), "err", err)
			rpc.Respond(&raft.AppendEntriesResponse{}, fmt.Errorf("refused damaged entries: %w", err))
			return
		}
	case *raft.InstallSnapshotRequest:
		t.wg.Go(func() { t.install(rpc, req) })
		return
	}
	t.forward(rpc)
}

// verifyEntries checks entries as they arrive, so that raft never sees a
// damaged one: it could not refuse it without losing its place.
func verifyEntries(entries []*raft.Log) error {
	for _, e := range entries {
		if err := verifyEntry(e); err != nil {
			return err
		}
	}
	return nil
}

// forward hands rpc to raft; it waits while raft is busy or restarts.
func (t *transport) forward(rpc raft.RPC) {
	select {
	case t.consumer <- rpc:
	case <-t.latch.stopped:
		rpc.Respond(nil, errors.New("this node stopped"))
	case <-t.stopping:
		rpc.Respond(nil, raft.ErrTransportShutdown)
	}
}

// install handles a snapshot. raft would replace the machine by it whatever
// the machine has; so a late one is answered here: if the log holds the
// snapshot's last entry, nothing is missing, and if the machine is at or past
// it, it must not go backward.
//
// A request of size 0 is the leader's question whether it should send the
// snapshot, see transport.InstallSnapshot: success means that it need not, an
// error that it must not, and neither that it shall.
func (t *transport) install(rpc raft.RPC, req *raft.InstallSnapshotRequest) {
	id := entryID{req.LastLogIndex, req.LastLogTerm}
	question := req.Size == 0
	answer := &raft.InstallSnapshotResponse{Term: req.Term}
	switch {
	case req.Term < t.receiver.Term():
		if !question {
			t.forward(rpc)
			return
		}
		answer.Term = t.receiver.Term()
		t.drain(rpc, answer, nil)
	case t.receiver.Holds(id):
		answer.Success = true
		t.drain(rpc, answer, nil)
		t.receiver.Installed(id)
	case id.index <= t.receiver.Applied():
		t.drain(rpc, answer, fmt.Errorf("snapshot at %d is behind the machine, which applied %d", id.index, t.receiver.Applied()))
	default:
		t.decide(rpc, id, question, answer)
	}
}

// decide does with a snapshot that would help what the replica's owner wants.
func (t *transport) decide(rpc raft.RPC, id entryID, question bool, answer *raft.InstallSnapshotResponse) {
	switch t.receiver.Decide(id) {
	case InstallRefuse:
		t.drain(rpc, answer, errRefusedInstall)
	case InstallSkip:
		answer.Success = question // whoever sends it all the same may do so again
		t.drain(rpc, answer, nil)
	case InstallTake:
		if question {
			t.drain(rpc, answer, nil)
			return
		}
		t.watchInstall(rpc, id)
	}
}

var errRefusedInstall = errors.New("this node fetches a checkpoint itself")

// drain reads the snapshot's bytes, which come before the next request, and
// answers.
func (t *transport) drain(rpc raft.RPC, resp *raft.InstallSnapshotResponse, err error) {
	if _, cerr := io.Copy(io.Discard, rpc.Reader); cerr != nil && err == nil {
		err = cerr
	}
	resp.RPCHeader = raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(t.id), Addr: []byte(t.id)}
	rpc.Respond(resp, err)
}

// watchInstall hands the snapshot to raft and looks at raft's answer.
func (t *transport) watchInstall(rpc raft.RPC, id entryID) {
	t.receiving.Add(1)
	defer t.receiving.Add(-1)
	answer := make(chan raft.RPCResponse, 1)
	outer := rpc.RespChan
	rpc.RespChan = answer
	t.forward(rpc)
	select {
	case r := <-answer:
		outer <- r
		if resp, ok := r.Response.(*raft.InstallSnapshotResponse); ok && r.Error == nil && resp.Success {
			t.receiver.Installed(id)
		}
	case <-t.stopping:
		outer <- raft.RPCResponse{Error: raft.ErrTransportShutdown}
	}
}
