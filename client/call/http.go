// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package call

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Of an answer that is dropped so much is read, and for so long, so that its connection
// can be used again. There was a pause since it came: what is there is there at once.
const (
	maxDrained  = 64 << 10
	maxDraining = 50 * time.Millisecond
)

// Transport makes the requests of an HTTP client calls of this policy; their target
// is the host. Nil is http.DefaultTransport.
//
// Transient are answers 408, 425, 429 and 503, after their Retry-After, and errors
// before there was a connection; unknown are other answers of 500 and above, and all
// other errors. Requests with a method that is idempotent (RFC 9110, section 9.2.2) or
// with an Idempotency-Key may happen twice. One with a body is tried again only if it
// has GetBody. Nothing is hedged.
//
// When the last attempt decides and was answered, the answer is returned, whatever it
// says; when there was no other attempt for another reason (the breaker has opened, the
// budget is used up, the caller has ended) that is the error, an *[Error]. The timeout
// of an attempt ends when its answer begins.
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
type answerError struct{ status string }

// Error implements error.
func (a *answerError) Error() string { return "it answered " + a.status }

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL == nil {
		return t.base.RoundTrip(req) // which says so
	}
	var last *http.Response // that of the last attempt, when it says that the target is not well
	sent := false           // the body is the base's to close
	resp, err := Do(req.Context(), t.policy, req.URL.Host, func(ctx context.Context) (*http.Response, error) {
		drop(last)
		last = nil
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
			last = resp
			return nil, err
		}
		return resp, nil
	}, optionsOf(req))
	if !sent && req.Body != nil {
		_ = req.Body.Close() // as is every round tripper's duty
	}
	if failed, ok := errors.AsType[*Error](err); ok && failed.Reason == nil && last != nil {
		return last, nil
	}
	drop(last)
	return resp, err
}

// CloseIdleConnections is what http.Client.CloseIdleConnections calls.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// optionsOf says how often a request may happen.
func optionsOf(req *http.Request) Option {
	return func(o *options) {
		o.twice, o.alone = mayHappenTwice(req), true
		o.once = hasBody(req) && req.GetBody == nil
	}
}

func hasBody(req *http.Request) bool { return req.Body != nil && req.Body != http.NoBody }

// repeat returns the request for an attempt; sent says that it was sent before.
func repeat(req *http.Request, sent bool) (*http.Request, error) {
	if !sent || !hasBody(req) {
		return req, nil
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, Permanent(fmt.Errorf("its body cannot be sent again: %w", err))
	}
	r := *req
	r.Body = body
	return &r, nil
}

// send sends a request. Ctx bounds the time until the answer begins.
func (t *transport) send(ctx context.Context, req *http.Request) (*http.Response, error) {
	whole, cancel := context.WithCancel(req.Context())
	stop := context.AfterFunc(ctx, cancel)
	resp, err := t.base.RoundTrip(req.WithContext(whole)) //nolint:contextcheck // the body is the caller's, and outlives ctx
	inTime := stop()
	if err != nil {
		cancel()
		return nil, asUnsent(err)
	}
	resp.Body = bodyOf(resp, cancel)
	if !inTime {
		drop(resp)
		return nil, context.Cause(ctx)
	}
	return resp, nil
}

// asUnsent marks an error from before there was a connection: nothing was sent.
func asUnsent(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "dial" || op.Op == "proxyconnect") {
		return Transient(err)
	}
	return err
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

// duplex is the body of an answer that switches protocols.
type duplex struct {
	*body
	io.Writer
}

func bodyOf(resp *http.Response, cancel context.CancelFunc) io.ReadCloser {
	b := &body{resp.Body, cancel}
	if w, ok := resp.Body.(io.Writer); ok {
		return &duplex{b, w}
	}
	return b
}

// judged returns the error that an answer is, nil for none.
func judged(resp *http.Response) error {
	err := &answerError{resp.Status}
	switch s := resp.StatusCode; s {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return TransientAfter(err, retryAfter(resp))
	default:
		if s >= http.StatusInternalServerError {
			return Unknown(err)
		}
	}
	return nil
}

// retryAfter is what the answer asks for, in seconds or as a date (RFC 9110, section
// 10.2.3); 0 when it asks for nothing that makes sense.
func retryAfter(resp *http.Response) time.Duration {
	text := resp.Header.Get("Retry-After")
	seconds, err := strconv.ParseUint(text, 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, math.MaxInt64/uint64(time.Second))) * time.Second //nolint:gosec // it is bounded
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

// drop gives up an answer that send has returned, nil for none.
func drop(resp *http.Response) {
	if resp == nil {
		return
	}
	ended := make(chan struct{})
	closing := time.AfterFunc(maxDraining, func() {
		_ = resp.Body.Close()
		close(ended)
	})
	_, _ = io.CopyN(io.Discard, resp.Body, maxDrained)
	if closing.Stop() {
		_ = resp.Body.Close()
		return
	}
	<-ended
}
