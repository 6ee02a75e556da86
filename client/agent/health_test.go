// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/hawserdb/hawser/client/agent"
	"github.com/hawserdb/hawser/hawsertest"
)

// probe asks the handler, for the status of one agent.
func probe(t *testing.T, path, name string) (code int, s agent.Status) {
	t.Helper()
	w := httptest.NewRecorder()
	agent.HealthHandler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
	var list []agent.Status
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil {
		t.Fatal(err)
	}
	for _, found := range list {
		if found.Agent == name {
			s = found
		}
	}
	return w.Code, s
}

// Claim: a step that takes too long is a problem, one that waits for a message is
// none; an agent that has ended is not told of. Not parallel: others are told of, too.
func TestHealthHandler(t *testing.T) {
	c := hawsertest.Start(t)
	cfg, _ := config("a", func(c *agent.Config[tally]) { c.StepLimit = 200 * time.Millisecond })
	stuck := make(chan struct{})
	stop := start(t, c, cfg, func(ctx context.Context, turn *agent.Turn[tally]) error {
		if _, err := turn.Message(ctx); err != nil {
			return err
		}
		turn.State.N++
		select {
		case <-stuck:
		case <-ctx.Done():
		}
		return nil
	})
	eventually(t, "it is active", func() bool { _, s := probe(t, "/ready", "a"); return s.State == "active" })
	time.Sleep(300 * time.Millisecond)
	if code, s := probe(t, "/health", "a"); code != http.StatusOK || s.Problem != "" {
		t.Errorf("it waits for a message: %d, %+v", code, s)
	}
	if _, err := c.Send(t.Context(), "a", []byte("work")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has a problem", func() bool {
		code, s := probe(t, "/health", "a")
		return code == http.StatusServiceUnavailable && s.Problem != ""
	})
	close(stuck)
	eventually(t, "it has none", func() bool {
		code, s := probe(t, "/health", "a")
		return code == http.StatusOK && s.Steps == 1 && s.Version == 1
	})
	if code, s := probe(t, "/ready", "a"); code != http.StatusOK || s.State != "active" {
		t.Errorf("ready: %d, %+v", code, s)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if code, s := probe(t, "/ready", "a"); s.Agent != "" {
		t.Errorf("it has ended: %d, %+v", code, s)
	}
}
