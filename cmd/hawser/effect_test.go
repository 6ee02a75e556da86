// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

// Claim: people see what an agent has begun, resolve what nobody knows of with a
// reason, and are refused what makes no sense, with the documented exit codes.
func TestProcesses_Effects(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 1)
	f.want(t, 0, "state", "state", "save", "buyer")
	c, err := client.Dial(client.Config{Endpoints: f.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for _, id := range []string{"pay", "mail", "ticket"} {
		if _, run, err := c.Agent("buyer").BeginEffect(t.Context(), id, hawser.OnUnknownAsk, client.EffectDescription("to the shop")); err != nil || !run {
			t.Fatal(run, err)
		}
	}
	if out := f.want(t, 0, "", "effect", "list", "buyer").stdout; strings.Count(out, "open") != 3 || !strings.Contains(out, "to the shop") {
		t.Errorf("list: %s", out)
	}
	receipt := filepath.Join(t.TempDir(), "receipt")
	if err := os.WriteFile(receipt, []byte("receipt 1"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.want(t, 2, "", "effect", "resolve", "buyer", "pay", "--done", "-f", receipt)
	f.want(t, 2, "", "effect", "resolve", "buyer", "pay", "--reason", "r")
	f.want(t, 2, "", "effect", "resolve", "buyer", "pay", "--done", "--retry", "--reason", "r")
	f.want(t, 2, "", "effect", "resolve", "buyer", "pay", "--retry", "-f", receipt, "--reason", "r")
	f.want(t, 3, "", "effect", "resolve", "buyer", "nothing", "--retry", "--reason", "r")
	e := decode[effectView](t, f.want(t, 0, "", "effect", "resolve", "buyer", "pay", "--done", "-f", receipt, "--reason", "found at the bank", "-o", "json").stdout)
	if e.State != "done" || !e.Resolved || e.ResultSize != 9 || e.Reason != "found at the bank" || e.Key == "" {
		t.Errorf("resolved: %+v", e)
	}
	f.want(t, 1, "", "effect", "resolve", "buyer", "pay", "--retry", "--reason", "r")
	if out := f.want(t, 0, "", "effect", "show", "buyer", "pay", "-f", "-").stdout; out != "receipt 1" {
		t.Errorf("result: %q", out)
	}
	f.want(t, 3, "", "effect", "show", "buyer", "nothing")
	f.want(t, 3, "", "effect", "show", "buyer", "mail", "-f", "-")
	f.want(t, 0, "", "effect", "resolve", "buyer", "mail", "--failed", "no such address")
	f.want(t, 0, "", "effect", "resolve", "buyer", "ticket", "--retry", "--reason", "the desk never saw it")
	if out := f.want(t, 0, "", "effect", "list", "buyer", "--open", "-o", "json").stdout; strings.TrimSpace(out) != "[]" {
		t.Errorf("open: %s", out)
	}
	f.want(t, 0, "next", "state", "save", "buyer")
	f.want(t, 2, "", "effect", "forget", "buyer")
	if out := f.want(t, 0, "", "effect", "forget", "buyer", "--through", "2").stdout; !strings.HasPrefix(out, "2 effects") {
		t.Errorf("forget: %s", out)
	}
	if out := f.want(t, 0, "", "effect", "list", "buyer").stdout; !strings.Contains(out, "ticket  retry, by hand") || strings.Contains(out, "pay") {
		t.Errorf("list: %s", out)
	}
}
