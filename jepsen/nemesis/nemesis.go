// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package nemesis does to a cluster what happens to clusters.
//
// Every fault says how it ends, and how one can see that it was there: a fault
// that had no effect proves nothing.
package nemesis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hawserdb/hawser/jepsen/rig"
)

// Fault is one kind of fault.
type Fault struct {
	Name string
	// Network: it needs links that can be spoilt. Disks: it needs disks that can.
	// Clocks: it sets the clock of one process. Clients: it needs clients in
	// processes of their own. Previous: it needs a program of an older version.
	Network, Disks, Clocks, Clients, Previous bool
	// Inject begins it on nodes that rng chooses. The injury is healed once.
	Inject func(ctx context.Context, r *rig.Rig, rng *rand.Rand) (Injury, error)
}

// Injury is a fault that is there.
type Injury struct {
	// What was done to whom.
	What string
	// Heal ends it, so that the cluster can recover.
	Heal func(ctx context.Context) error
	// Finish does after it what takes a whole cluster: all other faults are healed,
	// and every node that can runs. Nil is nothing.
	Finish func(ctx context.Context) error
	// Outcome tells at last what became of it, where faults of a kind end in
	// several ways. Nil is nothing.
	Outcome func() string
	// Proof tells after the fault what shows that it had an effect, or the error
	// that it had none. Nil means that Inject has seen it.
	Proof func() error
}

// Event is a fault as it happened, on the clock of the history.
type Event struct {
	Fault string        `json:"fault"`
	What  string        `json:"what"`
	Begin time.Duration `json:"begin"`
	End   time.Duration `json:"end"`
	// Outcome is what became of it, where that differs.
	Outcome string `json:"outcome,omitempty"`
	Error   string `json:"error,omitempty"`
}

// Nemesis injects faults, one after the other or two at a time.
type Nemesis struct {
	Rig    *rig.Rig
	Faults []Fault
	Rng    *rand.Rand
	Now    func() time.Duration
	Log    *slog.Logger

	// deck are the faults that were not drawn yet, by their places; then all are again.
	deck []int

	mu     sync.Mutex
	events []Event
}

// How long a fault lasts, and the pause after it, in which a cluster recovers.
const (
	minFault, maxFault = 500 * time.Millisecond, 5 * time.Second
	minPause, maxPause = 500 * time.Millisecond, 3 * time.Second
	// healTime bounds the end of all faults of a strike, finishTime what one of them
	// does after that.
	healTime   = 60 * time.Second
	finishTime = 60 * time.Second
)

// Run injects faults until ctx ends, and heals all of them. An error is that of
// the harness or of a node that does not come back, and ends it early.
func (n *Nemesis) Run(ctx context.Context) error {
	for {
		if !sleep(ctx, between(n.Rng, minPause, maxPause)) {
			return nil
		}
		count := 1 + n.Rng.IntN(2)
		if err := n.strike(ctx, count); err != nil {
			return err
		}
	}
}

// strike injects so many faults at once, and heals them in the same order.
func (n *Nemesis) strike(ctx context.Context, count int) error {
	var there []*injured
	var errs []error
	for _, i := range n.draw(count) {
		f := n.Faults[i]
		begin := n.Now()
		// Of its own: how much a fault draws depends on what it meets, and the next ones are
		// to be the same again.
		rng := rand.New(rand.NewPCG(n.Rng.Uint64(), n.Rng.Uint64())) //nolint:gosec // it is to be repeated
		injury, err := f.Inject(ctx, n.Rig, rng)
		if err != nil {
			if ctx.Err() == nil {
				errs = append(errs, fmt.Errorf("inject %s: %w", f.Name, err))
			}
			continue
		}
		n.Log.Info("fault", "fault", f.Name, "what", injury.What)
		there = append(there, &injured{Injury: injury, event: n.note(Event{Fault: f.Name, What: injury.What, Begin: begin})})
	}
	sleep(ctx, between(n.Rng, minFault, maxFault))
	healing, cancel := context.WithTimeout(context.WithoutCancel(ctx), healTime)
	defer cancel()
	for _, i := range there {
		if i.err = i.Heal(healing); i.Finish == nil || i.err != nil {
			n.over(i)
		}
	}
	// A node that was paused, or slow, may end itself only now.
	errs = append(errs, n.Rig.Revive())
	for _, i := range there {
		if i.Finish != nil && i.err == nil {
			i.err = i.finish(ctx)
			n.over(i)
		}
		errs = append(errs, i.err)
	}
	return errors.Join(errs...)
}

// draw chooses so many different faults, all of them in turn before one comes again.
func (n *Nemesis) draw(count int) (drawn []int) {
	for len(drawn) < min(count, len(n.Faults)) {
		if len(n.deck) == 0 {
			n.deck = n.Rng.Perm(len(n.Faults))
		}
		next := n.deck[0]
		n.deck = n.deck[1:]
		if !slices.Contains(drawn, next) {
			drawn = append(drawn, next)
		}
	}
	return drawn
}

// injured is an injury with what came of it.
type injured struct {
	Injury

	event int
	err   error
}

func (i *injured) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTime)
	defer cancel()
	return i.Finish(ctx)
}

// over notes the end of a fault, and whether it had an effect.
func (n *Nemesis) over(i *injured) {
	text, outcome := errorText(i.err), ""
	if i.err != nil {
		i.err = fmt.Errorf("heal %s: %w", i.What, i.err)
	} else if i.Proof != nil {
		if unproven := i.Proof(); unproven != nil {
			text = fmt.Sprintf("no effect was seen: %v", unproven)
		}
	}
	if i.Outcome != nil {
		outcome = i.Outcome()
	}
	n.end(i.event, outcome, text)
}

// nothing is a fault that could not be injected, and why.
func nothing(format string, args ...any) (Injury, error) {
	why := fmt.Errorf(format, args...)
	return Injury{
		What: "nothing: " + why.Error(),
		Heal: func(context.Context) error { return nil }, Proof: func() error { return why },
	}, nil
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (n *Nemesis) note(e Event) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events = append(n.events, e)
	return len(n.events) - 1
}

func (n *Nemesis) end(i int, outcome, text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events[i].End, n.events[i].Outcome, n.events[i].Error = n.Now(), outcome, text
}

// Events returns what was done.
func (n *Nemesis) Events() []Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.events)
}

// Choose returns the faults of some names, all of them for none.
func Choose(names []string) ([]Fault, error) {
	all := All()
	if len(names) == 0 {
		return all, nil
	}
	var chosen []Fault
	for _, name := range names {
		i := slices.IndexFunc(all, func(f Fault) bool { return f.Name == name })
		if i < 0 {
			var known []string
			for _, f := range all {
				known = append(known, f.Name)
			}
			return nil, fmt.Errorf("there is no fault %q; there are %s", name, strings.Join(known, ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// sleep reports whether the time passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func between(rng *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(rng.Int64N(int64(high-low)))
}
