// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package call_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser/client/call"
)

// roundTrip is a base.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer func() { _ = req.Body.Close() }()
	}
	return f(req)
}

// tracked is a body that counts how often it was closed.
type tracked struct {
	io.Reader

	closed atomic.Int64
}

func (b *tracked) Close() error {
	b.closed.Add(1)
	return nil
}

func answer(status int, body io.ReadCloser) *http.Response {
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{}, Body: body}
}

func request(t *testing.T, ctx context.Context, method string, body io.Reader) *http.Request { //nolint:revive // as testing's own helpers
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, "http://model/answer", body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// failing makes a request that must not be answered.
func failing(t *testing.T, transport http.RoundTripper, req *http.Request) error {
	t.Helper()
	resp, err := transport.RoundTrip(req)
	if resp != nil {
		_ = resp.Body.Close()
		t.Errorf("answered %s", resp.Status)
	}
	return err
}

// Claim: the body of a request is closed also when it was not sent at all, and the caller
// sees why.
func TestTransport_RefusedBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := roundTrip(func(*http.Request) (*http.Response, error) {
			t.Error("it was sent")
			return nil, errBroken
		})
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		for name, c := range map[string]struct {
			ctx    context.Context
			change func(*call.Config)
			before func(p *call.Policy)
			want   error
		}{
			"canceled": {ctx: canceled, change: one, want: context.Canceled},
			"open":     {ctx: t.Context(), change: one, before: func(p *call.Policy) { breakOpen(t, p, "model") }, want: call.ErrOpen},
			"full": {
				ctx: t.Context(), change: func(c *call.Config) { c.Concurrent, c.MaxWait = 1, -1 },
				before: func(p *call.Policy) {
					go func() { _, _ = call.Do(t.Context(), p, "model", hangs) }()
					synctest.Wait()
				}, want: call.ErrFull,
			},
			"rate": {
				ctx: t.Context(), change: func(c *call.Config) { c.PerSecond, c.MaxWait = 1, -1 },
				before: func(p *call.Policy) { _, _ = call.Do(t.Context(), p, "model", works) }, want: call.ErrRate,
			},
		} {
			p := policy(t, c.change)
			if c.before != nil {
				c.before(p)
			}
			body := &tracked{Reader: strings.NewReader("question")}
			err := failing(t, p.Transport(base), request(t, c.ctx, http.MethodPost, body))
			if !errors.Is(err, c.want) || body.closed.Load() != 1 {
				t.Errorf("%s: %v; the body was closed %d times", name, err, body.closed.Load())
			}
		}
		time.Sleep(time.Hour)
	})
}

// Claim: answers that are not returned are closed, the bodies that are sent are whole and
// closed each, and the caller's request stays as it was.
func TestTransport_ClosesBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(t)
		var answers, sent []*tracked
		base := roundTrip(func(req *http.Request) (*http.Response, error) {
			if got, err := io.ReadAll(req.Body); string(got) != "question" || err != nil {
				t.Errorf("sent %q, %v", got, err)
			}
			status := http.StatusServiceUnavailable
			if len(answers) == 3 {
				status = http.StatusOK
			}
			answers = append(answers, &tracked{Reader: strings.NewReader("answer")})
			return answer(status, answers[len(answers)-1]), nil
		})
		body := &tracked{Reader: strings.NewReader("question")}
		sent = append(sent, body)
		req := request(t, t.Context(), http.MethodPost, body)
		req.Header.Set("X", "y")
		req.GetBody = func() (io.ReadCloser, error) {
			sent = append(sent, &tracked{Reader: strings.NewReader("question")})
			return sent[len(sent)-1], nil
		}
		header := req.Header.Clone()
		resp, err := p.Transport(base).RoundTrip(req)
		if err != nil || len(answers) != 4 || len(sent) != 4 {
			t.Fatalf("%v after %d answers to %d bodies", err, len(answers), len(sent))
		}
		if req.Body != body || req.Context() != t.Context() || len(req.Header) != len(header) || req.Header.Get("X") != "y" || req.URL.String() != "http://model/answer" {
			t.Errorf("the request has changed: %+v", req)
		}
		if answers[3].closed.Load() != 0 {
			t.Error("the answer that is returned is closed")
		}
		_ = resp.Body.Close()
		for i := range 4 {
			if answers[i].closed.Load() != 1 || sent[i].closed.Load() != 1 {
				t.Errorf("body %d was closed %d times, answer %d times", i, sent[i].closed.Load(), answers[i].closed.Load())
			}
		}
	})
}

// stalled is a body of which nothing comes, until it is closed.
type stalled struct {
	once   sync.Once
	closed chan struct{}
}

func (s *stalled) Read([]byte) (int, error) {
	<-s.closed
	return 0, io.ErrClosedPipe
}

func (s *stalled) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// Claim: a body that does not end holds up neither the next attempt nor the caller.
func TestTransport_StalledBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, func(c *call.Config) { c.Attempts = 2 })
		calls := 0
		base := roundTrip(func(*http.Request) (*http.Response, error) {
			if calls++; calls > 1 {
				return nil, errBroken
			}
			return answer(http.StatusServiceUnavailable, &stalled{closed: make(chan struct{})}), nil
		})
		begin := time.Now()
		err := failing(t, p.Transport(base), request(t, t.Context(), http.MethodGet, http.NoBody))
		if !errors.Is(err, errBroken) || calls != 2 || time.Since(begin) > 1500*time.Millisecond {
			t.Errorf("%v after %d calls and %v", err, calls, time.Since(begin))
		}
	})
}

// Claim: when there is no other attempt for a reason of this side, the caller sees it and
// what was answered last; the answer is closed.
func TestTransport_RefusedAfterAttempts(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*call.Config)
		end    time.Duration
		want   error
	}{
		"open":   {change: func(c *call.Config) { c.Failures = 2 }, want: call.ErrOpen},
		"budget": {change: func(c *call.Config) { c.RetryShare = -1 }, want: call.ErrBudget},
		"rate":   {change: func(c *call.Config) { c.PerSecond, c.MaxWait, c.Delay, c.MaxDelay = 1, -1, 1, 1 }, want: call.ErrRate},
		"caller": {change: func(*call.Config) {}, end: 100 * time.Millisecond, want: context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := policy(t, c.change)
				var bodies []*tracked
				base := roundTrip(func(*http.Request) (*http.Response, error) {
					bodies = append(bodies, &tracked{Reader: strings.NewReader("busy")})
					return answer(http.StatusServiceUnavailable, bodies[len(bodies)-1]), nil
				})
				ctx, cancel := t.Context(), func() {}
				if c.end > 0 {
					ctx, cancel = context.WithTimeout(ctx, c.end)
				}
				defer cancel()
				err := failing(t, p.Transport(base), request(t, ctx, http.MethodGet, http.NoBody))
				if !errors.Is(err, c.want) || !strings.Contains(err.Error(), "Service Unavailable") {
					t.Error(err)
				}
				for i, b := range bodies {
					if b.closed.Load() != 1 {
						t.Errorf("answer %d was closed %d times", i, b.closed.Load())
					}
				}
			})
		})
	}
}

// Claim: an error that leaves open whether a request has happened is followed by another
// attempt only if it may happen twice; one from before there was a connection always is.
func TestTransport_UnknownOutcome(t *testing.T) {
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	for name, c := range map[string]struct {
		method, key string
		err         error
		calls       int
	}{
		"a post":            {method: http.MethodPost, err: io.ErrUnexpectedEOF, calls: 1},
		"a patch":           {method: http.MethodPatch, err: &net.OpError{Op: "read", Err: io.EOF}, calls: 1},
		"a post with a key": {method: http.MethodPost, key: "k", err: io.ErrUnexpectedEOF, calls: 5},
		"a get":             {method: http.MethodGet, err: io.ErrUnexpectedEOF, calls: 5},
		"not connected":     {method: http.MethodPost, err: dial, calls: 5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				base := roundTrip(func(*http.Request) (*http.Response, error) {
					calls++
					return nil, c.err
				})
				req := request(t, t.Context(), c.method, strings.NewReader("question"))
				if c.key != "" {
					req.Header.Set("Idempotency-Key", c.key)
				}
				err := failing(t, policy(t).Transport(base), req)
				if !errors.Is(err, c.err) || calls != c.calls {
					t.Errorf("%v after %d calls, want %d", err, calls, c.calls)
				}
			})
		})
	}
}

// Claim: the library's transport says so of an address where nobody listens.
func TestTransport_NobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+l.Addr().String(), strings.NewReader("question"))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: policy(t, quick).Transport(nil)}
	resp, err := client.Do(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	var failed *call.Error
	if !errors.As(err, &failed) || failed.Attempts != 5 {
		t.Error(err)
	}
}

// Claim: Retry-After is kept to, as seconds or as a date, up to MaxDelay; what makes no
// sense is not.
func TestTransport_RetryAfter(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "30": 30 * time.Second, "date": 40 * time.Second, "3600": time.Minute, "99999999999": time.Minute, "99999999999999999999999": time.Minute,
		"-30": 0, "soon": 0, "past": 0, "1.5": 0,
	} {
		t.Run(text, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				header := text
				switch text {
				case "date":
					header = time.Now().Add(40 * time.Second).UTC().Format(http.TimeFormat)
				case "past":
					header = time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
				}
				var at []time.Time
				base := roundTrip(func(*http.Request) (*http.Response, error) {
					at = append(at, time.Now())
					resp := answer(http.StatusTooManyRequests, http.NoBody)
					resp.Header.Set("Retry-After", header)
					return resp, nil
				})
				p := policy(t, func(c *call.Config) { c.Attempts = 2 })
				resp, err := p.Transport(base).RoundTrip(request(t, t.Context(), http.MethodPost, http.NoBody))
				if err != nil || len(at) != 2 {
					t.Fatalf("%v after %d attempts", err, len(at))
				}
				_ = resp.Body.Close()
				pause := at[1].Sub(at[0])
				if want == 0 && (pause < 750*time.Millisecond || pause > 1250*time.Millisecond) || want > 0 && pause != want {
					t.Errorf("a pause of %v, want %v", pause, want)
				}
			})
		})
	}
}

// Claim: an answer that comes when the time of its attempt is over, from a base that does
// not heed that, is none: it is closed, and its attempt took too long.
func TestTransport_LateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, one, func(c *call.Config) { c.Timeout = time.Second })
		body := &tracked{Reader: strings.NewReader("answer")}
		base := roundTrip(func(*http.Request) (*http.Response, error) {
			time.Sleep(2 * time.Second)
			return answer(http.StatusOK, body), nil
		})
		err := failing(t, p.Transport(base), request(t, t.Context(), http.MethodGet, http.NoBody))
		if !errors.Is(err, call.ErrTimeout) || body.closed.Load() != 1 {
			t.Errorf("%v; the body was closed %d times", err, body.closed.Load())
		}
	})
}

// duplex is the body of an answer that switches protocols.
type duplex struct {
	tracked
	bytes.Buffer
}

func (d *duplex) Read(b []byte) (int, error) { return d.Buffer.Read(b) }

// idle is a base that can end idle connections.
type idle struct {
	roundTrip

	ended int
}

func (i *idle) CloseIdleConnections() { i.ended++ }

// Claim: what else a base can do is not lost: a body that can be written to, and the end
// of connections that are idle; a request without a URL is the base's to refuse.
func TestTransport_KeepsWhatTheBaseCan(t *testing.T) {
	stream := new(duplex)
	base := &idle{roundTrip: func(req *http.Request) (*http.Response, error) {
		if req.URL == nil {
			return nil, errBroken
		}
		return answer(http.StatusSwitchingProtocols, stream), nil
	}}
	transport := policy(t).Transport(base)
	resp, err := transport.RoundTrip(request(t, t.Context(), http.MethodGet, http.NoBody))
	if err != nil {
		t.Fatal(err)
	}
	w, ok := resp.Body.(io.Writer)
	if !ok {
		t.Fatal("the body cannot be written to")
	}
	_, _ = io.WriteString(w, "hello")
	if err := resp.Body.Close(); err != nil || stream.String() != "hello" || stream.closed.Load() != 1 {
		t.Errorf("%q, %v", stream.String(), err)
	}
	(&http.Client{Transport: transport}).CloseIdleConnections()
	if base.ended != 1 {
		t.Errorf("idle connections were ended %d times", base.ended)
	}
	if err := failing(t, transport, &http.Request{Method: http.MethodGet}); !errors.Is(err, errBroken) {
		t.Errorf("without a URL: %v", err)
	}
}

// Claim: requests through one transport do not get into each other's way, when some
// answers are bad and some callers give up. The race detector judges.
func TestTransport_Concurrently(t *testing.T) {
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		switch n.Add(1) % 4 {
		case 0:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 1:
			select {
			case <-time.After(time.Second):
			case <-r.Context().Done():
			}
		}
		_, _ = w.Write(sent)
	}))
	defer server.Close()
	p := policy(t, quick, func(c *call.Config) { c.Failures, c.Rate, c.RetryShare, c.Timeout = 1<<30, -1, 4, 200*time.Millisecond })
	client := &http.Client{Transport: p.Transport(nil)}
	var all sync.WaitGroup
	var answered atomic.Int64
	for i := range 50 {
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i%10 == 0 {
				time.AfterFunc(10*time.Millisecond, cancel)
			}
			want := strings.Repeat(string(rune('a'+i%26)), 1000)
			req, err := http.NewRequestWithContext(ctx, http.MethodPut, server.URL, strings.NewReader(want))
			if err != nil {
				t.Error(err)
				return
			}
			resp, err := client.Do(req)
			if err != nil {
				return
			}
			defer func() { _ = resp.Body.Close() }()
			got, err := io.ReadAll(resp.Body)
			if resp.StatusCode == http.StatusOK && (err == nil && string(got) != want) {
				t.Errorf("asked %.3q, answered %.3q", want, got)
			}
			if resp.StatusCode == http.StatusOK && err == nil {
				answered.Add(1)
			}
		})
	}
	all.Wait()
	if answered.Load() == 0 {
		t.Error("none was answered")
	}
}
