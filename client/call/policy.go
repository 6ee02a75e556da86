// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package call

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hawserdb/hawser"
)

// Config says how calls are made. Zero values are the defaults that are named.
type Config struct {
	// Attempts is the most of one call; 5.
	Attempts int
	// Delay is the pause before the second attempt, 1 s; each one after it is Factor
	// times as long, 2, up to MaxDelay, 60 s.
	Delay, MaxDelay time.Duration
	Factor          float64
	// Timeout bounds an attempt; 30 s.
	Timeout time.Duration

	// Failures in a row open a target's breaker, 5, and so does the part Rate of at
	// least RateOf attempts within RatePeriod: 0.5 of 20 within 60 s. It stays open for
	// OpenFor, 60 s; then one attempt decides.
	Failures   uint
	Rate       float64
	RateOf     uint
	RatePeriod time.Duration
	OpenFor    time.Duration

	// Concurrent bounds the attempts of a target that are under way, 64, and MaxWait
	// how long one waits for others, 1 s.
	Concurrent uint
	MaxWait    time.Duration
	// PerSecond bounds the attempts of a target; 0 is not.
	PerSecond uint
	// Hedge is after how long a call that may happen twice ([Idempotent]) is made a
	// second time beside the first; 0 is never. The first answer counts.
	Hedge time.Duration
	// RetryShare is the most that repetitions, hedges included, may be of all calls,
	// 0.2; a few are possible before that counts.
	RetryShare float64
	// MaxTargets bounds what is remembered; 1024. The one that was called longest ago is
	// forgotten.
	MaxTargets int

	// Classify gives an error a class that was not marked by [Permanent], [Transient] or
	// [Unknown], and is no timeout. Nil: it is unknown.
	Classify func(error) Class
	// OnChange is told of breakers that open and close. It must not block.
	OnChange func(Change)
	// Shared tells other instances of what this one finds out; nil does not.
	Shared Shared
}

// State is that of a target's breaker.
type State string

// The states.
const (
	Closed   State = "closed"
	Open     State = "open"
	HalfOpen State = "half-open"
)

// Change is one of a breaker.
type Change struct {
	Target   string
	From, To State
	At       time.Time
}

// Shared is where instances tell each other of breakers that are open. It is for
// concurrent use, and must not block for long.
type Shared interface {
	// OpenUntil returns until when others leave the target alone; zero for not.
	OpenUntil(target string) time.Time
	// Opened tells others to.
	Opened(target string, until time.Time)
}

// Target is what is known of one.
type Target struct {
	Name  string
	State State
	// Calls were made, of which Failed have failed in the end; Attempts count
	// repetitions too, Refused those calls that were refused here.
	Calls, Failed, Attempts, Refused uint64
	// Last is when it was called last.
	Last time.Time
}

// Policy makes calls. It is safe for concurrent use.
type Policy struct {
	cfg    Config
	budget *tokens

	mu      sync.Mutex
	targets map[string]*target
}

func orDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// New returns a policy. Errors match hawser.ErrInvalid.
func New(cfg Config) (*Policy, error) {
	orDefault(&cfg.Attempts, 5)
	orDefault(&cfg.Delay, time.Second)
	orDefault(&cfg.MaxDelay, time.Minute)
	orDefault(&cfg.Factor, 2)
	orDefault(&cfg.Timeout, 30*time.Second)
	orDefault(&cfg.Failures, 5)
	orDefault(&cfg.Rate, 0.5)
	orDefault(&cfg.RateOf, 20)
	orDefault(&cfg.RatePeriod, time.Minute)
	orDefault(&cfg.OpenFor, time.Minute)
	orDefault(&cfg.Concurrent, 64)
	orDefault(&cfg.MaxWait, time.Second)
	orDefault(&cfg.RetryShare, 0.2)
	orDefault(&cfg.MaxTargets, 1024)
	bad := ""
	switch {
	case cfg.Attempts < 1 || cfg.MaxTargets < 1:
		bad = fmt.Sprintf("%d attempts and %d targets must be 1 or more", cfg.Attempts, cfg.MaxTargets)
	case cfg.Delay < 0 || cfg.MaxDelay < cfg.Delay || cfg.Factor < 1:
		bad = fmt.Sprintf("a delay of %v, times %v, up to %v makes no sense", cfg.Delay, cfg.Factor, cfg.MaxDelay)
	case cfg.Timeout < 0 || cfg.RatePeriod < 0 || cfg.OpenFor < 0 || cfg.MaxWait < 0 || cfg.Hedge < 0:
		bad = "times must not be negative"
	case cfg.Rate < 0 || cfg.Rate > 1 || cfg.RetryShare < 0 || cfg.RetryShare > 1:
		bad = fmt.Sprintf("a failure rate of %v and a retry share of %v must lie between 0 and 1", cfg.Rate, cfg.RetryShare)
	}
	if bad != "" {
		return nil, &hawser.Error{Code: hawser.CodeInvalid, Op: "call policy", Msg: bad}
	}
	return &Policy{cfg: cfg, budget: newTokens(cfg.RetryShare), targets: map[string]*target{}}, nil
}

// target returns that of a name, and notes that it is called.
func (p *Policy) target(name string) *target {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.targets[name]
	if t == nil {
		if len(p.targets) >= p.cfg.MaxTargets {
			p.forgetLocked()
		}
		t = p.newTarget(name)
		p.targets[name] = t
	}
	t.last = time.Now()
	return t
}

// forgetLocked forgets the target that was called longest ago.
func (p *Policy) forgetLocked() {
	var oldest *target
	for _, t := range p.targets {
		if oldest == nil || t.last.Before(oldest.last) {
			oldest = t
		}
	}
	if oldest != nil {
		delete(p.targets, oldest.name)
	}
}

// Targets returns what is known of each, by name.
func (p *Policy) Targets() []Target {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]Target, 0, len(p.targets))
	for _, t := range p.targets {
		list = append(list, Target{
			Name: t.name, State: t.state(), Calls: t.calls.Load(), Failed: t.failed.Load(), Attempts: t.attempts.Load(), Refused: t.refused.Load(), Last: t.last,
		})
	}
	slices.SortFunc(list, func(a, b Target) int { return cmp.Or(strings.Compare(a.Name, b.Name)) })
	return list
}
