// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package call

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxDrained bounds what is read of an answer that is dropped, so that its
// connection can be used again.
const maxDrained = 64 << 10

// Transport makes the requests of an HTTP client calls of this policy; their target
// is the host. Nil is http.DefaultTransport.
//
// Transient are answers 429 and 503, after their Retry-After, and errors before the
// request could be sent; unknown are other answers of 500 and above, and all other
// errors. Requests with a method that is idempotent (RFC 9110, section 9.2.2) or with
// an Idempotency-Key may happen twice. One with a body is tried again only if it
// has GetBody. When the last attempt was answered the answer is returned, whatever it
// says; the timeout of an attempt ends when its answer begins. Nothing is hedged.
func (p *Policy) Transport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{policy: p, base: base}
}

type transport struct {
	policy *Policy
	base   http.RoundTripper
}

// answerError is an answer that says that the target is not well.
type answerError struct{ resp *http.Response }

// Error implements error.
func (a *answerError) Error() string { return a.resp.Status }

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	var before *http.Response // that of the attempt before
	sent := false
	again := mayHappenTwice(req)
	try := func(ctx context.Context) (*http.Response, error) {
		drop(before)
		before = nil
		r, err := repeat(req, sent)
		if err != nil {
			return nil, err
		}
		sent = true
		resp, err := t.send(ctx, r)
		if err != nil {
			return nil, err
		}
		if err := judged(resp); err != nil {
			before = resp
			return nil, err
		}
		return resp, nil
	}
	var opts []Option
	if again {
		opts = append(opts, withoutHedge())
	}
	resp, err := Do(req.Context(), t.policy, req.URL.Host, try, opts...)
	if answered, ok := errors.AsType[*answerError](err); ok && answered.resp == before {
		return before, nil
	}
	drop(before)
	return resp, err
}

// repeat returns the request for an attempt; again says that it was sent before.
func repeat(req *http.Request, again bool) (*http.Request, error) {
	if !again {
		return req, nil
	}
	r := req.Clone(req.Context())
	if req.Body == nil || req.Body == http.NoBody {
		return r, nil
	}
	if req.GetBody == nil {
		return nil, Permanent(errors.New("its body cannot be sent again: the request has no GetBody"))
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, Permanent(fmt.Errorf("its body cannot be sent again: %w", err))
	}
	r.Body = body
	return r, nil
}

// send sends a request. Ctx bounds the time until the answer begins.
func (t *transport) send(ctx context.Context, req *http.Request) (*http.Response, error) {
	whole, cancel := context.WithCancel(req.Context())
	stop := context.AfterFunc(ctx, cancel)
	resp, err := t.base.RoundTrip(req.WithContext(whole)) //nolint:contextcheck // the body is the caller's, and outlives ctx
	stop()
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = &body{resp.Body, cancel}
	return resp, nil
}

// body ends the context of its request when it is closed.
type body struct {
	io.ReadCloser

	cancel context.CancelFunc
}

// Close implements io.Closer.
func (b *body) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// judged returns the error that an answer is, nil for none.
func judged(resp *http.Response) error {
	switch s := resp.StatusCode; {
	case s == http.StatusTooManyRequests || s == http.StatusServiceUnavailable:
		return TransientAfter(&answerError{resp}, retryAfter(resp))
	case s >= http.StatusInternalServerError:
		return Unknown(&answerError{resp})
	}
	return nil
}

// retryAfter is what the answer asks for, in seconds or as a date (RFC 9110, section
// 10.2.3).
func retryAfter(resp *http.Response) time.Duration {
	text := resp.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

func mayHappenTwice(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return req.Header.Get("Idempotency-Key") != ""
}

func drop(resp *http.Response) {
	if resp == nil {
		return
	}
	_, _ = io.CopyN(io.Discard, resp.Body, maxDrained)
	_ = resp.Body.Close()
}
