// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package call_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/hawserdb/hawser/client/call"
)

func quick(c *call.Config) { c.Delay, c.MaxDelay = 5*time.Millisecond, 20*time.Millisecond }

// Claim: answers are tried again by what they say and by what the method allows; the
// last one is returned as it came, and bodies are sent whole each time.
func TestTransport(t *testing.T) {
	for name, c := range map[string]struct {
		method  string
		header  string
		stream  bool // a body that cannot be sent again
		answers []int
		status  int
		calls   int64
	}{
		"it is well":                {method: "GET", answers: []int{200}, status: 200, calls: 1},
		"busy":                      {method: "POST", answers: []int{429, 503, 408, 425, 200}, status: 200, calls: 5},
		"not authorized":            {method: "POST", answers: []int{401, 200}, status: 401, calls: 1},
		"broken, and may twice":     {method: "PUT", answers: []int{500, 200}, status: 200, calls: 2},
		"broken, and must not":      {method: "POST", answers: []int{500, 200}, status: 500, calls: 1},
		"with a key":                {method: "POST", header: "k", answers: []int{502, 200}, status: 200, calls: 2},
		"refused":                   {method: "GET", answers: []int{404}, status: 404, calls: 1},
		"busy all the time":         {method: "GET", answers: []int{503, 503, 503, 503, 503}, status: 503, calls: 5},
		"a body that is gone":       {method: "POST", stream: true, answers: []int{503, 200}, status: 503, calls: 1},
		"a body that is gone, well": {method: "POST", stream: true, answers: []int{200}, status: 200, calls: 1},
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int64
			const sent = "what is asked"
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil || r.Method != http.MethodGet && string(body) != sent {
					t.Errorf("body %q, %v", body, err)
				}
				n := calls.Add(1)
				w.WriteHeader(c.answers[min(int(n), len(c.answers))-1])
				_, _ = io.WriteString(w, strings.Repeat("answer ", 1000))
			}))
			defer server.Close()
			p := policy(t, quick, func(c *call.Config) { c.Failures = 100 })
			var body io.Reader = strings.NewReader(sent)
			switch {
			case c.method == http.MethodGet:
				body = http.NoBody
			case c.stream:
				body = io.MultiReader(body)
			}
			req, err := http.NewRequestWithContext(t.Context(), c.method, server.URL, body)
			if err != nil {
				t.Fatal(err)
			}
			if c.header != "" {
				req.Header.Set("Idempotency-Key", c.header)
			}
			client := &http.Client{Transport: p.Transport(nil)}
			resp, err := client.Do(req)
			if calls.Load() != c.calls {
				t.Errorf("%d calls, want %d", calls.Load(), c.calls)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			answer, err := io.ReadAll(resp.Body)
			if resp.StatusCode != c.status || err != nil || len(answer) != 7000 {
				t.Errorf("status %d, %d bytes, %v", resp.StatusCode, len(answer), err)
			}
		})
	}
}

// Claim: the time of an attempt ends when its answer begins: a long answer is read
// whole; an answer that does not come ends the attempt.
func TestTransport_Timeout(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			<-r.Context().Done()
			return
		}
		w.WriteHeader(http.StatusOK)
		for range 5 {
			_, _ = io.WriteString(w, "part ")
			w.(http.Flusher).Flush()
			time.Sleep(50 * time.Millisecond)
		}
	}))
	defer server.Close()
	p := policy(t, quick, func(c *call.Config) { c.Timeout, c.Attempts = 100*time.Millisecond, 2 })
	client := &http.Client{Transport: p.Transport(nil)}
	resp, err := client.Get(server.URL + "/long")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, err := io.ReadAll(resp.Body); err != nil || string(answer) != strings.Repeat("part ", 5) {
		t.Errorf("read %q, %v", answer, err)
	}
	begin := time.Now()
	hung, err := client.Get(server.URL + "/hang")
	if err == nil {
		_ = hung.Body.Close()
		t.Fatal("an answer came")
	}
	var failed *call.Error
	if !errors.As(err, &failed) || failed.Attempts != 2 || time.Since(begin) > 2*time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
}

// Claim: unary calls of gRPC are tried again by their status, which the error keeps.
func TestUnaryInterceptor(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int64
	answers := make(chan codes.Code, 10)
	server := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		calls.Add(1)
		select {
		case code := <-answers:
			return nil, status.Error(code, "as told")
		default:
			return handler(ctx, req)
		}
	}))
	healthpb.RegisterHealthServer(server, health.NewServer())
	go func() { _ = server.Serve(l) }()
	defer server.Stop()
	for name, c := range map[string]struct {
		idempotent bool
		answers    []codes.Code
		code       codes.Code
		calls      int64
	}{
		"well":                    {code: codes.OK, calls: 1},
		"unavailable":             {answers: []codes.Code{codes.Unavailable, codes.ResourceExhausted}, code: codes.OK, calls: 3},
		"permanent":               {answers: []codes.Code{codes.InvalidArgument}, code: codes.InvalidArgument, calls: 1},
		"unknown, must not twice": {answers: []codes.Code{codes.Internal}, code: codes.Internal, calls: 1},
		"unknown, may twice":      {idempotent: true, answers: []codes.Code{codes.Internal}, code: codes.OK, calls: 2},
	} {
		t.Run(name, func(t *testing.T) {
			calls.Store(0)
			p := policy(t, quick)
			conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
				grpc.WithUnaryInterceptor(p.UnaryInterceptor(func(string) bool { return c.idempotent })))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			for _, code := range c.answers {
				answers <- code
			}
			_, err = healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
			if status.Code(err) != c.code || calls.Load() != c.calls {
				t.Errorf("%v after %d calls, want %v after %d", err, calls.Load(), c.code, c.calls)
			}
		})
	}
}
