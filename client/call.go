// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

const (
	// baseAttempt is what one attempt gets when there is another endpoint,
	// plus the time its bytes take at bytesPerSecond.
	baseAttempt    = 500 * time.Millisecond
	bytesPerSecond = 10 << 20
)

// call is one operation, sent as often as it takes.
type call struct {
	op, key string
	// write: an attempt without answer may have been executed.
	write bool
	// id is that of a save or delete; nil for reads and cluster changes.
	id *hawser.RequestID
	// repeat: the id was sent before this call, by whomever.
	repeat bool
	// settles tells of a call without id whether a refusal of one attempt tells what
	// became of all of them; nil for never.
	settles func(err error) bool
	// once: a second execution would not be harmless, and the cluster does
	// not recognise it; never repeated once it may have been executed.
	once bool
	// harmless: a write without id of which a second execution changes nothing.
	harmless bool
	// leader: the leader answers soonest.
	leader bool
	// bytes is the size of what an attempt sends or expects, most what the call
	// may come to; slow adds to the time of an attempt.
	bytes, most int
	slow        time.Duration
	// streams: the answer is a stream that may take longer than the call's
	// budget; send says when it begins.
	streams bool
	send    func(ctx context.Context, s sending) (*hawserv1.Header, error)
	// amend changes the call after a refusal that it is the answer to, and
	// reports whether it did; nil for never.
	amend func(err error) bool
}

// sending is one attempt.
type sending struct {
	conn    grpc.ClientConnInterface
	attempt uint32
	options []grpc.CallOption
	// begun says that the answer of a call that streams has begun, and is of
	// this size; negative for one that may take any time.
	begun func(size int64)
}

// run is a call under way.
type run struct {
	*call
	client *Client
	tour   tour
	// attempts counts those begun.
	attempts uint32
	// open: an attempt may have been executed.
	open bool
	done bool
	// final is the answer that ends the call, last the newest error.
	final error
	last  error
}

// do sends cl until it is answered, within the request timeout. The error is a
// Hawser error.
func (c *Client) do(ctx context.Context, cl *call) error {
	within, cancel := c.budget(ctx, max(cl.bytes, cl.most))
	defer cancel()
	return c.run(ctx, within, cl)
}

// run sends cl until it is answered. within bounds it, but for an answer that
// has begun to stream, which only ctx ends.
func (c *Client) run(ctx, within context.Context, cl *call) error {
	r := &run{call: cl, client: c, tour: tour{leader: cl.leader}, open: cl.repeat}
	if cl.repeat {
		r.attempts = 1
	}
	c.retry(within, func() next { return r.attempt(ctx, within) })
	return r.result(within)
}

// attempt sends the call once and says how to go on.
func (r *run) attempt(ctx, within context.Context) next {
	if within.Err() != nil {
		return stop
	}
	e, alone, err := r.client.router.pick(&r.tour)
	if err != nil {
		r.last = err
		return stop
	}
	s := sending{conn: e.conn, attempt: r.attempts}
	attemptCtx, cancel := r.attemptContext(ctx, within, alone, &s)
	defer cancel()
	var at peer.Peer
	s.options = []grpc.CallOption{grpc.Peer(&at)}
	header, err := r.send(attemptCtx, s)
	r.attempts++
	if err == nil {
		r.done = true
		r.client.learn(header.GetGeneration())
		r.client.clock.learn(header)
		r.client.router.succeeded(e, header)
		return stop
	}
	r.client.cfg.Logger.Debug("attempt failed", "op", r.op, "key", r.key,
		"endpoint", e.address, "attempt", r.attempts, "error", err)
	sent := at.Addr != nil
	if unended, ok := errors.AsType[*unendedError](err); ok {
		sent, err = false, unended.err
	}
	v := judge(err, sent)
	r.note(within, e, v, err)
	r.open = r.open || v.executed && r.write
	if v.retry == hawser.RetryNever && r.amend != nil && r.amend(v.err) {
		r.client.router.again(e, &r.tour)
		return retryNow
	}
	return r.next(within, v)
}

// attemptContext bounds one attempt, unless there is nowhere else to go. Each
// round through the endpoints gives its attempts twice the time.
func (r *run) attemptContext(ctx, within context.Context, alone bool, s *sending) (context.Context, context.CancelFunc) {
	limit := (baseAttempt + r.slow + transfer(r.bytes)) << min(r.tour.rounds, 6)
	switch {
	case r.streams && alone:
		return patient(ctx, within, math.MaxInt64, r.client.cfg.RequestTimeout, s)
	case r.streams:
		return patient(ctx, within, limit, limit, s)
	case alone:
		return context.WithCancel(within)
	}
	return context.WithTimeout(within, limit)
}

// patient bounds an attempt whose answer is a stream: limit and within bound
// its beginning; from then on it gets after, and the time that
// its bytes take.
func patient(ctx, within context.Context, limit, after time.Duration, s *sending) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(within, cancel)
	timer := time.AfterFunc(limit, cancel)
	s.begun = func(size int64) {
		stop()
		timer.Stop()
		if size >= 0 {
			timer.Reset(after + transfer(int(size)))
		}
	}
	return ctx, func() {
		stop()
		timer.Stop()
		cancel()
	}
}

// transfer is the time that so many bytes take at the least rate that is
// waited for.
func transfer(bytes int) time.Duration {
	return time.Duration(bytes) * time.Second / bytesPerSecond
}

// note tells the router what happened at e. That a caller has lost interest is
// not the endpoint's failure.
func (r *run) note(within context.Context, e *endpoint, v verdict, err error) {
	router := r.client.router
	switch {
	case !v.answered && errors.Is(within.Err(), context.Canceled):
		router.answered(e, &r.tour, wire.Leader{}, false)
	case v.answered:
		code := hawser.CodeOf(v.err)
		router.answered(e, &r.tour, wire.HintOf(err), code == hawser.CodeUnavailable || code == hawser.CodeOutcomeUnknown)
	case v.retry == hawser.RetryNever:
		router.answered(e, &r.tour, wire.Leader{}, false)
	default:
		router.failed(e)
	}
}

// next takes note of a verdict and says how to go on.
func (r *run) next(ctx context.Context, v verdict) next {
	// That time ran out says less than what was answered before.
	code := hawser.CodeOf(v.err)
	if r.last == nil || ctx.Err() == nil && code != hawser.CodeDeadline && code != hawser.CodeCanceled {
		r.last = v.err
	}
	switch {
	case v.retry == hawser.RetryNever:
		r.final = v.err
		return stop
	case ctx.Err() != nil, r.once && r.open, r.client.router.isClosed():
		return stop
	case v.retry != hawser.RetryBackoff && r.client.router.more(&r.tour):
		return retryNow
	default:
		return retryLater
	}
}

// result returns how the call ended.
func (r *run) result(ctx context.Context) error {
	switch {
	case r.done:
		return nil
	case r.final != nil && (!r.open || r.id != nil && wire.Settles(r.id.Kind, r.final) || r.settles != nil && r.settles(r.final)):
		return r.final
	case r.final != nil && r.repeat && errors.Is(r.final, hawser.ErrRequestExpired):
		return r.final
	case r.final != nil:
		return r.unknown(r.final)
	case r.open:
		return r.unknown(joinCause(ctx.Err(), r.last))
	case r.client.router.isClosed():
		return errClosed
	case r.last == nil || errors.Is(ctx.Err(), context.Canceled):
		return notStarted(r.op, r.key, joinCause(ctx.Err(), r.last))
	}
	code := hawser.CodeOf(r.last)
	if code.Retry() == hawser.RetryNever || code == hawser.CodeNotLeader {
		code = hawser.CodeUnavailable // no node answered, or none that leads
	}
	return &hawser.Error{
		Code: code, Op: r.op, Key: r.key,
		Msg: fmt.Sprintf("not executed in %d attempts", r.attempts), Err: joinCause(ctx.Err(), r.last),
	}
}

// unknown returns the error of a call that may have been executed.
func (r *run) unknown(cause error) error {
	if hawser.CodeOf(cause) == hawser.CodeConflict {
		cause = errors.New(cause.Error()) // for people; to programs it is unknown
	}
	if r.id != nil {
		return &hawser.UnknownOutcomeError{RequestID: *r.id, Err: cause}
	}
	advice := "look at the members before you repeat it"
	if r.harmless {
		advice = "to repeat it does no harm"
	}
	return &hawser.Error{
		Code: hawser.CodeOutcomeUnknown, Op: r.op, Key: r.key, Msg: "it may have been executed; " + advice, Err: cause,
	}
}

// notStarted returns the error of a call that ended before anything was sent
// that could be executed.
func notStarted(op, key string, cause error) error {
	code := hawser.CodeCanceled
	if errors.Is(cause, context.DeadlineExceeded) {
		code = hawser.CodeDeadline
	}
	return &hawser.Error{Code: code, Op: op, Key: key, Msg: "nothing was executed", Err: cause}
}

// joinCause returns an error that is both, either of which may be nil.
func joinCause(end, last error) error {
	switch {
	case end == nil:
		return last
	case last == nil || errors.Is(last, end):
		return end
	default:
		return fmt.Errorf("%w; last attempt: %w", end, last)
	}
}

// learn takes note of the generation in an answer. It only rises.
func (c *Client) learn(generation uint64) {
	for {
		known := c.generation.Load()
		if generation <= known || c.generation.CompareAndSwap(known, generation) {
			return
		}
	}
}
