// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/hawsertest"
)

// Claim: after a lost answer the same message is sent once in all, another one
// takes its place or follows it, and never comes after it.
func TestSender_UnknownOutcomes(t *testing.T) {
	c := hawsertest.Start(t)
	a := c.Agent("a")
	if _, err := a.Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	s := c.Sender()
	if _, err := s.Send(t.Context(), "a", []byte("first")); err != nil {
		t.Fatal(err)
	}
	lost, acknowledged := 0, []string{"first"}
	open := map[string]bool{}
	for i := range 200 {
		payload := fmt.Appendf(nil, "%d", i)
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%20)*150*time.Microsecond)
		_, err := s.Send(ctx, "a", payload)
		cancel()
		if err != nil && i%2 == 0 { // the same again
			_, err = s.Send(t.Context(), "a", payload)
		}
		var unknown *hawser.UnknownMessageError
		switch {
		case err == nil:
			acknowledged = append(acknowledged, string(payload))
		case errors.As(err, &unknown):
			if lost++; unknown.ID.IsZero() || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
			open[string(payload)] = true
		case !errors.Is(err, hawser.ErrDeadline) && !errors.Is(err, hawser.ErrUnavailable):
			t.Errorf("%v", err)
		}
	}
	t.Logf("%d answers were lost", lost)
	var got []string
	seen := map[string]bool{}
	for m, err := range a.Messages(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		text := string(m.Payload)
		if seen[text] {
			t.Errorf("%s was sent twice", text)
		}
		if seen[text] = true; !open[text] {
			got = append(got, text)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(acknowledged) {
		t.Errorf("got %v, acknowledged %v", got, acknowledged)
	}
}

// Calls of Client.Send at the same time need few sessions, and each is sent once.
func TestClientSend_Concurrent(t *testing.T) {
	c := hawsertest.Start(t)
	if _, err := c.Agent("a").Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 100 {
		group.Go(func() {
			if _, err := c.Send(t.Context(), "a", fmt.Appendf(nil, "%d", i)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	sessions, seen := map[hawser.SessionID]bool{}, map[string]bool{}
	for m, err := range c.Agent("a").Messages(t.Context(), client.Limit(1000)) {
		if err != nil {
			t.Fatal(err)
		}
		sessions[m.ID.Session], seen[string(m.Payload)] = true, true
	}
	if len(seen) != 100 || len(sessions) > 8 {
		t.Errorf("%d messages in %d sessions", len(seen), len(sessions))
	}
}

func TestParseMessageID(t *testing.T) {
	id := hawser.MessageID{Session: hawser.NewSessionID(), Sequence: 300}
	if got, err := hawser.ParseMessageID(id.String()); err != nil || got != id {
		t.Errorf("%v %v", got, err)
	}
	for _, s := range []string{"", "x", id.Session.String(), id.String() + "0x", id.Session.String() + "-0", id.Session.String() + "-01", "-1"} {
		if got, err := hawser.ParseMessageID(s); !errors.Is(err, hawser.ErrInvalid) {
			t.Errorf("%q: %v %v", s, got, err)
		}
	}
}
