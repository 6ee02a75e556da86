// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// machine applies commands, many an entry.
type machine struct {
	t     *testing.T
	m     *fsm.Machine
	index uint64
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	return &machine{t: t, m: open(t, "state", smallEngine(vfs.NewMem()))}
}

func (m *machine) apply(commands ...fsm.Command) (results []fsm.Result) {
	m.t.Helper()
	for len(commands) > 0 {
		n := min(len(commands), 1000)
		m.index++
		out, err := m.m.Apply([]fsm.Entry{command(m.index, int64(m.index), commands[:n]...)})
		if err != nil {
			m.t.Fatal(err)
		}
		results = append(results, out[0].Results...)
		commands = commands[n:]
	}
	return results
}

func numbered(n int) (id hawser.LeaseID) {
	binary.BigEndian.PutUint64(id[:], uint64(n)+1)
	return id
}

// A queue takes 10,000 waiters and says so to the next one. It is served in
// order, and neither the length of the queue nor how many have left its front
// makes a step slow: a step allocates for each place that it looks at, and those
// of a long queue allocate no more than those of a short one.
func TestAcquire_LongQueue(t *testing.T) {
	const waiters = 10_000
	m := newMachine(t)
	long := strings.Repeat("long", 20) // a short name is looked at without allocating
	short := hawser.Resource{Kind: hawser.ResourceLock, Name: agentID("short" + long)}
	m.enqueue(short, 20)
	least := m.serve(short, 0, 20) / 20

	lock := hawser.Resource{Kind: hawser.ResourceLock, Name: agentID("m" + long)}
	results := m.enqueue(lock, waiters+2)
	if g := results[1].Grant; g == nil || !g.Granted {
		t.Fatalf("the first: %+v", results[1])
	}
	if g := results[2*waiters+1].Grant; g == nil || g.Granted || g.Position != 100 {
		t.Fatalf("the last that waits: %+v", results[2*waiters+1])
	}
	if err := results[2*waiters+3].Err; !errors.Is(err, hawser.ErrOverloaded) {
		t.Fatalf("one more: %v", err)
	}
	for from := 0; from < waiters; from += 1000 {
		if most := m.serve(lock, from, from+1000) / 1000; most > 4*least {
			t.Errorf("releases from %d on allocate %d times, those of a short queue %d times", from, most, least)
		}
	}
	m.serve(lock, waiters, waiters+1)
	fsm.CheckStore(t, m.m)
}

// enqueue has the leases 0 to n-1 ask for a resource, one after the other.
func (m *machine) enqueue(name hawser.Resource, n int) []fsm.Result {
	m.t.Helper()
	var commands []fsm.Command
	for i := range n {
		commands = append(commands, &fsm.OpenLease{Lease: numbered(i), Instance: "i", TTL: time.Second}, &fsm.Acquire{Resource: name, Lease: numbered(i)})
	}
	return m.apply(commands...)
}

// serve has leases give a resource back in one entry, in the order in which they
// have asked for it, and returns how often that allocates.
func (m *machine) serve(name hawser.Resource, from, to int) (allocations uint64) {
	m.t.Helper()
	var commands []fsm.Command
	for i := from; i < to; i++ {
		commands = append(commands, &fsm.Release{Resource: name, Lease: numbered(i)})
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	results := m.apply(commands...)
	runtime.ReadMemStats(&after)
	token := uint64(0)
	for i, res := range results {
		if !res.Released {
			m.t.Fatalf("release %d: %+v", from+i, res)
		}
		for _, e := range res.Events {
			if e.Kind == hawser.EventLockGranted && (e.Lease != numbered(from+i+1) || e.Token <= token) {
				m.t.Fatalf("release %d granted it to %s with %d after %d", from+i, e.Lease, e.Token, token)
			}
			token = max(token, e.Token)
		}
	}
	return after.Mallocs - before.Mallocs
}

// A lease that holds much ends at once, after which no fence under it is good;
// what it held follows in pieces, each with 1,000 events at most.
func TestEndLease_InPieces(t *testing.T) {
	const held = 1000
	m := newMachine(t)
	first, second := numbered(1), numbered(2)
	commands := []fsm.Command{
		&fsm.OpenLease{Lease: first, Instance: "first", TTL: time.Second}, &fsm.OpenLease{Lease: second, Instance: "second", TTL: time.Second},
	}
	name := func(i int) hawser.AgentID { return agentID(fmt.Sprintf("a%04d", i)) }
	for _, l := range []hawser.LeaseID{first, second} {
		for i := range held {
			commands = append(commands, &fsm.Acquire{Resource: claim(name(i)), Lease: l})
		}
	}
	results := m.apply(commands...)
	last := results[held+1].Grant.Token // of the last agent, which is given up last
	for pieces := 1; ; pieces++ {
		res := m.apply(&fsm.EndLease{Lease: first})[0]
		if res.Err != nil || !res.Released || len(res.Events) > 1000 {
			t.Fatalf("piece %d: %+v", pieces, res.Err)
		}
		save := newSave(name(held-1), "late", "late")
		save.Fence = last
		if err := m.apply(save)[0].Err; !errors.Is(err, hawser.ErrFenced) {
			t.Fatalf("a save under the ended lease after piece %d: %v", pieces, err)
		}
		if !res.More {
			if pieces != 3 {
				t.Errorf("%d pieces", pieces)
			}
			break
		}
		if err := m.apply(&fsm.OpenLease{Lease: first, Instance: "again", TTL: time.Second})[0].Err; !errors.Is(err, hawser.ErrLeaseExpired) {
			t.Fatalf("opened again after piece %d: %v", pieces, err)
		}
	}
	v, err := m.m.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if l, ok, err := v.Lease(first); ok || err != nil {
		t.Errorf("left of the lease: %+v, %v", l, err)
	}
	if l, ok, err := v.Lease(second); !ok || l.Held != held || err != nil {
		t.Errorf("the other lease: %+v, %v", l, err)
	}
	fsm.CheckStore(t, m.m)
}

// Events are listed by whole revisions, and what is to be trimmed is found by
// number and by age.
func TestEvents_ListAndTrim(t *testing.T) {
	m := newMachine(t)
	for i := range uint64(100) {
		save := newSave(agentID("a"), fmt.Sprint("state ", i), fmt.Sprint(i))
		save.Request.Seen = i
		m.apply(save)
	}
	view := func() *fsm.View {
		v, err := m.m.View()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = v.Close() })
		return v
	}
	if events, err := view().Events(40, 10); err != nil || len(events) != 10 || events[0].Revision != 41 || events[0].Number != 41 {
		t.Errorf("%v, %v", events, err)
	}
	early, late := time.Unix(0, 0), time.Unix(0, 31) // entry n has the time n
	for _, c := range []struct {
		keep   uint64
		before time.Time
		want   hawser.Revision
	}{{1000, early, 0}, {90, early, 11}, {1000, late, 31}, {90, late, 31}} {
		if got, err := view().EventsToTrim(c.keep, c.before); err != nil || got != c.want {
			t.Errorf("to keep %d from %s: %d, %v, expected %d", c.keep, c.before, got, err, c.want)
		}
	}
	if res := m.apply(&fsm.TrimEvents{Before: 31})[0]; res.Err != nil || res.Pruned != 30 {
		t.Errorf("%+v", res)
	}
	if trimmed, newest, n := view().EventBounds(); trimmed != 30 || newest != 100 || n != 70 {
		t.Errorf("after revision %d to %d: %d events", trimmed, newest, n)
	}
}
