// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"slices"
	"strings"

	"github.com/hawserdb/hawser"
)

// Filter says which events a subscription is about: those that all of its
// fields allow.
type Filter struct {
	Namespace string
	// Name is one agent or lock. Else Prefix is what names start with, at a
	// segment boundary, as in [hawser.NewPrefix]; "" is all of the namespace.
	Name, Prefix string
	// Kinds are the kinds wanted, all when it is empty. It is not retained.
	Kinds []hawser.EventKind
	// Lease is the holder's of grants and ends; zero for all.
	Lease hawser.LeaseID
}

// matcher is a filter as it is applied: the scope says which list an event is
// looked for in.
type matcher struct {
	scope scope
	kinds uint64 // a bit for each kind
	lease hawser.LeaseID
}

// scope is the part of the names that a filter is about.
type scope struct {
	breadth   breadth
	namespace string
	// name is an agent, or a prefix.
	name string
}

type breadth uint8

const (
	wholeNamespace breadth = iota
	oneName
	onePrefix
)

func newMatcher(f Filter) matcher {
	m := matcher{scope: scope{namespace: f.Namespace}, lease: f.Lease}
	switch {
	case f.Name != "":
		m.scope.breadth, m.scope.name = oneName, f.Name
	case f.Prefix != "":
		m.scope.breadth, m.scope.name = onePrefix, f.Prefix
	}
	for _, k := range f.Kinds {
		m.kinds |= bit(k)
	}
	if len(f.Kinds) == 0 {
		m.kinds = ^uint64(0)
	}
	return m
}

func bit(k hawser.EventKind) uint64 { return 1 << (k & 63) }

// matches reports whether e is what the filter asks for.
func (m *matcher) matches(e *hawser.Event) bool {
	return m.scope.holds(e.Name) && m.wants(e)
}

// wants is matches for an event of the scope.
func (m *matcher) wants(e *hawser.Event) bool {
	return m.kinds&bit(e.Kind) != 0 && (m.lease.IsZero() || m.lease == e.Lease)
}

func (s *scope) holds(id hawser.AgentID) bool {
	if id.Namespace != s.namespace {
		return false
	}
	switch s.breadth {
	case oneName:
		return id.Name == s.name
	case onePrefix:
		rest, ok := strings.CutPrefix(id.Name, s.name)
		return ok && (rest == "" || rest[0] == '/' || strings.HasSuffix(s.name, "/"))
	case wholeNamespace:
	}
	return true
}

// scopes calls f with every scope that an agent belongs to. Prefixes are left
// out unless they are wanted: there is one for each segment.
func scopes(id hawser.AgentID, prefixes bool, f func(scope)) {
	f(scope{oneName, id.Namespace, id.Name})
	f(scope{wholeNamespace, id.Namespace, ""})
	if !prefixes {
		return
	}
	for i := range len(id.Name) {
		if id.Name[i] == '/' {
			f(scope{onePrefix, id.Namespace, id.Name[:i]})
			f(scope{onePrefix, id.Namespace, id.Name[:i+1]})
		}
	}
	f(scope{onePrefix, id.Namespace, id.Name})
}

// filter returns the events of list that m matches, which may be list itself.
func (m *matcher) filter(list []hawser.Event) []hawser.Event {
	return slices.DeleteFunc(list, func(e hawser.Event) bool { return !m.matches(&e) })
}
