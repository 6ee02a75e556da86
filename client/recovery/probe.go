// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/hawserdb/hawser/client/agent"
	"github.com/hawserdb/hawser/client/health"
)

const (
	// probeEvery is how often a process is asked how it does, probeTime how long it may
	// take, and probeFailures how often in a row it must not have answered to be stuck.
	probeEvery    = time.Second
	probeTime     = 5 * time.Second
	probeFailures = 3
	// maxProbed bounds what is read of an answer.
	maxProbed = 64 << 10
)

// probe asks a process how it does, until ctx ends.
func (c *Child) probe(ctx context.Context) {
	silent := 0
	for ctx.Err() == nil {
		sleep(ctx, probeEvery)
		c.mu.Lock()
		instance, asks := c.instance, c.exit == nil && c.ready
		c.mu.Unlock()
		if !asks {
			silent = 0
			continue
		}
		unhealthy, err := askHealth(ctx, c.HealthURL)
		if silent++; err == nil {
			silent = 0
		}
		if silent >= probeFailures {
			unhealthy = []string{fmt.Sprintf("health: no answer, %d times: %v", silent, err)}
		}
		c.mu.Lock()
		if instance == c.instance {
			c.unhealthy = unhealthy
		}
		c.mu.Unlock()
		if len(unhealthy) > 0 {
			c.signal()
		}
	}
}

// askHealth returns what is wrong by an answer of [health.Monitor.Handler],
// [agent.HealthHandler] or anything else, of which 503 says that something is.
func askHealth(ctx context.Context, url string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProbed))
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode == http.StatusServiceUnavailable:
		return complaints(body), nil
	case resp.StatusCode >= http.StatusBadRequest:
		return nil, fmt.Errorf("status %s", resp.Status)
	}
	return nil, nil
}

// complaints are what an answer says is wrong.
func complaints(body []byte) (list []string) {
	var report health.Report
	if json.Unmarshal(body, &report) == nil {
		list = report.Unhealthy()
	}
	var agents []agent.Status
	if json.Unmarshal(body, &agents) == nil {
		for _, a := range agents {
			if a.Problem != "" {
				list = append(list, a.Agent+": "+a.Problem)
			}
		}
	}
	if len(list) == 0 {
		list = []string{fmt.Sprintf("health: %.200q", strings.TrimSpace(string(body)))}
	}
	return list
}
