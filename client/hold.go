// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// HoldOption is an option of [Agent.Claim] and [Client.Lock].
type HoldOption func(o *holdOptions)

type holdOptions struct {
	ttl      time.Duration
	priority int32
	noWait   bool
	capacity uint32
	reporter *Reporter
	under    *Lease
}

// TTL is how long the claim or lock outlives this process, 3 s unless it is
// said: from 500 ms to an hour. It is renewed six times in that time; what is
// held is lost for this process a tenth earlier than for the cluster.
func TTL(ttl time.Duration) HoldOption { return func(o *holdOptions) { o.ttl = ttl } }

// Priority puts this one before those of a lower priority who wait; 0 unless it
// is said.
func Priority(n int32) HoldOption { return func(o *holdOptions) { o.priority = n } }

// NoWait has the call fail with hawser.ErrBusy, not wait, when somebody else
// holds what is asked for.
func NoWait() HoldOption { return func(o *holdOptions) { o.noWait = true } }

// Capacity makes a lock a semaphore, which so many may hold at once. All who use
// it must say the same. It means nothing to a claim.
func Capacity(n uint32) HoldOption { return func(o *holdOptions) { o.capacity = n } }

// hold is what a claim and a lock have in common. It has a lease of its own, or
// is one of many under a lease that goes on without it: then lease.under is set.
type hold struct {
	lease    *lease
	resource hawser.Resource
	grant    *hawserv1.AcquireResponse
	// ctx ends with the hold; its cause is why. Without others under the lease
	// both are the lease's.
	ctx    context.Context //nolint:containedctx // it is the hold's own end
	cancel context.CancelCauseFunc
	// gone is closed when the lease has nothing of the resource any more.
	gone chan struct{}

	mu sync.Mutex
	// token is the fence once it is granted, 0 before.
	token uint64
	// active and ack are as those of a lease, for a hold that is one of many.
	active int
	ack    bool
	// unsure: nobody knows whether the last wish was executed, or will be.
	unsure bool
}

func (l *lease) newHold(name hawser.Resource) *hold {
	h := &hold{lease: l, resource: name, ctx: l.ctx, cancel: l.cancel}
	if l.under != nil {
		h.ctx, h.cancel = context.WithCancelCause(l.ctx)
		h.gone = make(chan struct{})
	}
	return h
}

// acquire waits for a resource, under the lease of the options or one of its own.
func (c *Client) acquire(ctx context.Context, name hawser.Resource, o holdOptions) (*hold, error) {
	l, err := c.leaseFor(ctx, o)
	if err != nil {
		return nil, err
	}
	h := l.newHold(name)
	// Waiting ends with the lease too: the place in the queue went with it.
	waiting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(h.ctx, func() { cancel(context.Cause(h.ctx)) })() //nolint:contextcheck // it is the lease that ends
	if l.under != nil {
		if err := l.under.admit(waiting, h, o.noWait); err != nil {
			return nil, err
		}
	}
	if name.Kind == hawser.ResourceClaim {
		defer l.await(name.Name)()
		_ = h.report(o.reporter) // until it ends
	}
	if err := h.wait(waiting, o); err != nil {
		if h.ctx.Err() != nil && ctx.Err() == nil {
			err = context.Cause(h.ctx) //nolint:contextcheck // it is the lease that has ended
		}
		h.giveUp()
		return nil, err
	}
	return h, nil
}

// leaseFor returns the lease to hold something under.
func (c *Client) leaseFor(ctx context.Context, o holdOptions) (*lease, error) {
	if o.under == nil {
		return c.openLease(ctx, o.ttl, false)
	}
	l := o.under.lease
	if l.client != c {
		return nil, &hawser.Error{Code: hawser.CodeInvalid, Op: "acquire", Key: l.id.String(), Msg: "the lease is another client's"}
	}
	if !l.live() {
		return nil, context.Cause(l.ctx) //nolint:contextcheck // it is the lease that has ended
	}
	return l, nil
}

// giveUp gives back in the background what was, or may be, acquired.
func (h *hold) giveUp() {
	h.lose("it was given up")
	if h.lease.under == nil {
		h.lease.client.background(h.lease.end)
		return
	}
	h.lease.under.giveBack(h)
}

// wait returns when the resource is granted.
func (h *hold) wait(ctx context.Context, o holdOptions) error {
	for {
		err := h.ask(ctx, o)
		h.unsure = err != nil && isPassing(err)
		if err == nil && h.grant.GetGranted() {
			h.mu.Lock()
			h.token = h.grant.GetToken()
			h.mu.Unlock()
			return nil
		}
		if err == nil {
			err = h.observe(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return waitEnded("acquire", h.resource.String(), context.Cause(ctx))
		case err != nil && !isPassing(err):
			return err
		}
	}
}

func waitEnded(op, key string, cause error) error {
	if hawser.CodeOf(cause) != hawser.CodeInternal {
		return cause
	}
	return notStarted(op, key, cause)
}

// isPassing is for errors that another node or a moment may heal.
func isPassing(err error) bool {
	code := hawser.CodeOf(err)
	return code.Retry() != hawser.RetryNever || code == hawser.CodeDeadline || code == hawser.CodeCanceled || code == hawser.CodeInternal
}

// ask sends the wish. Repeating it changes nothing.
func (h *hold) ask(ctx context.Context, o holdOptions) error {
	req := &hawserv1.AcquireRequest{
		Resource: wire.ResourceToProto(h.resource), Lease: h.lease.id[:], Priority: o.priority, Capacity: o.capacity, NoWait: o.noWait,
		Generation: h.lease.generation,
	}
	return h.lease.client.do(ctx, &call{
		op: "acquire", key: h.resource.String(), write: true, harmless: true, leader: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			var err error
			h.grant, err = hawserv1.NewCoordinationClient(s.conn).Acquire(ctx, req, s.options...)
			return h.grant.GetHeader(), err
		},
	})
}

// observe returns when the lease's place in the queue has become something else.
func (h *hold) observe(ctx context.Context) error {
	req := &hawserv1.ObserveRequest{
		Resource: wire.ResourceToProto(h.resource), Lease: h.lease.id[:], Read: &hawserv1.ReadOptions{MinRevision: h.grant.GetHeader().GetRevision()},
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return follow(ctx, h.lease.client, &call{op: "wait for", key: h.resource.String()},
		func(ctx context.Context, s sending) (grpc.ServerStreamingClient[hawserv1.ObserveResponse], error) {
			return hawserv1.NewCoordinationClient(s.conn).Observe(ctx, req, s.options...)
		},
		func(m *hawserv1.ObserveResponse) bool {
			if m.GetHold().GetState() == hawserv1.Hold_STATE_QUEUED {
				return true
			}
			cancel()
			return false
		})
}

// Fence proves towards others that this is held: see [hawser.Guard].
func (h *hold) Fence() hawser.Fence {
	return hawser.Fence{Resource: h.resource.String(), Token: h.grant.GetToken()}
}

// Done is closed when what is held can no longer be counted on: it was
// released, taken away, or no renewal was confirmed in time.
func (h *hold) Done() <-chan struct{} { return h.ctx.Done() }

// Err says why, in an error that matches hawser.ErrOwnershipLost; nil before
// Done is closed.
func (h *hold) Err() error {
	if h.ctx.Err() == nil {
		return nil
	}
	return h.lost(context.Cause(h.ctx))
}

// live reports whether what is held can be counted on now.
func (h *hold) live() bool { return h.lease.live() && h.ctx.Err() == nil }

// lose ends the hold on this side. If functions run under it, the cluster learns
// of that when the last of them returns.
func (h *hold) lose(why string) {
	if h.lease.under == nil {
		h.lease.lose(why)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ctx.Err() == nil {
		h.ack = h.active > 0
		h.cancel(&hawser.Error{Code: hawser.CodeOwnershipLost, Op: "lease", Key: h.lease.id.String(), Msg: why})
	}
}

// enter begins a function that runs under the hold; leave ends it.
func (h *hold) enter() error {
	if err := h.lease.enter(); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ctx.Err() != nil {
		defer h.lease.leave()
		return context.Cause(h.ctx)
	}
	h.active++
	return nil
}

func (h *hold) leave() {
	h.mu.Lock()
	h.active--
	ack := h.ack && h.active == 0
	if ack {
		h.ack = false
	}
	h.mu.Unlock()
	if ack {
		h.lease.under.giveBack(h)
	}
	h.lease.leave()
}

func (h *hold) lost(cause error) error {
	lost := &hawser.Error{Code: hawser.CodeOwnershipLost, Op: h.resource.Kind.String(), Key: h.resource.Name.String()}
	if why, ok := errors.AsType[*hawser.Error](cause); ok {
		lost.Msg = why.Msg
	}
	return lost
}

// Do runs f with a context that ends when what is held can no longer be counted
// on; its cause then matches hawser.ErrOwnershipLost. It does not start f after
// that. The cluster gives what is held to somebody else only after that moment;
// when it was taken away, not before f has returned, or the TTL is over. That
// f is not run by two at a time holds as far as f ends with its context: what
// changes something elsewhere should carry the fence.
func (h *hold) Do(ctx context.Context, f func(context.Context) error) error {
	if err := h.enter(); err != nil {
		return h.lost(err)
	}
	defer h.leave()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(h.ctx, func() { cancel(h.Err()) })() //nolint:contextcheck // it is the lease that ends
	return f(ctx)
}

// Release gives back what is held. The next one in the queue gets it at once.
// To release twice, or what was lost, is no error. What could not be released is
// released when its lease ends; one of many under a lease is tried again until
// then.
func (h *hold) Release(ctx context.Context) error {
	if h.lease.under == nil {
		return h.lease.release(ctx)
	}
	return h.lease.under.release(ctx, h)
}

// Lock is a lock or a place in a semaphore that this process holds. Safe for
// concurrent use. Make one with [Client.Lock].
type Lock struct{ *hold }

// Lock waits until the lock of that name is this process's, or ctx ends. Its
// name follows the rules of those of agents and has nothing to do with them.
//
// A lock alone protects nothing that does not check its fence: a process that
// stood still for longer than the TTL goes on where it was, and does not know
// yet that the lock is somebody else's.
func (c *Client) Lock(ctx context.Context, name string, opts ...HoldOption) (*Lock, error) {
	id, err := hawser.NewAgentID(c.cfg.Namespace, name)
	if err != nil {
		return nil, err
	}
	h, err := c.acquire(ctx, hawser.Resource{Kind: hawser.ResourceLock, Name: id}, holdOptionsOf(opts))
	if err != nil {
		return nil, err
	}
	return &Lock{h}, nil
}

func holdOptionsOf(opts []HoldOption) holdOptions {
	o := holdOptions{ttl: hawser.DefaultTTL}
	for _, opt := range opts {
		opt(&o)
	}
	return o
}
