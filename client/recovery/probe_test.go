// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hawserdb/hawser/client/health"
)

// Claim: what a process says is wrong with it becomes evidence, whichever handler says
// it; one that is well or does not answer is told apart.
func TestAskHealth(t *testing.T) {
	monitor, err := health.Start(health.Config{Checks: []health.Check{{
		Name: "memory", Interval: 5 * time.Millisecond, Run: func(context.Context) error { return errors.New("too much") },
	}}})
	if err != nil {
		t.Fatal(err)
	}
	defer monitor.Close()
	for end := time.Now().Add(5 * time.Second); monitor.Report().Healthy && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	says := func(code int, text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, text, code) })
	}
	for name, c := range map[string]struct {
		handler http.Handler
		want    string
		fails   bool
	}{
		"a monitor":      {handler: monitor.Handler(), want: "memory: "},
		"a runtime":      {handler: says(503, `[{"agent":"a","problem":"a step takes 9s"},{"agent":"b"}]`), want: "a: a step takes 9s"},
		"something else": {handler: says(503, "the disk is full"), want: "the disk is full"},
		"it is well":     {handler: says(200, "fine")},
		"no such path":   {handler: says(404, "no"), fails: true},
	} {
		server := httptest.NewServer(c.handler)
		got, err := askHealth(t.Context(), server.URL+"/health")
		if text := strings.Join(got, "; "); !strings.Contains(text, c.want) || (c.want == "") != (text == "") || (err != nil) != c.fails {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		server.Close()
	}
	if kind, _ := Classify(Evidence{Ready: true, Unhealthy: complaints([]byte(`[{"agent":"memory","problem":"x"}]`))}, Limits{}); kind != ExhaustedResources {
		t.Errorf("memory is %v", kind)
	}
	if _, err := askHealth(t.Context(), "http://127.0.0.1:1/health"); err == nil {
		t.Error("nobody answered, and that was fine")
	}
}
