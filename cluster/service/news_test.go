// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/cluster/watch"
)

// Claim: a stream looks at the state when an event tells it to, and now and then
// when anything has changed; while nothing has, it costs no look.
func TestAwait_LooksWhenSomethingChanged(t *testing.T) {
	s, _ := start(t)
	b, err := s.open()
	if err != nil {
		t.Fatal(err)
	}
	sub, err := b.Hub.Subscribe(watch.Filter{Namespace: "default", Name: "watched"}, b.Machine.Info().Revision)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	n := news{sub: sub, every: 100 * time.Millisecond}
	await := func(within time.Duration) (took time.Duration, err error) {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		begin := time.Now()
		_, view, err := s.await(ctx, &n, b.Machine.Info())
		if err == nil {
			closeView(view)
		}
		return time.Since(begin), err
	}
	if took, err := await(350 * time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nothing has changed, and it looked after %s: %v", took, err)
	}
	for _, tt := range []struct {
		agent string
		least time.Duration
	}{{"other", n.every}, {"watched", 0}} {
		// The change comes before the wait, and after the moment it counts from.
		since := b.Machine.Info()
		if _, err := s.Save(t.Context(), saveOf(tt.agent, []byte("x"), 0)); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		_, view, err := s.await(t.Context(), &n, since)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := view.Agent(hawser.AgentID{Namespace: "default", Name: tt.agent}); err != nil {
			t.Errorf("agent %s in the view: %v", tt.agent, err)
		}
		closeView(view)
		if took := time.Since(begin); took < tt.least {
			t.Errorf("agent %s: it looked after %s", tt.agent, took)
		}
	}
}
