// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package recovery_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/hawserdb/hawser/client/agent"
	"github.com/hawserdb/hawser/client/recovery"
	"github.com/hawserdb/hawser/hawsertest"
)

// Claim: a hook is told what to do about an agent, and why; one that refuses has the
// attempt fail, with what it says, and is told again.
func TestHook(t *testing.T) {
	c := hawsertest.Start(t)
	var mu sync.Mutex
	var told []agent.Decision
	state := recovery.Evidence{Exit: &recovery.Exit{Code: 1, Tail: "panic: no model"}, Ready: true}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Agent    string
			Decision agent.Decision
		}
		mu.Lock()
		defer mu.Unlock()
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Agent != "a" {
			t.Errorf("%+v, %v", in, err)
		}
		if told = append(told, in.Decision); len(told) == 1 {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		state = recovery.Evidence{Ready: true}
	}))
	defer server.Close()
	outcomes := make(chan string, 10)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err := recovery.Supervise(ctx, recovery.Config{
		Agent: "a", Client: c, Pause: time.Millisecond, Logger: slog.New(slog.DiscardHandler),
		Subject: recovery.Custom{
			Do: recovery.Hook(nil, server.URL, "a"),
			Look: func(context.Context) (recovery.Evidence, error) {
				mu.Lock()
				defer mu.Unlock()
				return state, nil
			},
		},
		OnDecision: func(d agent.Decision) {
			if d.Outcome != "" {
				outcomes <- d.Outcome
			}
			if d.Outcome == "recovered" {
				cancel()
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if first, second := <-outcomes, <-outcomes; first != "failed: the hook says 503 Service Unavailable: not now" || second != "recovered" {
		t.Errorf("outcomes %q, %q", first, second)
	}
	if len(told) != 2 || told[1].Action != "restart" || told[1].Failure != "crash" || told[1].Attempt != 2 {
		t.Errorf("told %+v", told)
	}
}
