// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package call

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go"

	"github.com/hawserdb/hawser"
)

// Config says how calls are made. Zero values are the defaults that are named; what can
// be switched off says how.
type Config struct {
	// Attempts is the most of one call, hedges not counted; 5. One is no repetition.
	Attempts int
	// Delay is the pause before the second attempt, 1 s; each one after it is Factor
	// times as long, 2, up to MaxDelay, 60 s.
	Delay, MaxDelay time.Duration
	Factor          float64
	// Timeout bounds an attempt; 30 s.
	Timeout time.Duration

	// Failures in a row open a target's breaker, 5, and so does the part Rate of at
	// least RateOf attempts within RatePeriod: 0.5 of 20 within 60 s. It stays open for
	// OpenFor, 60 s; then one attempt decides. Failures of math.MaxUint and a negative
	// Rate are never.
	Failures   uint
	Rate       float64
	RateOf     uint
	RatePeriod time.Duration // 1 ms or more
	OpenFor    time.Duration

	// Concurrent bounds the attempts of a target that are under way, 64; MaxConcurrent
	// is as good as no bound.
	Concurrent uint
	// PerSecond bounds the attempts of a target, up to 1e9; 0 is no bound.
	PerSecond uint
	// MaxWait bounds how long an attempt waits for each of the two, 1 s; negative is not
	// at all.
	MaxWait time.Duration
	// Hedge is after how long a call that may happen twice ([Idempotent]) is made a
	// second time beside the first; 0 is never. The first answer counts.
	Hedge time.Duration
	// RetryShare is the most that repetitions, hedges included, may be of all calls,
	// 0.2; a few are possible before that counts. Twice Attempts is no bound, negative is
	// none at all.
	RetryShare float64
	// MaxTargets bounds what is remembered; 1024. The one that was called longest ago is
	// forgotten, but none that is being called or whose breaker is open: when all are, a
	// call of another one fails with ErrFull.
	MaxTargets int

	// Classify gives an error a class that was not marked by [Permanent], [Transient] or
	// [Unknown], and is no timeout. Nil: it is unknown.
	Classify func(error) Class
	// OnChange is told of breakers that open and close, one change of a target at a time
	// and in their order. It must not block.
	OnChange func(Change)
	// Shared tells other instances of what this one finds out; nil does not.
	Shared Shared
}

// MaxConcurrent is the most that Config.Concurrent may be.
const MaxConcurrent = math.MaxInt32

// Policy makes calls. It is safe for concurrent use.
type Policy struct {
	cfg     Config
	budget  *tokens
	retries failsafe.Policy[any]
	hedge   failsafe.Policy[any] // nil for none

	mu      sync.Mutex
	targets map[string]*target
}

// New returns a policy. Errors match hawser.ErrInvalid, and name all that is wrong.
func New(cfg Config) (*Policy, error) {
	cfg = cfg.withDefaults()
	if faults := cfg.faults(); len(faults) > 0 {
		return nil, &hawser.Error{Code: hawser.CodeInvalid, Op: "call policy", Msg: strings.Join(faults, "; ")}
	}
	p := &Policy{cfg: cfg, budget: newTokens(cfg.RetryShare), retries: newRetries(), targets: map[string]*target{}}
	if cfg.Hedge > 0 {
		p.hedge = newHedge(cfg.Hedge)
	}
	return p, nil
}

func orDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

func (c Config) withDefaults() Config {
	orDefault(&c.Attempts, 5)
	orDefault(&c.Delay, time.Second)
	orDefault(&c.MaxDelay, time.Minute)
	orDefault(&c.Factor, 2)
	orDefault(&c.Timeout, 30*time.Second)
	orDefault(&c.Failures, 5)
	orDefault(&c.Rate, 0.5)
	orDefault(&c.RateOf, 20)
	orDefault(&c.RatePeriod, time.Minute)
	orDefault(&c.OpenFor, time.Minute)
	orDefault(&c.Concurrent, 64)
	orDefault(&c.MaxWait, time.Second)
	orDefault(&c.RetryShare, 0.2)
	orDefault(&c.MaxTargets, 1024)
	c.MaxWait = max(c.MaxWait, 0) // the library waits for ever when it is -1
	return c
}

// faults returns what is wrong with a config that has its defaults. The bounds are those
// beyond which the library panics. Conditions are what must hold, so that NaN does not.
func (c Config) faults() []string {
	var faults []string
	must := func(holds bool, format string, args ...any) {
		if !holds {
			faults = append(faults, fmt.Sprintf(format, args...))
		}
	}
	must(c.Attempts >= 1, "Attempts is %d, and must be 1 or more", c.Attempts)
	must(c.Delay >= 0 && c.MaxDelay >= c.Delay, "Delay is %v and MaxDelay %v: must not be negative, nor the first above the second", c.Delay, c.MaxDelay)
	must(c.Factor >= 1, "Factor is %v, and must be 1 or more", c.Factor)
	must(c.Timeout > 0, "Timeout is %v, and must not be negative", c.Timeout)
	must(c.Rate <= 1, "Rate is %v, and must be 1 or less", c.Rate)
	must(c.RatePeriod >= time.Millisecond, "RatePeriod is %v, and must be 1ms or more", c.RatePeriod)
	must(c.OpenFor > 0, "OpenFor is %v, and must not be negative", c.OpenFor)
	must(c.Concurrent <= MaxConcurrent, "Concurrent is %d, and must be %d or less", c.Concurrent, MaxConcurrent)
	must(c.PerSecond <= 1e9, "PerSecond is %d, and must be 1e9 or less", c.PerSecond)
	must(c.Hedge >= 0, "Hedge is %v, and must not be negative", c.Hedge)
	must(c.RetryShare <= math.MaxFloat32, "RetryShare is %v, and must be a finite number", c.RetryShare)
	must(c.MaxTargets >= 1, "MaxTargets is %d, and must be 1 or more", c.MaxTargets)
	return faults
}
