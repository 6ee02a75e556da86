// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// Pool is a node's place in the gossip of its cluster. Its methods may be
// called from any goroutine.
type Pool struct {
	list     *memberlist.Memberlist
	delegate *delegate
	seeds    *seeder
	address  string

	// updates has capacity 1 and says that the delegate's metadata changed.
	updates chan struct{}
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu sync.Mutex // serialises Leave and Close, which memberlist does not survive together
	// left and closed are set once.
	left, closed bool
}

// Open starts to gossip. It does not wait for any other node. Errors match
// [hawser.ErrInvalid], or [hawser.ErrUnavailable] when the address cannot be
// bound, and name it.
func Open(cfg Config) (*Pool, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p, err := open(ctx, &cfg)
	if err != nil {
		cancel()
		return nil, err
	}
	p.cancel = cancel
	p.running.Go(func() { p.seeds.run(ctx) })
	p.running.Go(func() { p.sendUpdates(ctx) })
	return p, nil
}

func open(ctx context.Context, cfg *Config) (*Pool, error) {
	bind, err := endpoint(ctx, "gossip address", cfg.BindAddr)
	if err != nil {
		return nil, err
	}
	d := &delegate{table: newTable(cfg.ID), log: cfg.Logger, own: cfg.Meta}
	settings := cfg.library(d)
	inner, err := listen(bind, settings)
	if err != nil {
		return nil, bindError(cfg.BindAddr, err)
	}
	t := newTransport(inner)
	bound := netip.AddrPortFrom(bind.Addr(), uint16(inner.GetAutoBindPort()))
	advertise, err := advertised(ctx, cfg, bound)
	if err != nil {
		t.discard()
		return nil, err
	}
	settings.Transport = t
	settings.BindAddr, settings.BindPort = bound.Addr().String(), int(bound.Port())
	settings.AdvertiseAddr, settings.AdvertisePort = advertise.Addr().String(), int(advertise.Port())
	list, err := memberlist.Create(settings)
	if err != nil {
		t.discard()
		return nil, fmt.Errorf("gossip at %s: %w", bound, err)
	}
	p := &Pool{list: list, delegate: d, address: advertise.String(), updates: make(chan struct{}, 1)}
	p.seeds = &seeder{list: list, table: d.table, seeds: cfg.Seeds, every: cfg.RejoinEvery, log: cfg.Logger, own: []string{bound.String(), advertise.String()}}
	return p, nil
}

// listen opens the sockets. With port 0 the free TCP port may be taken for
// UDP, so it tries a few.
func listen(bind netip.AddrPort, settings *memberlist.Config) (*memberlist.NetTransport, error) {
	attempts := 1
	if bind.Port() == 0 {
		attempts = 10
	}
	var err error
	for range attempts {
		var inner *memberlist.NetTransport
		inner, err = memberlist.NewNetTransport(&memberlist.NetTransportConfig{
			BindAddrs: []string{bind.Addr().String()}, BindPort: int(bind.Port()), Logger: settings.Logger,
		})
		if err == nil {
			return inner, nil
		}
	}
	return nil, err
}

// Address returns the address that others are told (host:port).
func (p *Pool) Address() string { return p.address }

// Members returns every member, this node included, sorted by id: the alive
// ones, and dead and left ones for up to an hour, the newest 64.
func (p *Pool) Members() []Member { return p.delegate.table.list() }

// Changes signals that members changed since it was last received from. It is
// never closed. It serves one reader.
func (p *Pool) Changes() <-chan struct{} { return p.delegate.table.changes }

// Update replaces what this node says about itself. It returns at once; of
// updates in quick succession the last one is sent. Texts longer than their
// limits are left out.
func (p *Pool) Update(m Meta) {
	p.delegate.set(m)
	select {
	case p.updates <- struct{}{}:
	default:
	}
}

// sendUpdates hands changed metadata to memberlist, which blocks until it was
// sent to somebody.
func (p *Pool) sendUpdates(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.updates:
			p.sendUpdate()
		}
	}
}

func (p *Pool) sendUpdate() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left || p.closed { // memberlist forgets a node that left, and panics
		return
	}
	// A timeout means that nobody listens; they will learn it when they join.
	_ = p.list.UpdateNode(updateTimeout)
}

// Leave says good-bye, so that others list this node as left instead of dead,
// and stops joining. It waits until that was sent, the deadline of ctx or
// three seconds. Close must follow.
func (p *Pool) Leave(ctx context.Context) error {
	p.cancel()
	p.delegate.setLeaving()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left || p.closed {
		return nil
	}
	p.left = true
	if err := errors.Join(p.list.UpdateNode(goodbye(ctx)), p.list.Leave(goodbye(ctx))); err != nil {
		return fmt.Errorf("leave gossip: %w", err)
	}
	return nil
}

// goodbye returns how long to wait for one message to be sent.
func goodbye(ctx context.Context) time.Duration {
	wait := 1500 * time.Millisecond
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline))
	}
	return max(wait, time.Millisecond) // zero would wait for ever
}

// Close stops gossiping and closes the sockets. Without Leave before it, the
// others find this node dead. It may be called more than once.
func (p *Pool) Close() error {
	p.cancel()
	err := p.shutdown()
	p.running.Wait()
	return err
}

func (p *Pool) shutdown() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	return p.list.Shutdown()
}
