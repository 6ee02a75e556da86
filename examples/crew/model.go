// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	"github.com/hawserdb/hawser/client/call"
)

// maxAnswer bounds what a model says.
const maxAnswer = 1 << 20

// model is the one at MODEL_URL, or the stand-in.
func model() func(ctx context.Context, key, question string) (string, error) {
	address := os.Getenv("MODEL_URL")
	if address == "" {
		return standIn
	}
	policy, err := call.New(call.Config{})
	if err != nil {
		panic(err) // the defaults make sense
	}
	c := &http.Client{Transport: policy.Transport(nil)}
	return func(ctx context.Context, key, question string) (string, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"?q="+url.QueryEscape(question), http.NoBody)
		if err != nil {
			return "", err
		}
		req.Header.Set("Idempotency-Key", key)
		resp, err := c.Do(req)
		if err != nil {
			return "", err
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("the model says %s: %.200s", resp.Status, body)
		}
		return string(body), err
	}
}
