// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/health"
)

// Registration is what an instance tells others.
type Registration struct {
	// Service is the name of what it is an instance of. Required.
	Service string
	// Address is where it can be called, in whatever form its callers take. Required, 1
	// KiB at most.
	Address string
	// Labels say more, such as a zone or a version; 16 KiB in all at most.
	Labels map[string]string
	// Load returns how busy it is: any number that grows with its work, by the same
	// measure in all instances, such as the calls under way. Nil is always 0. It is
	// called every second, and must not block.
	Load func() float64
	// Health are its checks; nil is none. While one fails, callers go to others.
	Health *health.Monitor
	// TTL is how soon others notice that it is gone when it does not say so; 0 is
	// hawser.DefaultTTL.
	TTL time.Duration
	// Logger is told when it is not registered for a while; nil is slog.Default().
	Logger *slog.Logger
}

// record is the state of the agent of an instance.
type record struct {
	Address string            `json:"address"`
	Labels  map[string]string `json:"labels,omitempty"`
}

const (
	maxAddress, maxLabels = 1 << 10, 16 << 10
	// reportEvery is how often load and health are told.
	reportEvery = time.Second
	// metricLoad is the name under which the load is told.
	metricLoad = "load"
	// releaseTime bounds the end of a registration.
	releaseTime = 5 * time.Second
	// retryPause is between two attempts to register.
	retryPause = 500 * time.Millisecond
	schema     = "hawser.registry/1"
	// sweepAfter is how old the record of an instance is that may be swept, sweepTime how
	// long that may take.
	sweepAfter, sweepTime = 24 * time.Hour, 30 * time.Second
)

// Register has others know of this instance, under the name of the client's instance
// (client.Config.Instance), until ctx ends; then it says that it is gone, and returns
// nil. When the claim is lost, because this process stood still for example, it
// registers anew. An instance of the same name that comes later waits until this one is
// gone. Errors match hawser.ErrInvalid, or are those of the store that do not pass.
func Register(ctx context.Context, c *client.Client, r Registration) error {
	state, err := r.encode()
	if err != nil {
		return err
	}
	if r.Logger == nil {
		r.Logger = slog.Default()
	}
	if r.TTL == 0 {
		r.TTL = hawser.DefaultTTL
	}
	for ctx.Err() == nil {
		err := r.serve(ctx, c, state)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end was asked for
		}
		if hawser.CodeOf(err).Retry() == hawser.RetryNever && !errors.Is(err, hawser.ErrOwnershipLost) && !errors.Is(err, hawser.ErrFenced) && !errors.Is(err, hawser.ErrDeadline) {
			return err
		}
		r.Logger.Warn("registry: this instance is not registered; it tries again", "service", r.Service, "instance", c.Instance(), "error", err)
		_ = sleep(ctx, retryPause)
	}
	return nil
}

// encode returns the record, or what is wrong with the registration.
func (r *Registration) encode() ([]byte, error) {
	size := 0
	for k, v := range r.Labels {
		size += len(k) + len(v)
	}
	if _, err := hawser.NewAgentID(hawser.DefaultNamespace, r.Service); err != nil {
		return nil, err
	}
	if r.Address == "" || len(r.Address) > maxAddress || size > maxLabels {
		return nil, &hawser.Error{
			Code: hawser.CodeInvalid, Op: "register", Key: r.Service,
			Msg: fmt.Sprintf("it needs an address of at most %d bytes, and labels of at most %d", maxAddress, maxLabels),
		}
	}
	return json.Marshal(record{r.Address, r.Labels})
}

// agentOf returns the name of the agent of an instance.
func agentOf(service, instance string) string {
	return strings.TrimSuffix(service, "/") + "/" + url.PathEscape(instance)
}

// serve is registered until the claim or ctx ends.
func (r *Registration) serve(ctx context.Context, c *client.Client, state []byte) error {
	var reporter client.Reporter
	reporter.Set(r.report())
	claim, err := c.Agent(agentOf(r.Service, c.Instance())).Claim(ctx, client.TTL(r.TTL), client.Reports(&reporter))
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
		defer cancel()
		_ = claim.Delete(ctx)  // else a later instance does
		_ = claim.Release(ctx) // else it ends with its time to live
	}()
	if _, err := claim.Save(ctx, state, client.Schema(schema), client.ContentType("application/json")); err != nil {
		return err
	}
	var tasks sync.WaitGroup
	defer tasks.Wait()
	sweeping, stop := context.WithCancel(ctx)
	defer stop()
	tasks.Go(func() { r.sweep(sweeping, c) })
	ticker := time.NewTicker(reportEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			reporter.Set(r.report())
		case <-claim.Done():
			return claim.Err()
		case <-ctx.Done():
			return nil
		}
	}
}

// sweep deletes records of instances that are long gone and could not do it themselves.
func (r *Registration) sweep(ctx context.Context, c *client.Client) {
	ctx, cancel := context.WithTimeout(ctx, sweepTime)
	defer cancel()
	before := time.Now().Add(-sweepAfter)
	for a, err := range c.Agents(ctx, strings.TrimSuffix(r.Service, "/")+"/", client.Stale()) {
		if err != nil {
			return // the next one does it
		}
		if a.Version == nil || a.Version.Schema != schema || a.Version.CreatedAt.After(before) {
			continue
		}
		claim, err := c.Agent(a.ID.Name).Claim(ctx, client.NoWait())
		if err != nil {
			continue // it lives
		}
		_ = claim.Delete(ctx)
		_ = claim.Release(ctx)
	}
}

// report is what goes with the signs of life. That there are steps nobody is to expect.
func (r *Registration) report() hawser.HealthReport {
	report := hawser.HealthReport{Waiting: true}
	if r.Load != nil {
		if load := r.Load(); !math.IsNaN(load) && !math.IsInf(load, 0) {
			report.Metrics = []hawser.Metric{{Name: metricLoad, Value: load}}
		}
	}
	if r.Health != nil {
		report.Problem = strings.Join(r.Health.Report().Unhealthy(), "; ")
	}
	return report
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
