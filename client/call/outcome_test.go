// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package call_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser/client/call"
)

var errCause = errors.New("the day is over")

// Claim: an error says of which target, after how many attempts and why, once each; it
// matches its reason, and the last attempt's error.
func TestError(t *testing.T) {
	transient := func(context.Context) (int, error) { return 0, call.Transient(errBroken) }
	for name, c := range map[string]struct {
		change func(*call.Config)
		open   bool
		f      func(context.Context) (int, error)
		end    time.Duration // of the caller, 0 for not
		cause  error
		want   call.Error
		text   string
		is     []error
	}{
		"the last attempt decides": {
			f: fails, want: call.Error{Attempts: 1, Err: errBroken}, text: `call "model", attempt 1: broken`,
		},
		"no more attempts": {
			change: func(c *call.Config) { c.Attempts = 2 },
			f:      transient, want: call.Error{Attempts: 2, Err: errBroken}, text: `call "model", attempt 2: broken`,
		},
		"no repetition": {
			change: one, f: transient, want: call.Error{Attempts: 1, Err: errBroken}, text: `call "model", attempt 1: broken`,
		},
		"the breaker is open": {
			change: one, open: true,
			f: works, want: call.Error{Reason: call.ErrOpen}, text: `call "model": the circuit breaker is open`,
		},
		"the breaker opens": {
			change: func(c *call.Config) { c.Failures = 1 },
			f:      transient, want: call.Error{Attempts: 1, Reason: call.ErrOpen, Err: errBroken}, text: `call "model", attempt 1: the circuit breaker is open: broken`,
		},
		"no budget": {
			change: func(c *call.Config) { c.RetryShare = -1 },
			f:      transient, want: call.Error{Attempts: 1, Reason: call.ErrBudget, Err: errBroken}, text: `call "model", attempt 1: the retry budget is used up: broken`,
		},
		"the rate": {
			change: func(c *call.Config) {
				c.PerSecond, c.MaxWait, c.Delay, c.MaxDelay = 1, -1, time.Millisecond, time.Millisecond
			},
			f: transient, want: call.Error{Attempts: 1, Reason: call.ErrRate, Err: errBroken}, text: `call "model", attempt 1: the rate limit is reached: broken`,
		},
		"it takes too long": {
			change: one, f: hangs, want: call.Error{Attempts: 1, Err: call.ErrTimeout}, text: `call "model", attempt 1: the attempt took too long`,
		},
		"it takes too long, and says more": {
			change: one, f: func(ctx context.Context) (int, error) {
				<-ctx.Done()
				return 0, errBroken
			}, want: call.Error{Attempts: 1, Err: call.ErrTimeout}, text: `call "model", attempt 1: the attempt took too long: broken`, is: []error{errBroken},
		},
		"the caller's time is over": {
			f: hangs, end: time.Second, want: call.Error{Attempts: 1, Reason: context.DeadlineExceeded}, text: `call "model", attempt 1: context deadline exceeded`,
		},
		"the caller's time is over in a pause": {
			f: transient, end: 100 * time.Millisecond, want: call.Error{Attempts: 1, Reason: context.DeadlineExceeded, Err: errBroken},
			text: `call "model", attempt 1: context deadline exceeded: broken`,
		},
		"the caller's time is over, for a cause": {
			f: hangs, end: time.Second, cause: errCause, want: call.Error{Attempts: 1, Reason: context.DeadlineExceeded},
			text: `call "model", attempt 1: context deadline exceeded: the day is over`, is: []error{errCause},
		},
		"the caller has ended before": {
			f: works, end: -1, want: call.Error{Reason: context.DeadlineExceeded}, text: `call "model": context deadline exceeded`,
		},
		"a call within": {
			f: func(context.Context) (int, error) {
				return 0, call.Permanent(&call.Error{Target: "other", Reason: call.ErrFull})
			},
			want: call.Error{Attempts: 1, Err: call.ErrFull}, text: `call "model", attempt 1: call "other": too many calls are under way`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := policy(t)
				if c.change != nil {
					p = policy(t, c.change)
				}
				if c.open {
					breakOpen(t, p, "model")
				}
				ctx, cancel := t.Context(), func() {}
				if c.end != 0 {
					ctx, cancel = context.WithTimeoutCause(ctx, c.end, c.cause)
				}
				defer cancel()
				_, err := call.Do(ctx, p, "model", c.f)
				var got *call.Error
				if !errors.As(err, &got) {
					t.Fatal(err)
				}
				if got.Target != "model" || got.Attempts != c.want.Attempts || (got.Reason == nil) != (c.want.Reason == nil) || (got.Err == nil) != (c.want.Err == nil) || err.Error() != c.text {
					t.Errorf("%+v: %v", got, err)
				}
				for _, is := range append(c.is, c.want.Reason, c.want.Err) {
					if is != nil && !errors.Is(err, is) {
						t.Errorf("%v does not match %v", err, is)
					}
				}
				timeout := errors.Is(c.want.Reason, context.DeadlineExceeded) || errors.Is(c.want.Err, call.ErrTimeout)
				if got.Timeout() != timeout {
					t.Errorf("timeout %t", got.Timeout())
				}
			})
		})
	}
}

// Claim: a caller that cancels is told so, with its cause, at once, also in a pause.
func TestError_Canceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(500*time.Millisecond, func() { cancel(errCause) })
		begin := time.Now()
		_, err := call.Do(ctx, p, "model", func(context.Context) (int, error) { return 0, call.TransientAfter(errBroken, time.Hour) })
		for _, is := range []error{context.Canceled, errCause, errBroken} {
			if !errors.Is(err, is) {
				t.Errorf("%v does not match %v", err, is)
			}
		}
		if errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 500*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

// Claim: what the target asks for is kept to up to MaxDelay, whatever it is.
func TestTransientAfter_OddTimes(t *testing.T) {
	for after, want := range map[time.Duration]time.Duration{
		-time.Hour: time.Second, math.MinInt64: time.Second, 0: time.Second, 90 * time.Second: 90 * time.Second, math.MaxInt64: 2 * time.Minute,
	} {
		synctest.Test(t, func(t *testing.T) {
			p := policy(t, func(c *call.Config) { c.MaxDelay, c.Attempts = 2*time.Minute, 2 })
			begin := time.Now()
			_, err := call.Do(t.Context(), p, "model", func(context.Context) (int, error) { return 0, call.TransientAfter(errBroken, after) })
			took := time.Since(begin)
			if want == time.Second && took >= want*3/4 && took <= want*5/4 { // the pause of nothing said, with its jitter
				took = want
			}
			if !errors.Is(err, errBroken) || took != want {
				t.Errorf("asked for %v: a pause of %v", after, took)
			}
		})
	}
}

// Claim: an answer counts, also one that comes when the attempt's time or the caller's
// is over.
func TestDo_LateAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, func(c *call.Config) { c.Timeout = 2 * time.Second })
		calls := 0
		late := func(ctx context.Context) (int, error) {
			calls++
			<-ctx.Done()
			return calls, nil
		}
		if got, err := call.Do(t.Context(), p, "model", late, call.Idempotent()); got != 1 || err != nil {
			t.Errorf("after the attempt's time: %d, %v", got, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got, err := call.Do(ctx, p, "model", late, call.Idempotent()); got != 2 || err != nil {
			t.Errorf("after the caller's time: %d, %v", got, err)
		}
	})
}

// Claim: results of all kinds come back as they are, nil ones too.
func TestDo_Results(t *testing.T) {
	p := policy(t)
	if got, err := call.Do(t.Context(), p, "a", func(context.Context) (error, error) { return nil, nil }); got != nil || err != nil { //nolint:nilnil // a result that is nil
		t.Errorf("nil of an interface: %v, %v", got, err)
	}
	if got, err := call.Do(t.Context(), p, "a", func(context.Context) (error, error) { return io.EOF, nil }); !errors.Is(got, io.EOF) || err != nil {
		t.Errorf("an error as the result: %v, %v", got, err)
	}
	var none *call.Error
	if got, err := call.Do(t.Context(), p, "a", func(context.Context) (error, error) { return none, nil }); got == nil || err != nil {
		t.Errorf("a nil pointer in an interface: %v, %v", got, err)
	}
	if got, err := call.Do(t.Context(), p, "a", func(context.Context) (*int, error) { return nil, nil }); got != nil || err != nil { //nolint:nilnil // a result that is nil
		t.Errorf("a nil pointer: %v, %v", got, err)
	}
	if got, err := call.Do(t.Context(), p, "a", func(context.Context) (any, error) { return nil, nil }); got != nil || err != nil { //nolint:nilnil // a result that is nil
		t.Errorf("nil of any: %v, %v", got, err)
	}
	if got, err := call.Do(t.Context(), p, "a", func(context.Context) (fmt.Stringer, error) { return time.Second, errBroken }); got != nil || err == nil {
		t.Errorf("a result beside an error: %v, %v", got, err)
	}
}

// Claim: a panic of f, in its first attempt or a later one, reaches the caller as it is,
// and so does the end of its goroutine; slots are given back.
func TestDo_Panics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, func(c *call.Config) { c.Concurrent, c.MaxWait = 1, -1 })
		for range 3 {
			attempt := 0
			func() {
				defer func() {
					if v := recover(); v != errCause { //nolint:errorlint // the very value
						t.Errorf("recovered %v", v)
					}
				}()
				_, _ = call.Do(t.Context(), p, "model", func(context.Context) (int, error) {
					if attempt++; attempt == 2 {
						panic(errCause)
					}
					return 0, call.Transient(errBroken)
				})
			}()
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = call.Do(t.Context(), p, "model", func(context.Context) (int, error) {
				runtime.Goexit()
				return 0, nil
			})
		}()
		<-ended
		if _, err := call.Do(t.Context(), p, "model", works); err != nil {
			t.Error(err)
		}
		if got := targetOf(t, p, "model"); got.UnderWay != 0 {
			t.Errorf("%+v", got)
		}
	})
}
