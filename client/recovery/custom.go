// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/hawserdb/hawser/client/agent"
)

// Custom is a [Subject] made of functions, for agents that are run in another way.
type Custom struct {
	// Look is Observe, Do is Act; both are required.
	Look func(ctx context.Context) (Evidence, error)
	Do   func(ctx context.Context, action Action, d agent.Decision) error
	// Signal is Changed; nil is never.
	Signal <-chan struct{}
}

var _ Subject = Custom{}

// Observe implements [Subject].
func (c Custom) Observe(ctx context.Context) (Evidence, error) { return c.Look(ctx) }

// Act implements [Subject].
func (c Custom) Act(ctx context.Context, action Action, d agent.Decision) error {
	return c.Do(ctx, action, d)
}

// Changed implements [Subject].
func (c Custom) Changed() <-chan struct{} { return c.Signal }

// Hook is a Do for [Custom] that posts each decision about an agent to a URL, as JSON:
// {"agent": ..., "decision": {"action": ..., "failure": ..., ...}}. An answer from 200
// to 299 says that the action has begun. Nil is http.DefaultClient.
func Hook(c *http.Client, url, name string) func(ctx context.Context, action Action, d agent.Decision) error {
	if c == nil {
		c = http.DefaultClient
	}
	return func(ctx context.Context, _ Action, d agent.Decision) error {
		body, err := json.Marshal(struct {
			Agent    string         `json:"agent"`
			Decision agent.Decision `json:"decision"`
		}{name, d})
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, apiTime)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := c.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		said, err := io.ReadAll(io.LimitReader(resp.Body, maxProbed))
		if err == nil && resp.StatusCode >= http.StatusMultipleChoices {
			err = fmt.Errorf("the hook says %s: %.300s", resp.Status, bytes.TrimSpace(said))
		}
		return err
	}
}
