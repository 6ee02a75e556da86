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
func (t *transport) install(rpc raft.RPC, req *raft.InstallSnapshotRequest) {
	id := entryID{req.LastLogIndex, req.LastLogTerm}
	switch {
	case req.Term < t.receiver.Term():
		t.forward(rpc)
	case t.receiver.Holds(id):
		t.drain(rpc, &raft.InstallSnapshotResponse{Term: req.Term, Success: true}, nil)
		t.receiver.Installed(id)
	case id.index <= t.receiver.Applied():
		t.drain(rpc, &raft.InstallSnapshotResponse{Term: req.Term},
			fmt.Errorf("snapshot at %d is behind the machine, which applied %d", id.index, t.receiver.Applied()))
	default:
		t.watchInstall(rpc, id)
	}
}

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
