// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/hawsertest"
)

// Claim: of the agents that are done, those that were deleted and those that somebody
// waits for are given back, and no others.
func TestWatchman_Tidies(t *testing.T) {
	t.Parallel()
	c := hawsertest.Start(t)
	for _, name := range []string{"crew/deleted", "crew/wanted", "crew/kept"} {
		if _, err := c.Agent(name).Save(t.Context(), []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	lease, err := c.OpenLease(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	f := &fleet[struct{}]{client: c, starting: make(chan struct{}, maxStarting), Pool: Pool[struct{}]{
		Prefix: "crew", TTL: time.Minute, Logger: quiet,
		New: func(string) (Config[struct{}], Step[struct{}]) {
			return Config[struct{}]{Logger: quiet}, func(context.Context, *Turn[struct{}]) error { return Done }
		},
	}}
	w := &watchman[struct{}]{fleet: f, lease: lease, running: map[string]*member{}}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(w.tasks.Wait)
	t.Cleanup(cancel)
	claims, _, err := lease.ClaimAny(t.Context(), "crew", 3)
	if err != nil || len(claims) != 3 {
		t.Fatal(len(claims), err)
	}
	for _, claim := range claims {
		w.start(ctx, claim)
	}
	for _, m := range w.running {
		<-m.idle
	}
	if err := w.running["crew/deleted"].claim.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	granted := make(chan error)
	go func() {
		_, err := c.Agent("crew/wanted").Claim(ctx, client.TTL(time.Minute))
		granted <- err
	}()
	for h, err := range c.Agent("crew/wanted").Observe(t.Context()) {
		if err != nil || h.Waiting == 1 {
			break
		}
	}
	if err := w.tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-w.running["crew/deleted"].done
	if err := <-granted; err != nil {
		t.Error(err)
	}
	if isClosed(w.running["crew/kept"].done) || w.running["crew/kept"].stopped {
		t.Error("one that is there, and that nobody waits for, was given back")
	}
	for h, err := range c.Holdings(t.Context(), hawser.ResourceClaim, "crew/deleted") {
		t.Errorf("%+v, %v", h, err)
	}
}
