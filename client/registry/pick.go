// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client/call"
	"github.com/hawserdb/hawser/internal/rendezvous"
)

// Choice says which instance is to be called.
type Choice struct {
	key   string
	keyed bool
}

// Anyone is the less busy one of two that are drawn (Mitzenmacher, "The Power of Two
// Choices in Randomized Load Balancing", 2001): what is known of loads is up to a second
// old, and if all went to the one that was the least busy then, it would not be for long.
// The calls under way from here count too.
var Anyone = Choice{}

// For is the same instance for the same key as long as there is it, by rendezvous hashing
// (Thaler and Ravishankar, 1998): when one goes, only its keys move, and when it is back
// they return.
func For(key string) Choice { return Choice{key, true} }

const (
	// firstShun is how long an instance is left alone after it has failed a call from
	// here, twice as long after each further one, up to maxShun.
	firstShun, maxShun = time.Second, 30 * time.Second
	// maxTries is how many instances a call of [Do] goes to within an attempt.
	maxTries = 3
)

// Pick returns an instance. Those that are unhealthy are left out, and those that have
// failed calls from here a moment ago; if that leaves none, they are not: all that fail
// may be what fails them. The error is a *[NoInstanceError].
func (d *Directory) Pick(choice Choice) (Instance, error) { return d.pick(choice, nil) }

func (d *Directory) pick(choice Choice, tried []string) (Instance, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	usable := d.usableLocked(tried)
	switch {
	case len(usable) == 0:
		return Instance{}, &NoInstanceError{d.service, time.Since(d.seen)}
	case choice.keyed:
		return *heaviest(choice.key, usable), nil
	case len(usable) == 1:
		return *usable[0], nil
	}
	i := rand.IntN(len(usable)) //nolint:gosec // a balance, not a secret
	k := rand.IntN(len(usable) - 1)
	if k >= i {
		k++
	}
	if d.busyLocked(usable[k]) < d.busyLocked(usable[i]) {
		i = k
	}
	return *usable[i], nil
}

// heaviest returns the instance that weighs most for a key.
func heaviest(key string, usable []*Instance) *Instance {
	best, most := usable[0], rendezvous.Weight(key, usable[0].Name)
	for _, i := range usable[1:] { // in the order of their names, which decides between equals
		if w := rendezvous.Weight(key, i.Name); w > most {
			best, most = i, w
		}
	}
	return best
}

func (d *Directory) busyLocked(i *Instance) float64 { return i.Load + float64(d.calls[i.Name]) }

// usableLocked returns the best that can be chosen from: healthy ones that were not
// shunned or tried, else any that was not tried.
func (d *Directory) usableLocked(tried []string) []*Instance {
	now := time.Now()
	for _, level := range [...]func(*Instance) bool{
		func(i *Instance) bool {
			return i.State != hawser.HealthUnhealthy && !now.Before(d.shunned[i.Name].until)
		},
		func(i *Instance) bool { return i.State != hawser.HealthUnhealthy },
		func(*Instance) bool { return true },
	} {
		d.usable = d.usable[:0]
		for k := range d.instances {
			if i := &d.instances[k]; level(i) && !slices.Contains(tried, i.Name) {
				d.usable = append(d.usable, i)
			}
		}
		if len(d.usable) > 0 {
			break
		}
	}
	return d.usable
}

// Failed notes that an instance has failed a call: for a second others are chosen, twice
// as long after each further failure, up to 30 s.
func (d *Directory) Failed(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.shunned[name]
	s.until = time.Now().Add(min(firstShun<<min(s.failures, 10), maxShun))
	s.failures++
	d.shunned[name] = s
}

// Answered notes that it has not.
func (d *Directory) Answered(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.shunned, name)
}

func (d *Directory) begin(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls[name]++
}

func (d *Directory) end(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.calls[name]--; d.calls[name] == 0 {
		delete(d.calls, name)
	}
}

// Do calls an instance of the service, as [call.Do] does, whose target is the service.
// Within an attempt it goes to another instance at once when one has failed (up to 3),
// if the error is transient; if it is unknown, only with idempotent set. When no instance
// is left the attempt has failed, and is repeated as the policy says.
func Do[T any](
	ctx context.Context, d *Directory, p *call.Policy, choice Choice, idempotent bool, f func(ctx context.Context, i Instance) (T, error),
) (T, error) {
	var opts []call.Option
	if idempotent {
		opts = append(opts, call.Idempotent())
	}
	return call.Do(ctx, p, d.service, func(ctx context.Context) (T, error) { return attempt(ctx, d, p, choice, idempotent, f) }, opts...)
}

func attempt[T any](
	ctx context.Context, d *Directory, p *call.Policy, choice Choice, idempotent bool, f func(ctx context.Context, i Instance) (T, error),
) (result T, err error) {
	var tried []string
	for len(tried) < maxTries {
		i, pickErr := d.pick(choice, tried)
		if pickErr != nil {
			if err == nil {
				err = call.Transient(pickErr) // one may come
			}
			return result, err
		}
		tried = append(tried, i.Name)
		if result, err = try(ctx, d, i, f); err == nil {
			d.Answered(i.Name)
			return result, nil
		}
		class := p.Class(err)
		if class == call.ClassPermanent {
			d.Answered(i.Name) // it is well
			return result, err
		}
		if ctx.Err() != nil && context.Cause(ctx) == context.Canceled { //nolint:errorlint // the very one: the caller has gone, or another attempt was faster
			return result, err
		}
		d.Failed(i.Name)
		if ctx.Err() != nil || class == call.ClassUnknown && !idempotent {
			return result, err
		}
	}
	return result, err
}

func try[T any](ctx context.Context, d *Directory, i Instance, f func(ctx context.Context, i Instance) (T, error)) (T, error) {
	d.begin(i.Name)
	defer d.end(i.Name)
	return f(ctx, i)
}
