// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client/call"
)

// known is a directory of instances that never change.
func known(instances ...Instance) *Directory {
	return &Directory{service: "s", instances: instances, seen: time.Now(), shunned: map[string]shun{}, calls: map[string]int{}}
}

func several(n int) *Directory {
	var list []Instance
	for i := range n {
		list = append(list, Instance{Name: fmt.Sprintf("i%03d", i), State: hawser.HealthHealthy})
	}
	return known(list...)
}

func picks(t *testing.T, d *Directory, n int, choice Choice) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for range n {
		i, err := d.Pick(choice)
		if err != nil {
			t.Fatal(err)
		}
		counts[i.Name]++
	}
	return counts
}

// Claim: equal instances are chosen equally often, the busiest one never, and one that
// is half as busy as it was gets more.
func TestPick_Balance(t *testing.T) {
	t.Parallel()
	counts := picks(t, several(10), 10_000, Anyone)
	for name, n := range counts {
		if n < 800 || n > 1200 {
			t.Errorf("%s: %d of 10,000", name, n)
		}
	}
	d := several(10)
	d.instances[3].Load = 10
	d.instances[4].Load = -1
	counts = picks(t, d, 10_000, Anyone)
	if counts["i003"] != 0 || counts["i004"] < 1800 || counts["i004"] > 2200 { // drawn in one of five pairs, and then chosen
		t.Errorf("%v", counts)
	}
}

// Claim: with two choices among calls that last, no instance has many more under way than
// another: what this process has under way counts at once.
func TestPick_CountsItsOwnCalls(t *testing.T) {
	t.Parallel()
	d := several(10)
	for range 1000 {
		i, err := d.Pick(Anyone)
		if err != nil {
			t.Fatal(err)
		}
		d.begin(i.Name)
	}
	for name, n := range d.calls {
		if n < 95 || n > 105 {
			t.Errorf("%s has %d of 1,000", name, n)
		}
	}
}

// Claim: a key goes to the same instance while there is it; when one goes only its keys
// move, when one comes it takes keys from all and moves no others, and each has its part.
func TestPick_Keys(t *testing.T) {
	t.Parallel()
	where := func(d *Directory) map[string]string {
		at := map[string]string{}
		for k := range 2000 {
			i, err := d.Pick(For(fmt.Sprint(k)))
			if err != nil {
				t.Fatal(err)
			}
			at[fmt.Sprint(k)] = i.Name
		}
		return at
	}
	d := several(10)
	before := where(d)
	counts := map[string]int{}
	for _, name := range before {
		counts[name]++
	}
	for name, n := range counts {
		if n < 140 || n > 260 {
			t.Errorf("%s has %d of 2,000 keys", name, n)
		}
	}
	d.instances = slices.Delete(d.instances, 4, 5)
	for k, name := range where(d) {
		if before[k] != "i004" && name != before[k] {
			t.Errorf("key %s has moved from %s to %s", k, before[k], name)
		}
	}
	for k, name := range where(several(11)) {
		if name != before[k] && name != "i010" {
			t.Errorf("key %s has moved from %s to %s, which is not new", k, before[k], name)
		}
	}
}

// Claim: one that has failed is left alone for a second, then two, then four, until it
// answers; unhealthy ones are left out; if nobody else is there they are chosen all the
// same; a service without instances is an error that says so.
func TestPick_LeavesOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := several(2)
		for _, pause := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
			d.Failed("i000")
			time.Sleep(pause - time.Millisecond)
			if n := picks(t, d, 100, Anyone)["i000"]; n != 0 {
				t.Errorf("chosen %d times before %v", n, pause)
			}
			time.Sleep(time.Millisecond)
			if n := picks(t, d, 100, Anyone)["i000"]; n == 0 {
				t.Errorf("not chosen after %v", pause)
			}
		}
		for range 20 {
			d.Failed("i000")
		}
		time.Sleep(maxShun)
		if n := picks(t, d, 100, Anyone)["i000"]; n == 0 {
			t.Error("shunned for longer than the most")
		}
		d.Answered("i000")
		d.Failed("i000")
		time.Sleep(time.Second)
		if n := picks(t, d, 100, Anyone)["i000"]; n == 0 {
			t.Error("what has answered does not begin anew")
		}
		d.instances[1].State = hawser.HealthUnhealthy
		d.Failed("i000")
		if n := picks(t, d, 100, Anyone); n["i000"] != 100 {
			t.Errorf("an unhealthy one rather than one that has failed: %v", n)
		}
		d.instances[0].State = hawser.HealthUnhealthy
		if n := picks(t, d, 100, For("k")); len(n) != 1 {
			t.Errorf("all are unhealthy: %v", n)
		}
	})
	_, err := known().Pick(Anyone)
	if none, ok := errors.AsType[*NoInstanceError](err); !ok || none.Service != "s" || !errors.Is(err, hawser.ErrUnavailable) {
		t.Errorf("nobody is there: %v", err)
	}
}

// Claim: a call moves to another instance at once when one fails in a way that harms
// nothing, and not when it may have happened, unless it may happen twice; the one that
// has failed is left alone, unless it is the caller that has gone, or it is well.
func TestDo(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		err        error
		idempotent bool
		instances  int
		failing    int // how many instances fail, the first ones that are called
		calls      int
		ok         bool
		shunned    int
	}{
		"all is well":               {instances: 3, calls: 1, ok: true},
		"transient":                 {err: call.Transient(broken), instances: 3, failing: 1, calls: 2, ok: true, shunned: 1},
		"two of them":               {err: call.Transient(broken), instances: 3, failing: 2, calls: 3, ok: true, shunned: 2},
		"all of them":               {err: call.Transient(broken), instances: 2, failing: 9, calls: 2, shunned: 2},
		"three are tried":           {err: call.Transient(broken), instances: 5, failing: 9, calls: 3, shunned: 3},
		"unknown":                   {err: broken, instances: 3, failing: 1, calls: 1, shunned: 1},
		"unknown, may happen twice": {err: broken, idempotent: true, instances: 3, failing: 1, calls: 2, ok: true, shunned: 1},
		"permanent":                 {err: call.Permanent(broken), idempotent: true, instances: 3, failing: 1, calls: 1},
		"nobody is there":           {instances: 0},
	} {
		d := several(c.instances)
		p, err := call.New(call.Config{Attempts: 1})
		if err != nil {
			t.Fatal(err)
		}
		var called []string
		got, err := Do(t.Context(), d, p, Anyone, c.idempotent, func(_ context.Context, i Instance) (string, error) {
			called = append(called, i.Name)
			if len(called) <= c.failing {
				return "", c.err
			}
			return "from " + i.Name, nil
		})
		slices.Sort(called)
		if len(slices.Compact(called)) != c.calls || (err == nil) != c.ok || c.ok && got == "" || len(d.shunned) != c.shunned || len(d.calls) != 0 {
			t.Errorf("%s: called %q, %q, %v, shunned %v", name, called, got, err, d.shunned)
		}
		if c.instances == 0 && !errors.Is(err, hawser.ErrUnavailable) || c.failing > 0 && !c.ok && !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	d := several(2)
	p, err := call.New(call.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = Do(ctx, d, p, Anyone, true, func(ctx context.Context, _ Instance) (int, error) {
		cancel()
		<-ctx.Done()
		return 0, ctx.Err()
	})
	if !errors.Is(err, context.Canceled) || len(d.shunned) != 0 {
		t.Errorf("the caller has gone: %v, shunned %v", err, d.shunned)
	}
}

func BenchmarkPick(b *testing.B) {
	for name, choice := range map[string]Choice{"anyone": Anyone, "key": For("k")} {
		d := several(100)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if _, err := d.Pick(choice); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
