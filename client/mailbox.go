// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"sync"

	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// mailbox holds the newest word about an agent's transactions, which replaces
// those before. One goroutine puts, one takes.
type mailbox struct {
	// full has capacity 1: there is a word that was not taken.
	full chan struct{}

	mu   sync.Mutex
	word *hawserv1.ParticipateResponse // guarded by mu
	// turn is the transaction that is being prepared, and over ends that; both
	// are guarded by mu.
	turn string
	over context.CancelFunc
}

func newMailbox() *mailbox { return &mailbox{full: make(chan struct{}, 1)} }

// put replaces the word, and ends the preparation of a transaction whose turn
// is over.
func (m *mailbox) put(word *hawserv1.ParticipateResponse) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.word = word
	if m.over != nil && word.GetTurn().GetId().GetId() != m.turn {
		m.over()
	}
	select {
	case m.full <- struct{}{}:
	default:
	}
}

// next waits for a word that was not taken.
func (m *mailbox) next(ctx context.Context) (*hawserv1.ParticipateResponse, error) {
	select {
	case <-m.full:
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.word, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// watch has over called when it is not the transaction's turn any more, until
// stop is called.
func (m *mailbox) watch(txn string, over context.CancelFunc) (stop func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.turn, m.over = txn, over; m.word.GetTurn().GetId().GetId() != txn {
		over()
	}
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.turn, m.over = "", nil
	}
}
