// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"testing"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// changes is a Members that answers with these errors, one a call.
type changes struct {
	Members
	answers []error
	calls   int
}

func (c *changes) next() error {
	c.calls++
	return c.answers[min(c.calls, len(c.answers))-1]
}

func (c *changes) Remove(context.Context, string, uint64, bool) error { return c.next() }

func (c *changes) Transfer(context.Context, string) error { return c.next() }

func startWithMembers(t *testing.T, answers ...error) (*Service, *changes) {
	t.Helper()
	s, _ := start(t)
	b := *s.backend.Load()
	members := &changes{answers: answers}
	b.Members = members
	s.Start(&b)
	return s, members
}

// A change of the members whose answer was lost stays unknown when the
// repetition is refused: a name that is not found may be that of the node that
// the first attempt removed.
func TestService_RefusedRepetitionOfAChangeIsNoFailure(t *testing.T) {
	for _, refusal := range []error{hawser.ErrNotFound, hawser.ErrRefused, hawser.ErrConflict} {
		s, members := startWithMembers(t, hawser.ErrOutcomeUnknown, refusal)
		if _, err := s.Remove(t.Context(), &hawserv1.RemoveRequest{Node: "n2"}); !errors.Is(err, hawser.ErrOutcomeUnknown) || members.calls != 2 {
			t.Errorf("then refused with %v: got %v after %d calls", refusal, err, members.calls)
		}
		s, _ = startWithMembers(t, refusal)
		if _, err := s.Remove(t.Context(), &hawserv1.RemoveRequest{Node: "n2"}); !errors.Is(err, refusal) {
			t.Errorf("refused with %v at once: got %v", refusal, err)
		}
	}
}

// A transfer to whomever is not repeated once it may have happened, for it
// would move the leadership on; one to a named node is.
func TestService_TransferIsNotRepeatedBlindly(t *testing.T) {
	s, members := startWithMembers(t, hawser.ErrUnavailable, hawser.ErrOutcomeUnknown, nil)
	if _, err := s.TransferLeadership(t.Context(), &hawserv1.TransferLeadershipRequest{}); !errors.Is(err, hawser.ErrOutcomeUnknown) || members.calls != 2 {
		t.Errorf("to whomever: got %v after %d calls", err, members.calls)
	}
	s, members = startWithMembers(t, hawser.ErrOutcomeUnknown, nil)
	if _, err := s.TransferLeadership(t.Context(), &hawserv1.TransferLeadershipRequest{Node: "n2"}); err != nil || members.calls != 2 {
		t.Errorf("to n2: got %v after %d calls", err, members.calls)
	}
}
