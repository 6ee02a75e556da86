// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

// Instance is one that is registered.
type Instance struct {
	Name, Address string
	Labels        map[string]string
	// Since is when it registered, by the cluster's clock.
	Since time.Time
	// Load is what it last told, and State how the cluster's leader judges it.
	Load  float64
	State hawser.HealthState
	// Token is that of its claim, by which its registrations are told apart.
	Token uint64
}

const (
	// lookEvery is how often a directory looks, lookTimeout how long that may take, and
	// lookPause what is between two looks at least.
	lookEvery, lookTimeout, lookPause = time.Second, 5 * time.Second, 20 * time.Millisecond
	// maxInstances is the most of a service.
	maxInstances = 10_000
	// restores is how many records are read at a time.
	restores = 16
)

// Directory knows the instances of a service. It is safe for concurrent use.
type Directory struct {
	client  *client.Client
	service string
	log     *slog.Logger
	cancel  context.CancelFunc
	tasks   sync.WaitGroup
	// changed has capacity 1: it is time to look.
	changed chan struct{}

	mu        sync.Mutex
	instances []Instance  // by name
	usable    []*Instance // scratch of a choice
	seen      time.Time   // when they were looked for
	// shunned are instances that have failed calls, until when; calls are those under way
	// from here.
	shunned map[string]shun
	calls   map[string]int
}

// shun is that an instance has failed calls from here.
type shun struct {
	until    time.Time
	failures int
}

// Open returns a directory of a service, with those that are registered now; there may
// be none. Close ends it. The context is for the first look only.
func Open(ctx context.Context, c *client.Client, service string) (*Directory, error) { //nolint:contextcheck // what it starts lives until Close
	if _, err := hawser.NewAgentID(hawser.DefaultNamespace, service); err != nil {
		return nil, err
	}
	d := &Directory{
		client: c, service: strings.TrimSuffix(service, "/"), log: slog.Default(), changed: make(chan struct{}, 1),
		shunned: map[string]shun{}, calls: map[string]int{},
	}
	if err := d.look(ctx); err != nil {
		return nil, err
	}
	working, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	d.tasks.Go(func() { d.listen(working) })
	d.tasks.Go(func() { d.keep(working) })
	return d, nil
}

// Close ends the directory, and waits for what it has started.
func (d *Directory) Close() {
	d.cancel()
	d.tasks.Wait()
}

// Service returns the name of the service.
func (d *Directory) Service() string { return d.service }

// Instances returns those that are known, by name, and how old that knowledge is. It is
// about a second old at most while the cluster answers; when it does not, the last that
// were known stay.
func (d *Directory) Instances() (list []Instance, age time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.instances), time.Since(d.seen)
}

// listen signals changes.
func (d *Directory) listen(ctx context.Context) {
	for ctx.Err() == nil {
		for _, err := range d.client.Watch(ctx, client.Prefix(d.service+"/"),
			client.Kinds(hawser.EventClaimGranted, hawser.EventClaimEnded, hawser.EventVersionSaved, hawser.EventHealthChanged)) {
			select {
			case d.changed <- struct{}{}:
			default:
			}
			if err != nil {
				break
			}
		}
		_ = sleep(ctx, retryPause)
	}
}

// keep looks, until ctx ends.
func (d *Directory) keep(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	failed := false
	for {
		select {
		case <-ticker.C:
		case <-d.changed:
			_ = sleep(ctx, lookPause) // for what comes with it
		case <-ctx.Done():
			return
		}
		err := d.look(ctx)
		if err != nil && ctx.Err() == nil && !failed {
			d.log.Warn("registry: the instances cannot be listed; the last that were known stay", "service", d.service, "error", err)
		}
		failed = err != nil
	}
}

// look reads who is registered, and how they do.
func (d *Directory) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	d.mu.Lock()
	known := make(map[string]Instance, len(d.instances))
	for _, i := range d.instances {
		known[i.Name] = i
	}
	d.mu.Unlock()
	var list []Instance
	for h, err := range d.client.Holdings(ctx, hawser.ResourceClaim, d.service+"/") {
		if err != nil {
			return err
		}
		i, ok := d.holder(h)
		if ok && len(list) < maxInstances {
			if k := known[i.Name]; k.Token == i.Token {
				i.Address, i.Labels = k.Address, k.Labels
			}
			list = append(list, i)
		}
	}
	if err := d.locate(ctx, list); err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(i Instance) bool { return i.Address == "" })
	d.judge(ctx, list)
	slices.SortFunc(list, func(a, b Instance) int { return strings.Compare(a.Name, b.Name) })
	d.mu.Lock()
	defer d.mu.Unlock()
	d.instances, d.seen = list, time.Now()
	for name := range d.shunned {
		if !slices.ContainsFunc(list, func(i Instance) bool { return i.Name == name }) {
			delete(d.shunned, name)
		}
	}
	return nil
}

// holder returns who holds the claim of an instance, if that is an instance of the
// service and its hold is good.
func (d *Directory) holder(h hawser.Holding) (Instance, bool) {
	segment, ok := strings.CutPrefix(h.Resource.Name.Name, d.service+"/")
	if !ok || strings.Contains(segment, "/") || len(h.Holders) == 0 || h.Holders[0].Ending {
		return Instance{}, false
	}
	name, err := url.PathUnescape(segment)
	if err != nil {
		return Instance{}, false
	}
	return Instance{Name: name, Since: h.Holders[0].Since, Token: h.Holders[0].Token, State: h.Holders[0].Health}, true
}

// locate reads the records of those of which no address is known. One that has none yet
// is left without.
func (d *Directory) locate(ctx context.Context, list []Instance) error {
	places := make(chan struct{}, restores)
	errs := make([]error, len(list))
	var group sync.WaitGroup
	for i := range list {
		if list[i].Address != "" {
			continue
		}
		places <- struct{}{}
		group.Go(func() {
			defer func() { <-places }()
			errs[i] = d.locateOne(ctx, &list[i])
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

func (d *Directory) locateOne(ctx context.Context, i *Instance) error {
	cp, err := d.client.Agent(agentOf(d.service, i.Name)).Restore(ctx)
	if errors.Is(err, hawser.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, epoch := hawser.SplitToken(i.Token); cp.Version.Epoch != epoch {
		return nil // it is of the registration before; the new one is about to save
	}
	var r record
	if err := json.Unmarshal(cp.State, &r); err != nil || cp.Version.Schema != schema {
		d.log.Debug("registry: a record is of another kind", "service", d.service, "instance", i.Name, "error", err)
		return nil
	}
	i.Address, i.Labels = r.Address, r.Labels
	return nil
}

// judge adds how the instances do. What the leader does not tell is what the log says.
func (d *Directory) judge(ctx context.Context, list []Instance) {
	byAgent := make(map[string]*Instance, len(list))
	for i := range list {
		byAgent[agentOf(d.service, list[i].Name)] = &list[i]
	}
	for h, err := range d.client.Health(ctx, d.service+"/") {
		if err != nil {
			return
		}
		i := byAgent[h.Agent.Name]
		if i == nil || i.Token != h.Token {
			continue
		}
		if h.State != hawser.HealthUnknown {
			i.State = h.State
		}
		for _, m := range h.Report.Metrics {
			if m.Name == metricLoad {
				i.Load = m.Value
			}
		}
	}
}

// NoInstanceError is a service that nobody can be called of. It matches
// hawser.ErrUnavailable.
type NoInstanceError struct {
	Service string
	// Age is how old the knowledge is that it has none.
	Age time.Duration
}

// Error implements error.
func (e *NoInstanceError) Error() string {
	return fmt.Sprintf("service %q: no instance is registered, as of %v ago; see \"hawser agent claims %s\"", e.Service, e.Age.Round(time.Millisecond), e.Service)
}

// Unwrap returns hawser.ErrUnavailable.
func (e *NoInstanceError) Unwrap() error { return hawser.ErrUnavailable }
