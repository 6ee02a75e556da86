// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"cmp"
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/wire"
)

const (
	// forwardBase and forwardRate bound one attempt at the leader:
	// 500 ms and the time that the request needs at 10 MB/s.
	forwardBase = 500 * time.Millisecond
	forwardRate = 10 << 20
	// routeBudget bounds all attempts together: long enough for an election,
	// short enough that a client with other endpoints tries one of them.
	routeBudget = 4 * time.Second
	// answerTime is left for the answer when the caller's time ends first.
	answerTime = 50 * time.Millisecond
	// routePause is the mean pause between attempts.
	routePause = 20 * time.Millisecond
)

// call is one call that must run at the leader.
type call[T any] struct {
	// local runs it here; attempt counts from the caller's own count.
	local func(ctx context.Context, attempt uint32) (T, error)
	// remote runs it at another node.
	remote func(ctx context.Context, conn *grpc.ClientConn, attempt uint32) (T, error)
	// first is the caller's attempt number.
	first uint32
	// size of the request in bytes.
	size int
	// kind is set if the machine knows a repetition by its id, so that a refusal
	// of it also tells of the attempts before; see wire.Settles.
	kind hawser.RequestKind
	// settles tells what kind does of a call without one; nil for nothing.
	settles func(err error) bool
	// budget bounds all attempts; 0 is routeBudget.
	budget time.Duration
	// once: a second execution would not be harmless, and is not recognised.
	once bool
	// unknown makes the error for an outcome that stayed unknown.
	unknown func(cause error) error
}

// route takes c to the leader, wherever that is, and repeats it while that
// may help and cannot harm: with the same request id, so that the machine
// executes it once. It reports an outcome that stayed open as unknown.
func route[T any](ctx context.Context, b *Backend, c call[T]) (T, error) {
	var zero T
	ctx, cancel := withBudget(ctx, cmp.Or(c.budget, routeBudget))
	defer cancel()
	open := false // an attempt may have been executed
	attempt := c.first
	for {
		result, err := once(ctx, b, c, attempt)
		if err == nil {
			return result, nil
		}
		retry, mayHaveRun := judge(err)
		open = open || mayHaveRun
		if mayHaveRun {
			attempt++
		}
		blind := open && c.once
		if retry && !blind && !isForwarded(ctx) && pause(ctx) == nil {
			continue
		}
		switch {
		case !open || c.kind != 0 && wire.Settles(c.kind, err) || c.settles != nil && c.settles(err):
			return zero, err
		case hawser.CodeOf(err) == hawser.CodeKeyframeNeeded:
			return zero, stillOpen(c.unknown(err))
		}
		return zero, c.unknown(err)
	}
}

// identified is route for a call that the machine knows by its id, which m is.
// The request that remote sends on holds m, which counts the attempts.
func identified[T any](
	ctx context.Context, b *Backend, m *hawserv1.RequestID, id hawser.RequestID,
	local func(context.Context, fsm.Request) (T, error), remote func(ctx context.Context, leader hawserv1.StateClient) (T, error),
) (T, error) {
	return route(ctx, b, call[T]{
		first: m.GetAttempt(), kind: id.Kind, unknown: unknownOutcome(id),
		local: func(ctx context.Context, attempt uint32) (T, error) { return local(ctx, requestOf(id, attempt)) },
		remote: func(ctx context.Context, conn *grpc.ClientConn, attempt uint32) (T, error) {
			m.Attempt = attempt
			return remote(ctx, hawserv1.NewStateClient(conn))
		},
	})
}

// command is a command for the leader that is harmless to repeat: it names what
// is to be so, or the machine recognises it when it comes again.
type command[T any] struct {
	op, key string
	fsm.Command
	// size of the request in bytes.
	size int
	// before runs at the leader, ahead of the command; it may be nil.
	before func(*Backend)
	answer func(*hawserv1.Header, fsm.Result) T
	remote func(context.Context, *grpc.ClientConn) (T, error)
	// settles is as of call.
	settles func(err error) bool
	// advice is what to do while nobody knows whether it was executed; "" is that
	// repeating it is harmless.
	advice string
}

// routeCommand takes c to the leader.
func routeCommand[T any](ctx context.Context, s *Service, c command[T]) (T, error) {
	var none T
	b, err := s.open()
	if err != nil {
		return none, err
	}
	return route(ctx, b, call[T]{
		size: c.size, settles: c.settles,
		local: func(ctx context.Context, _ uint32) (T, error) {
			if c.before != nil {
				c.before(b)
			}
			result, err := b.submit(ctx, c.Command)
			if err != nil {
				return none, err
			}
			return c.answer(b.header(b.Machine.Info(), result.Revision), result), nil
		},
		remote: func(ctx context.Context, conn *grpc.ClientConn, _ uint32) (T, error) { return c.remote(ctx, conn) },
		unknown: func(cause error) error {
			return &hawser.Error{
				Code: hawser.CodeOutcomeUnknown, Op: c.op, Key: c.key, Msg: "it may have been executed; " + cmp.Or(c.advice, "repeating it is harmless"), Err: cause,
			}
		},
	})
}

// stillOpen is the answer to a delta that cannot follow the head when an
// earlier attempt may yet be executed. It is no answer to what became of that;
// but with the same request id the whole state is saved once, whatever did. The
// caller sees by the unknown outcome in it that it is not the first attempt.
func stillOpen(unknown error) error {
	return &hawser.Error{
		Code: hawser.CodeKeyframeNeeded, Op: "save", Msg: "an earlier attempt may still be executed: save the whole state with the same request id", Err: unknown,
	}
}

// withBudget bounds the routing of a call. It ends a little before the
// caller's own deadline, so that the caller learns what is known: that
// nothing was executed, mostly.
func withBudget(ctx context.Context, budget time.Duration) (context.Context, context.CancelFunc) {
	end := time.Now().Add(budget)
	if deadline, ok := ctx.Deadline(); ok && deadline.Add(-answerTime).Before(end) {
		end = deadline.Add(-answerTime)
	}
	return context.WithDeadline(ctx, end)
}

// once makes one attempt, here or at the leader.
func once[T any](ctx context.Context, b *Backend, c call[T], attempt uint32) (T, error) {
	var zero T
	leader := b.Leader().ID
	switch {
	case leader == b.Self:
		return c.local(ctx, attempt)
	case isForwarded(ctx):
		return zero, &hawser.Error{Code: hawser.CodeNotLeader}
	case leader == "":
		return zero, &hawser.Error{Code: hawser.CodeUnavailable, Msg: "the cluster has no leader at the moment"}
	}
	conn, err := b.Conn(leader)
	if err != nil {
		return zero, &hawser.Error{Code: hawser.CodeUnavailable, Op: "forward to leader", Key: leader, Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, forwardBase+time.Duration(c.size)*time.Second/forwardRate)
	defer cancel()
	result, err := c.remote(ctx, conn, attempt)
	return result, fromLeader(err)
}

// judge says whether another attempt makes sense and whether the failed one
// may have been executed.
func judge(err error) (retry, mayHaveRun bool) {
	code := hawser.CodeOf(err)
	switch code.Retry() {
	case hawser.RetrySameID:
		return true, true
	case hawser.RetryElsewhere:
		return true, false
	case hawser.RetryBackoff:
		// A full queue is for the client to wait for, not for a queue here.
		return code == hawser.CodeUnavailable, false
	case hawser.RetryNever:
	}
	return false, false
}

// fromLeader translates the error of a forwarded call. Only what Hawser's own
// code said is certain; after a failure of the transport the call may have
// been executed.
func fromLeader(err error) error {
	if err == nil || wire.Detailed(err) {
		return wire.FromStatus(err)
	}
	return &hawser.Error{Code: hawser.CodeOutcomeUnknown, Op: "forward to leader", Err: wire.FromStatus(err)}
}

// pause waits a moment, or until ctx ends.
func pause(ctx context.Context) error {
	timer := time.NewTimer(routePause/2 + rand.N(routePause))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
