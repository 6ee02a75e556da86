// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/raft"

	"github.com/hawserdb/hawser/internal/logbridge"
)

// maxPool is how many idle connections to one peer are kept.
const maxPool = 3

// maxRPCsInFlight is the number of AppendEntries under way to one peer. With
// more than one, raft pipelines, and a follower that refuses an entry while
// entries flow can wedge its replication for good (raft#612).
const maxRPCsInFlight = 1

// transport is raft's network transport with its traps closed:
//
//   - There is no fast path for heartbeats: raft handles them on another
//     goroutine, which may raise the term under a node that is just becoming
//     leader; the logs then diverge (raft#695).
//   - Requests are not pipelined: one refused append deadlocks the pipeline
//     to a follower for good (raft#612).
//   - Vote, pre-vote and TimeoutNow are repeated when a pooled connection
//     turns out to be stale: raft counts the error as a refusal and waits for
//     a whole election timeout.
//   - Entries are verified before raft sees them, and a snapshot that comes
//     too late is answered without raft; see receive.go.
//   - After the latch closed, nothing goes out and nothing comes in.
//
// One transport serves all instances of raft of a replica: raft's own Close
// of it does nothing, see stop.
type transport struct {
	*raft.NetworkTransport
	id       raft.ServerID
	timeout  time.Duration
	latch    *latch
	logger   *slog.Logger
	receiver receiver
	peers    peerProgress
	// receiving counts snapshots on their way to raft.
	receiving atomic.Int64
	// askInstall is askInstallFor, but for tests.
	askInstall time.Duration

	consumer chan raft.RPC
	stopping chan struct{}
	wg       sync.WaitGroup
}

var (
	_ raft.Transport   = (*transport)(nil)
	_ raft.WithPreVote = (*transport)(nil)
	_ raft.WithClose   = (*transport)(nil)
)

func newTransport(c Config, l *latch, r receiver) *transport {
	t := &transport{
		NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream:          newStreams(c.Streams, c.ID, c.Timeouts.Stall),
			MaxPool:         maxPool,
			MaxRPCsInFlight: maxRPCsInFlight,
			Timeout:         c.Timeouts.RPC,
			Logger:          logbridge.HCLog(newRaftLog(c.Logger.Handler())).Named("raft-net"),
		}),
		id: raft.ServerID(c.ID), timeout: c.Timeouts.RPC, latch: l, logger: c.Logger, receiver: r,
		askInstall: askInstallFor, consumer: make(chan raft.RPC), stopping: make(chan struct{}),
	}
	t.wg.Go(t.dispatch)
	return t
}

// SetHeartbeatHandler implements raft.Transport and does nothing, see above.
func (t *transport) SetHeartbeatHandler(func(raft.RPC)) {}

// Consumer implements raft.Transport.
func (t *transport) Consumer() <-chan raft.RPC { return t.consumer }

// Close implements raft.WithClose and does nothing: raft calls it at the end
// of every instance.
func (t *transport) Close() error { return nil }

// stop closes the transport and joins its goroutines.
func (t *transport) stop() error {
	close(t.stopping)
	err := t.NetworkTransport.Close()
	t.CloseStreams()
	t.wg.Wait()
	return err
}

// RequestVote implements raft.Transport.
func (t *transport) RequestVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	return t.again(func() error { return t.NetworkTransport.RequestVote(id, target, args, resp) })
}

// RequestPreVote implements raft.WithPreVote.
func (t *transport) RequestPreVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	return t.again(func() error { return t.NetworkTransport.RequestPreVote(id, target, args, resp) })
}

// TimeoutNow implements raft.Transport.
func (t *transport) TimeoutNow(id raft.ServerID, target raft.ServerAddress, args *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse) error {
	return t.again(func() error { return t.NetworkTransport.TimeoutNow(id, target, args, resp) })
}

// AppendEntries implements raft.Transport.
func (t *transport) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if err := t.latch.Err(); err != nil {
		return err
	}
	for _, e := range args.Entries {
		if _, err := storedChecksum(e); err != nil {
			return fmt.Errorf("entry %d is not for others: %w", e.Index, err)
		}
	}
	err := t.NetworkTransport.AppendEntries(id, target, args, resp)
	if err == nil && resp.Success {
		t.peers.matched(string(id), args.PrevLogEntry+uint64(len(args.Entries)), time.Now())
	}
	return err
}

// InstallSnapshot implements raft.Transport. It asks first, with a request
// without data, whether the other side wants the snapshot.
//
// Where it fetches one itself, or did at an index N before this snapshot's S,
// raft is told, after a while or at once, that it has everything up to S. It
// has not, and nothing rests on it: S is applied here, so it is committed
// whoever has it, and the next entries, which follow S, are refused with the
// index where its log ends. From there raft goes on, or comes back here if the
// log does not reach. An error instead would make raft wait, for seconds after
// the fetch is done. What is kept of the log does not rest on the answer either:
// it does not count as a match.
func (t *transport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	if err := t.latch.Err(); err != nil {
		return err
	}
	wanted, err := t.wanted(id, target, args, resp)
	if err != nil || !wanted {
		return err
	}
	t.peers.installing(string(id), args.LastLogIndex)
	err = t.NetworkTransport.InstallSnapshot(id, target, args, resp, data)
	t.peers.installed(string(id), args.LastLogIndex, err == nil && resp.Success)
	return err
}

const (
	// askInstallEvery is how often a member that fetches is asked again, and
	// askInstallFor for how long. Raft's goroutine for that member waits, and
	// raft waits for it when it stops.
	askInstallEvery = 250 * time.Millisecond
	askInstallFor   = 4 * time.Second
)

// wanted reports whether a snapshot shall be sent; otherwise resp is the answer.
func (t *transport) wanted(id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse) (bool, error) {
	question := *args
	question.Size = 0
	for begin := time.Now(); ; {
		err := t.NetworkTransport.InstallSnapshot(id, target, &question, resp, strings.NewReader(""))
		if err == nil {
			return !resp.Success && resp.Term <= args.Term, nil
		}
		if err.Error() != errRefusedInstall.Error() { // what comes over the wire is a text
			return false, err
		}
		if time.Since(begin) >= t.askInstall {
			resp.Term, resp.Success = args.Term, true
			return false, nil
		}
		select {
		case <-t.stopping:
			return false, raft.ErrTransportShutdown
		case <-t.latch.stopped:
			return false, t.latch.Err()
		case <-time.After(askInstallEvery):
		}
	}
}

// again calls rpc until it does not fail for a connection that the other end
// closed: at most as often as there are pooled connections, plus once on a new
// one, and for no longer than one call may take.
func (t *transport) again(rpc func() error) error {
	if err := t.latch.Err(); err != nil {
		return err
	}
	start := time.Now()
	err := rpc()
	for range maxPool + 1 {
		if !isStale(err) || time.Since(start) > t.timeout {
			break
		}
		err = rpc()
	}
	return err
}

// isStale reports whether err is that of a connection that had been closed by
// the other end. An error that the peer answered, a refused dial and a
// deadline are not.
func isStale(err error) bool {
	if err == nil {
		return false
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "dial" || op.Timeout()) {
		return false
	}
	for _, target := range []error{io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED} {
		if errors.Is(err, target) {
			return true
		}
	}
	// The decoder hides what it read from.
	return strings.HasSuffix(err.Error(), "EOF")
}

// local hands a request to the replica's own raft and waits for its answer. If
// ctx ends first, raft does not get it any more, or its answer is lost.
func (t *transport) local(ctx context.Context, command any) error {
	answer := make(chan raft.RPCResponse, 1)
	select {
	case t.consumer <- raft.RPC{Command: command, RespChan: answer}:
	case <-ctx.Done():
		return fmt.Errorf("raft does not take requests: %w", ctx.Err())
	case <-t.stopping:
		return raft.ErrTransportShutdown
	}
	select {
	case r := <-answer:
		return r.Error
	case <-ctx.Done():
		return fmt.Errorf("raft does not answer: %w", ctx.Err())
	case <-t.stopping:
		return raft.ErrTransportShutdown
	}
}
