// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package lan is a network whose every link can be spoilt: one way or both, for
// some hosts or all.
//
// Hosts of a [LAN] are network namespaces, each with a TUN device, and this process
// carries every packet from one to another. Without the rights for that there are
// [Proxies]: hosts are addresses of loopback, at which this process accepts
// connections and datagrams and hands them on. They spoil streams, not packets.
package lan

import (
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Quality is what happens to the packets of a link. The zero value delivers them
// at once.
type Quality struct {
	// Cut loses all of them, and tells nobody.
	Cut bool
	// Loss is the part that is lost by chance, from 0 to 1.
	Loss float64
	// Delay holds each back, and Jitter by up to as much again, without changing
	// their order.
	Delay, Jitter time.Duration
}

// maxUnderWay bounds the packets of a link; what comes beyond is lost, as in a
// router.
const maxUnderWay = 4096

// link carries packets one way, and streams, see stream.go.
type link struct {
	to            io.Writer
	quality       atomic.Pointer[Quality] // what all of spoilt comes to
	lost, delayed atomic.Uint64
	underWay      chan packet
	done          chan struct{}

	mu     sync.Mutex
	rng    *rand.Rand    // guarded by mu
	spoilt []*Quality    // guarded by mu
	change chan struct{} // closed when quality changes; guarded by mu
}

type packet struct {
	data []byte
	at   time.Time // when it arrives, zero for at once
}

func newLink(to io.Writer, rng *rand.Rand) *link {
	k := &link{to: to, rng: rng, underWay: make(chan packet, maxUnderWay), done: make(chan struct{}), change: make(chan struct{})}
	k.quality.Store(&Quality{})
	return k
}

func (k *link) spoil(q *Quality) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.spoilt = append(k.spoilt, q)
	k.sumLocked()
}

func (k *link) mend(q *Quality) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.spoilt = slices.DeleteFunc(k.spoilt, func(s *Quality) bool { return s == q })
	k.sumLocked()
}

func (k *link) sumLocked() {
	sum := &Quality{}
	for _, q := range k.spoilt {
		sum.Cut = sum.Cut || q.Cut
		sum.Loss = 1 - (1-sum.Loss)*(1-q.Loss)
		sum.Delay, sum.Jitter = sum.Delay+q.Delay, sum.Jitter+q.Jitter
	}
	k.quality.Store(sum)
	close(k.change)
	k.change = make(chan struct{})
}

// loses reports whether a packet is lost by chance.
func (k *link) loses(q *Quality) bool {
	if q.Loss == 0 {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.rng.Float64() < q.Loss
}

// holds returns for how long a packet is held back.
func (k *link) holds(q *Quality) time.Duration {
	if q.Jitter == 0 {
		return q.Delay
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return q.Delay + time.Duration(k.rng.Int64N(int64(q.Jitter)))
}

// send is called by one goroutine. It does not keep data.
func (k *link) send(data []byte) {
	q := k.quality.Load()
	if q.Cut || k.loses(q) {
		k.lost.Add(1)
		return
	}
	if q.Delay == 0 && len(k.underWay) == 0 {
		_, _ = k.to.Write(data) // a device that is full or gone loses it, as networks do
		return
	}
	p := packet{data: slices.Clone(data)}
	if hold := k.holds(q); hold > 0 {
		p.at = time.Now().Add(hold)
	}
	select {
	case k.underWay <- p:
		k.delayed.Add(1)
	default:
		k.lost.Add(1)
	}
}

// run delivers what is held back, until close.
func (k *link) run() {
	for {
		select {
		case p := <-k.underWay:
			select {
			case <-time.After(time.Until(p.at)):
			case <-k.done:
				return
			}
			if k.quality.Load().Cut {
				k.lost.Add(1)
				continue
			}
			_, _ = k.to.Write(p.data)
		case <-k.done:
			return
		}
	}
}

func (k *link) close() { close(k.done) }

// spoil spoils some of all links until mend is called.
func spoil(all map[[2]int]*link, some [][2]int, q Quality) (mend func()) {
	for _, k := range some {
		all[k].spoil(&q)
	}
	return func() {
		for _, k := range some {
			all[k].mend(&q)
		}
	}
}

// lost counts what some links have lost, all of them for none.
func lost(all map[[2]int]*link, some [][2]int) (sum uint64) {
	for at, k := range all {
		if some == nil || slices.Contains(some, at) {
			sum += k.lost.Load()
		}
	}
	return sum
}

func delayed(all map[[2]int]*link, some [][2]int) (sum uint64) {
	for at, k := range all {
		if some == nil || slices.Contains(some, at) {
			sum += k.delayed.Load()
		}
	}
	return sum
}
