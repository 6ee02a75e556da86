// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"runtime/metrics"
	"time"
)

// Check is one that a [Monitor] runs by turns.
type Check struct {
	// Name tells it from others. Required.
	Name string
	// Run returns nil if all is well. It must return when its context ends. Required.
	Run func(context.Context) error
	// Interval is from one run to the next; 10 s. The first one is at once.
	Interval time.Duration
	// Timeout is how long a run may take before it counts as failed and its context
	// ends; 10 s.
	Timeout time.Duration
	// Limits are those of its results. Limits.Window is 30 intervals by default.
	Limits Limits
	// ReadyOnly: while it fails the instance is not ready, but it is not unhealthy
	// either. For what others do: that a model does not answer is no reason to end the
	// agent that asks it.
	ReadyOnly bool
}

// Memory returns a check that fails when the Go runtime holds more memory than so many
// bytes: what it has from the system, less what it has given back, which is what
// GOMEMLIMIT means too. Memory that C code or mappings take is not in it. It stops
// nothing and costs microseconds.
func Memory(limit uint64) func(context.Context) error {
	return func(context.Context) error {
		if held := held(); held > limit {
			return fmt.Errorf("%d MiB are held, more than %d MiB", held>>20, limit>>20)
		}
		return nil
	}
}

// held returns the bytes that the runtime holds.
func held() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	for _, s := range samples {
		if s.Value.Kind() != metrics.KindUint64 {
			return 0 // a runtime that does not tell
		}
	}
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}

// Goroutines returns a check that fails when there are more than so many.
func Goroutines(limit int) func(context.Context) error {
	return func(context.Context) error {
		if n := runtime.NumGoroutine(); n > limit {
			return fmt.Errorf("%d goroutines, more than %d", n, limit)
		}
		return nil
	}
}

// maxBody is how much of an answer is read, in bytes.
const maxBody = 64 << 10

// HTTP returns a check that asks for a URL and fails unless the answer has the status,
// or any from 200 to 299 for 0. Up to 64 KiB of the answer are read, and count for the
// time that it takes. Each run makes a connection of its own and follows no
// redirection, and says nothing of the address in its errors, since that may hold a
// secret. A nil client is one with the defaults; another one is not changed, and
// follows redirections as it says.
func HTTP(client *http.Client, address string, status int) func(context.Context) error {
	if client == nil {
		client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
		if err != nil {
			return errors.New("the address is not valid")
		}
		request.Close = true
		answer, err := client.Do(request)
		if err != nil {
			if outer, ok := errors.AsType[*url.Error](err); ok {
				return outer.Err // without the address, which may hold a secret
			}
			return err
		}
		defer func() { _ = answer.Body.Close() }()
		if answer.StatusCode != status && (status != 0 || answer.StatusCode < 200 || answer.StatusCode > 299) {
			return fmt.Errorf("status %s", answer.Status)
		}
		_, err = io.Copy(io.Discard, io.LimitReader(answer.Body, maxBody))
		return err
	}
}

func orDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}
