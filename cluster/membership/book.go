// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"slices"
	"strings"
)

// Book knows the peer addresses of members. It lives in the store's state, so
// that a node finds the others after a restart without gossip.
type Book struct {
	store Store
}

// NewBook returns the book in store.
func NewBook(store Store) *Book { return &Book{store: store} }

// Resolve returns the peer address of the node id, and whether it is known.
func (b *Book) Resolve(id string) (string, bool) {
	for _, a := range b.store.State().Book {
		if a.ID == id {
			return a.Peer, true
		}
	}
	return "", false
}

// Addresses returns all that is known, ordered by id.
func (b *Book) Addresses() []Address { return b.store.State().Book }

// Learn takes up addresses: from promises, answers to Join, or gossip. A later
// address replaces an earlier one of the same id. What is not a valid id with a
// valid address is left out, and so is a new id when the book is full. The book
// is written, with an fsync, only if something changed; errors are the store's.
func (b *Book) Learn(known ...Address) error {
	known = slices.Clone(known)
	for i := range known {
		if canonical, err := CanonicalAddress(known[i].Peer); err == nil {
			known[i].Peer = canonical
		}
	}
	known = slices.DeleteFunc(known, func(a Address) bool { return checkAddress(a) != nil })
	if len(known) == 0 {
		return nil
	}
	return b.store.Update(func(s *State) error { s.learn(known...); return nil })
}

// Retain drops every address but those of ids once the book is half full.
// Until then old entries cost nothing.
func (b *Book) Retain(ids []string) error {
	return b.store.Update(func(s *State) error {
		if len(s.Book) > maxBook/2 {
			s.Book = slices.DeleteFunc(s.Book, func(a Address) bool { return !slices.Contains(ids, a.ID) })
		}
		return nil
	})
}

// learn takes up valid addresses.
func (s *State) learn(known ...Address) {
	for _, a := range known {
		at, found := slices.BinarySearchFunc(s.Book, a.ID, func(e Address, id string) int { return strings.Compare(e.ID, id) })
		switch {
		case found:
			s.Book[at] = a
		case len(s.Book) < maxBook:
			s.Book = slices.Insert(s.Book, at, a)
		}
	}
}
