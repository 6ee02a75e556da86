// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"sync"
	"time"
)

// peerProgress is how far the other members' logs agree with ours, as learned
// while leading. raft knows it but does not tell. Safe for concurrent use.
type peerProgress struct {
	mu    sync.Mutex
	peers map[string]*PeerProgress
}

// PeerProgress is what a leader knows of another member.
type PeerProgress struct {
	// Match is the index up to which its log is known to equal ours.
	Match uint64
	// Contact is when it accepted entries last; zero if it never did.
	Contact time.Time
	// Installing is the index of the snapshot that it is being sent, 0 if none.
	Installing uint64
}

func (p *peerProgress) with(id string, f func(*PeerProgress)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.peers == nil {
		p.peers = map[string]*PeerProgress{}
	}
	peer := p.peers[id]
	if peer == nil {
		peer = &PeerProgress{}
		p.peers[id] = peer
	}
	f(peer)
}

func (p *peerProgress) matched(id string, index uint64, now time.Time) {
	p.with(id, func(peer *PeerProgress) { peer.Match, peer.Contact = max(peer.Match, index), now })
}

func (p *peerProgress) installing(id string, index uint64) {
	p.with(id, func(peer *PeerProgress) { peer.Installing = index })
}

func (p *peerProgress) installed(id string, index uint64, ok bool) {
	p.with(id, func(peer *PeerProgress) {
		peer.Installing = 0
		if ok {
			peer.Match = max(peer.Match, index)
		}
	})
}

// reset forgets all, at the start of a new term of leadership.
func (p *peerProgress) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, peer := range p.peers {
		if peer.Installing == 0 {
			delete(p.peers, id)
		} else {
			peer.Match = 0
		}
	}
}

// all returns a copy.
func (p *peerProgress) all() map[string]PeerProgress {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make(map[string]PeerProgress, len(p.peers))
	for id, peer := range p.peers {
		out[id] = *peer
	}
	return out
}
