// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

const (
	// renewals is how often a lease is renewed in a TTL.
	renewals = 6
	// maxFollowed bounds the hints in one message, which may have 512 KiB.
	maxFollowed = 256
	// renewTimeout bounds a renewal at one endpoint, renewPause the pause before
	// the next one.
	renewTimeout = 500 * time.Millisecond
	renewPause   = 50 * time.Millisecond
	// maxRenewed is the most leases of one message.
	maxRenewed = 4096
)

// keeper renews all leases of a client on one stream, one message at a time.
// Its goroutine runs while there are some.
type keeper struct {
	client *Client
	wake   chan struct{}
	ctx    context.Context //nolint:containedctx // ends what the keeper has started, at close
	cancel context.CancelFunc
	// ends is what ends of leases that nobody waits for run with.
	ends context.Context //nolint:containedctx // they outlive the calls that cause them
	wg   sync.WaitGroup

	mu      sync.Mutex
	leases  map[hawser.LeaseID]*lease
	every   time.Duration // the pause after which the goroutine looks again
	running bool
	closed  bool
}

func newKeeper(c *Client) *keeper {
	k := &keeper{client: c, wake: make(chan struct{}, 1), leases: make(map[hawser.LeaseID]*lease)}
	k.ends = context.Background()
	k.ctx, k.cancel = context.WithCancel(k.ends)
	return k
}

// add has a lease renewed that is confirmed for so long.
func (k *keeper) add(l *lease, confirmed time.Duration) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return errClosed
	}
	k.leases[l.id] = l
	if !k.running {
		k.running = true
		k.wg.Go(k.run)
	}
	if confirmed > 2*k.every && k.every > 0 {
		return nil // the next round comes in time, and renews all
	}
	select {
	case k.wake <- struct{}{}:
	default:
	}
	return nil
}

func (k *keeper) remove(l *lease) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.leases, l.id)
}

// goSome runs f unless the keeper is closed; close waits for it.
func (k *keeper) goSome(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.closed {
		k.wg.Go(f)
	}
}

// close loses all leases, tells the cluster of it, and joins.
func (k *keeper) close() {
	k.mu.Lock()
	leases := k.leases
	k.leases = map[hawser.LeaseID]*lease{}
	k.mu.Unlock()
	for _, l := range leases {
		if idle := l.lose("the client was closed"); idle { // else what runs under it may go on for a moment
			k.client.background(l.end)
		}
	}
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.cancel()
	k.wg.Wait()
}

// next returns the leases to renew and when the ones after them are due; ok is
// false when there are none and the goroutine ends.
func (k *keeper) next() (leases []*lease, every time.Duration, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.leases) == 0 || k.closed {
		k.running = false
		return nil, 0, false
	}
	every = hawser.MaxTTL
	for _, l := range k.leases {
		leases = append(leases, l)
		if every = min(every, l.ttl/renewals); l.reports() {
			every = min(every, reportEvery)
		}
	}
	k.every = every
	return leases, every, true
}

func (k *keeper) run() {
	s := &renewing{client: k.client, tour: tour{leader: true}}
	defer s.end()
	for {
		leases, every, ok := k.next()
		if !ok {
			return
		}
		pause := every
		for len(leases) > 0 {
			n := min(maxRenewed, len(leases))
			again, err := s.renew(k.ctx, leases[:n])
			if err != nil {
				k.client.cfg.Logger.Debug("leases were not renewed", "error", err)
				pause = min(every, renewPause)
				break
			}
			leases = append(leases[n:], again...)
		}
		select {
		case <-time.After(pause):
		case <-k.wake:
		case <-k.ctx.Done():
			return
		}
	}
}

// renewing is the stream on which leases are renewed.
type renewing struct {
	client   *Client
	tour     tour
	endpoint *endpoint
	stream   grpc.BidiStreamingClient[hawserv1.KeepAliveRequest, hawserv1.KeepAliveResponse]
	cancel   context.CancelFunc
	sequence uint64
}

// renew renews leases, on the stream that is there or a new one. It returns those of
// which one message did not carry all reports.
func (r *renewing) renew(ctx context.Context, leases []*lease) (again []*lease, err error) {
	if r.stream == nil {
		if err := r.open(ctx); err != nil {
			return nil, err
		}
	}
	guard := time.AfterFunc(renewTimeout, r.cancel)
	defer guard.Stop()
	r.sequence++
	req := &hawserv1.KeepAliveRequest{Sequence: r.sequence}
	for _, l := range leases {
		req.Generation = max(req.GetGeneration(), l.generation)
	}
	asked := leases[:0:0]
	size := 0
	for _, l := range leases {
		if l.generation != req.GetGeneration() {
			l.lose("the cluster was restored")
			continue
		}
		asked = append(asked, l)
		req.Leases = append(req.Leases, l.id[:]...)
		// A hint only: it must not make the message too long.
		for id, version := range l.follows {
			if len(req.GetFollowed()) == maxFollowed {
				break
			}
			req.Followed = append(req.Followed, &hawserv1.Followed{Lease: l.id[:], Agent: wire.AgentToProto(id), Version: version})
		}
		if !l.addReports(req, &size) {
			again = append(again, l)
		}
	}
	sent := bootNow()
	_ = r.stream.Send(req) // Recv tells why it failed
	resp, err := r.stream.Recv()
	if err != nil {
		r.drop(err)
		err = wire.FromStatus(err)
		if hawser.CodeOf(err) == hawser.CodeWrongGeneration {
			for _, l := range asked {
				l.lose("the cluster was restored: " + err.Error())
			}
		}
		return nil, err
	}
	r.client.router.succeededStream(resp.GetHeader())
	r.take(resp, asked, sent)
	return again, nil
}

// take confirms the leases that have not expired, less what the answer says was
// ended.
func (r *renewing) take(resp *hawserv1.KeepAliveResponse, asked []*lease, sent time.Duration) {
	expired := make(map[hawser.LeaseID]bool)
	const size = len(hawser.LeaseID{})
	for packed := resp.GetExpired(); len(packed) >= size; packed = packed[size:] {
		expired[hawser.LeaseID(packed)] = true
	}
	ended := make(map[hawser.LeaseID][]*hawserv1.EndedHold)
	for _, e := range resp.GetEnded() {
		if id, err := wire.LeaseFromProto(e.GetLease()); err == nil {
			ended[id] = append(ended[id], e)
		}
	}
	for _, l := range asked {
		if expired[l.id] {
			l.lose("the lease has expired")
			continue
		}
		for _, e := range ended[l.id] {
			l.ended(wire.ResourceFromNode(e.GetResource()), e.GetToken(), e.GetReason())
		}
		l.confirm(sent)
	}
}

func (r *renewing) open(ctx context.Context) error {
	e, _, err := r.client.router.pick(&r.tour)
	if err != nil {
		return err
	}
	ctx, r.cancel = context.WithCancel(ctx)
	guard := time.AfterFunc(renewTimeout, r.cancel)
	defer guard.Stop()
	stream, err := hawserv1.NewCoordinationClient(e.conn).KeepAlive(ctx)
	if err != nil {
		r.cancel()
		r.client.router.failed(e)
		return wire.FromStatus(err)
	}
	r.endpoint, r.stream = e, stream
	return nil
}

// drop gives the stream up; the next one goes where the leader is said to be, or
// elsewhere.
func (r *renewing) drop(err error) {
	if wire.Detailed(err) {
		r.client.router.answered(r.endpoint, &r.tour, wire.HintOf(err), false)
	} else {
		r.client.router.failed(r.endpoint)
	}
	r.cancel()
	r.stream, r.endpoint = nil, nil
}

// end ends the stream, with which nothing is wrong.
func (r *renewing) end() {
	if r.stream == nil {
		return
	}
	r.cancel()
	r.client.router.answered(r.endpoint, &r.tour, wire.Leader{}, false)
}
