// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/internal/fakecluster"
	"github.com/hawserdb/hawser/internal/record"
	"github.com/hawserdb/hawser/internal/wire"
)

// sent is how an attempt of a save sent its state.
type sent struct {
	delta   bool
	base    uint64
	bytes   int
	attempt uint32
	nonce   string
	expect  *uint64
}

func sentOf(r *hawserv1.SaveRequest) sent {
	return sent{
		delta: r.GetPayload().GetBase() != nil, base: r.GetPayload().GetBase().GetNumber(), bytes: len(r.GetPayload().GetData()),
		attempt: r.GetRequest().GetAttempt(), nonce: string(r.GetRequest().GetNonce()), expect: r.ExpectVersion,
	}
}

// watchSaves records every attempt of a save, in whichever form, on its way to
// fault.
func watchSaves(saves *recorder[sent], fault fakecluster.Fault) fakecluster.Fault {
	return func(ctx context.Context, call fakecluster.Call) (any, error) {
		switch r := call.Request.(type) {
		case *hawserv1.SaveRequest:
			saves.add(sentOf(r))
		case *hawserv1.SavePartsRequest:
			saves.add(sentOf(r.GetSave()))
		}
		return fault(ctx, call)
	}
}

// edit changes a state as agents do: mostly at the end, sometimes within.
func edit(rng *rand.Rand, state []byte) []byte {
	state = slices.Clone(state)
	some := fmt.Appendf(nil, `{"n":%d,"text":"%x"}`, rng.IntN(1000), rng.Uint64())
	switch rng.IntN(8) {
	case 0:
		return slices.Insert(state, rng.IntN(len(state)+1), some...)
	case 1:
		from := rng.IntN(len(state) + 1)
		return slices.Delete(state, from, from+rng.IntN(len(state)-from+1)/4)
	case 2:
		return some
	case 3:
		return append(state, bytes.Repeat(some, 1+rng.IntN(400))...)
	default:
		return append(state, some...)
	}
}

// A history of random edits comes back byte for byte, every version of it, from
// the handle that saved it, from one that follows it, and from one that sees it
// for the first time; most of it went as deltas.
func TestDelta_HistoryRestores(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	cluster, c := start(t, 3)
	var saves recorder[sent]
	cluster.SetFault(watchSaves(&saves, fakecluster.Pass))
	a, follower := c.Agent("a"), dial(t, cluster).Agent("a")
	var states [][]byte
	state := []byte("begin")
	for i := range 200 {
		state = edit(rng, state)
		states = append(states, state)
		v, err := a.Save(t.Context(), state)
		wantNumber(t, v, err, uint64(i+1))
		if rng.IntN(5) == 0 {
			cp, err := follower.Restore(t.Context())
			if err != nil || !bytes.Equal(cp.State, state) {
				t.Fatalf("the follower restored %d bytes of version %d: %v", len(cp.State), cp.Version.Number, err)
			}
			if len(cp.State) > 0 {
				cp.State[0] ^= 1 // its own
			}
		}
	}
	deltas := 0
	for _, s := range saves.take() {
		if s.delta {
			deltas++
		}
	}
	if deltas < 100 {
		t.Errorf("%d of 200 saves were deltas", deltas)
	}
	for _, reader := range []*client.Agent{a, dial(t, cluster).Agent("a")} {
		for i, want := range states {
			cp, err := reader.Restore(t.Context(), client.AtVersion(uint64(i+1)))
			if err != nil || !bytes.Equal(cp.State, want) {
				t.Fatalf("version %d: %v", i+1, err)
			}
		}
	}
}

// Who saves what as a delta: the handle that holds what its save is conditional
// on, and no other.
func TestDelta_WhenItIsSent(t *testing.T) {
	ctx := t.Context()
	state := text(20_000)
	next := func() []byte {
		state = append(slices.Clone(state), "and on"...)
		return state
	}
	for name, tc := range map[string]struct {
		cached int64
		do     func(t *testing.T, cluster *fakecluster.Cluster, c *client.Client) error
		delta  bool
	}{
		"first": {0, func(_ *testing.T, _ *fakecluster.Cluster, c *client.Client) error {
			_, err := c.Agent("new").Save(ctx, next())
			return err
		}, false},
		"after a save": {0, func(_ *testing.T, _ *fakecluster.Cluster, c *client.Client) error {
			_, err := c.Agent("a").Save(ctx, next(), client.ExpectVersion(1))
			return err
		}, true},
		"overwriting": {0, func(_ *testing.T, _ *fakecluster.Cluster, c *client.Client) error {
			_, err := c.Agent("a").Save(ctx, next(), client.Overwrite())
			return err
		}, true},
		"after a restore": {0, func(t *testing.T, cluster *fakecluster.Cluster, _ *client.Client) error {
			t.Helper()
			a := dial(t, cluster).Agent("a")
			if _, err := a.Restore(ctx); err != nil {
				return err
			}
			_, err := a.Save(ctx, next())
			return err
		}, true},
		"after a restore of the same content": {0, func(_ *testing.T, _ *fakecluster.Cluster, c *client.Client) error {
			a := c.Agent("a")
			if _, err := a.Restore(ctx); err != nil {
				return err
			}
			_, err := a.Save(ctx, next())
			return err
		}, true},
		"another client": {0, func(t *testing.T, cluster *fakecluster.Cluster, _ *client.Client) error {
			t.Helper()
			_, err := dial(t, cluster).Agent("a").Save(ctx, next(), client.ExpectVersion(1))
			return err
		}, false},
		"nothing is kept": {-1, func(_ *testing.T, _ *fakecluster.Cluster, c *client.Client) error {
			_, err := c.Agent("a").Save(ctx, next(), client.ExpectVersion(1))
			return err
		}, false},
		"too large to keep": {15_000, func(_ *testing.T, _ *fakecluster.Cluster, c *client.Client) error {
			_, err := c.Agent("a").Save(ctx, next(), client.ExpectVersion(1))
			return err
		}, false},
		"something else entirely": {0, func(_ *testing.T, _ *fakecluster.Cluster, c *client.Client) error {
			_, err := c.Agent("a").Save(ctx, noise(20_000), client.ExpectVersion(1))
			return err
		}, false},
		"another generation": {0, func(_ *testing.T, cluster *fakecluster.Cluster, c *client.Client) error {
			cluster.NewGeneration()
			_, err := c.Agent("a").Save(ctx, next(), client.Overwrite())
			return err
		}, false},
		"after a fork": {0, func(_ *testing.T, _ *fakecluster.Cluster, c *client.Client) error {
			if _, err := c.Agent("a").Fork(ctx, "fork"); err != nil {
				return err
			}
			_, err := c.Agent("fork").Save(ctx, next(), client.ExpectVersion(1))
			return err
		}, true},
		"a tiny state": {0, func(_ *testing.T, _ *fakecluster.Cluster, c *client.Client) error {
			a := c.Agent("tiny")
			if _, err := a.Save(ctx, []byte("tiny")); err != nil {
				return err
			}
			_, err := a.Save(ctx, []byte("tiny too"))
			return err
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			cluster, _ := start(t, 1)
			c := dialWith(t, cluster, client.Config{MaxCachedBytes: tc.cached})
			save(t, c.Agent("a"), state)
			var saves recorder[sent]
			cluster.SetFault(watchSaves(&saves, fakecluster.Pass))
			if err := tc.do(t, cluster, c); err != nil {
				t.Fatal(err)
			}
			all := saves.take()
			if last := all[len(all)-1]; last.delta != tc.delta {
				t.Errorf("sent %+v", last)
			}
		})
	}
}

// A node may ask for the whole state at any moment, also after lost answers:
// it gets it at once, under the same id and condition, with the attempts
// counted on, and the save is executed once.
func TestDelta_KeyframeNeededAtAnyMoment(t *testing.T) {
	needed := fakecluster.Refuse(hawser.CodeKeyframeNeeded)
	for name, faults := range map[string][]fakecluster.Fault{
		"at once":              {needed},
		"after a broken one":   {fakecluster.Break, needed},
		"after a lost answer":  {fakecluster.BreakAfter, needed},
		"after no answer":      {fakecluster.Swallow, needed},
		"before a broken one":  {needed, fakecluster.Break},
		"before a lost answer": {needed, fakecluster.BreakAfter, fakecluster.Swallow},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cluster, c := start(t, 3)
				a := c.Agent("a")
				state := text(20_000)
				save(t, a, state)
				var saves recorder[sent]
				cluster.SetFault(watchSaves(&saves, fakecluster.Script("Save", faults...)))
				state = append(state, "more"...)
				v, err := a.Save(t.Context(), state)
				wantNumber(t, v, err, 2)
				all := saves.take()
				whole := false
				for i, s := range all {
					if s.attempt != uint32(i) || s.nonce != all[0].nonce || s.expect == nil || *s.expect != 1 || s.delta && s.base != 1 {
						t.Errorf("attempt %d: %+v", i, s)
					}
					if whole && s.delta {
						t.Errorf("attempt %d is a delta again", i)
					}
					whole = !s.delta
				}
				if !all[0].delta || !whole || len(all) != len(faults)+1 || cluster.MaxExecutions() != 1 {
					t.Errorf("%d attempts, whole: %v, executed %d times", len(all), whole, cluster.MaxExecutions())
				}
				if cp, err := dial(t, cluster).Agent("a").Restore(t.Context()); err != nil || !bytes.Equal(cp.State, state) {
					t.Errorf("restored %d bytes: %v", len(cp.State), err)
				}
			})
		})
	}
}

// A node that asks for the whole state after an attempt of its own that may be
// executed leaves the call open: what is refused then is not said to have had no
// effect. After one that says nothing of the kind it is.
func TestDelta_KeyframeNeededWhileOpen(t *testing.T) {
	for name, open := range map[string]bool{"after a lost attempt of the node": true, "at once": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cluster, c := start(t, 3)
				a := c.Agent("a")
				save(t, a, text(20_000))
				cluster.SetFault(fakecluster.Script("Save", func(_ context.Context, call fakecluster.Call) (any, error) {
					refusal := &hawser.Error{Code: hawser.CodeKeyframeNeeded}
					if m := call.Request.(*hawserv1.SaveRequest); open {
						id, err := wire.RequestFromProto(m.GetRequest(), hawser.RequestSave, hawser.AgentID{Namespace: "default", Name: "a"}, m.ExpectVersion)
						if err != nil {
							t.Error(err)
						}
						refusal.Err = &hawser.UnknownOutcomeError{RequestID: id}
					}
					return nil, wire.ToStatus(refusal, wire.Leader{})
				}, fakecluster.Refuse(hawser.CodeStorageFull)))
				_, err := a.Save(t.Context(), text(20_001))
				wantError(t, err, hawser.ErrStorageFull)
				if errors.Is(err, hawser.ErrOutcomeUnknown) != open {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

// The whole state goes to the node that asked for it, without a pause.
func TestDelta_KeyframeGoesToTheSameNode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cluster, c := start(t, 3)
		a := c.Agent("a")
		save(t, a, text(20_000))
		save(t, a, text(20_001))
		var v visits
		cluster.SetFault(v.around(fakecluster.Script("Save", fakecluster.Refuse(hawser.CodeKeyframeNeeded))))
		if took := elapsed(func() { save(t, a, text(20_002)) }); took != 0 {
			t.Errorf("took %v", took)
		}
		if nodes := v.take(); len(nodes) != 2 || nodes[0] != nodes[1] {
			t.Errorf("went to nodes %v", nodes)
		}
	})
}

// Somebody else moved the head between: an overwriting save by delta becomes a
// whole one, and a conditional one stays a conflict.
func TestDelta_HeadIsAnother(t *testing.T) {
	cluster, c := start(t, 3)
	state := text(20_000)
	a, other := c.Agent("a"), dial(t, cluster).Agent("a")
	save(t, a, state)
	if _, err := other.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	save(t, other, append(slices.Clone(state), "theirs"...))
	mine := append(slices.Clone(state), "mine"...)
	_, err := a.Save(t.Context(), mine)
	wantError(t, err, hawser.ErrConflict)
	if a.Head() != 1 {
		t.Errorf("the conflict moved the handle to %d", a.Head())
	}
	v, err := a.Save(t.Context(), mine, client.Overwrite())
	wantNumber(t, v, err, 3)
	cp, err := other.Restore(t.Context())
	if err != nil || !bytes.Equal(cp.State, mine) {
		t.Errorf("restored %d bytes: %v", len(cp.State), err)
	}
}

// A chain ends in time by the client's own doing: no node ever has to ask.
func TestDelta_ChainRule(t *testing.T) {
	cluster, c := start(t, 1)
	var saves recorder[sent]
	refused := 0
	cluster.SetFault(watchSaves(&saves, func(_ context.Context, call fakecluster.Call) (any, error) {
		resp, err := call.Execute()
		if err != nil {
			refused++
		}
		return resp, err
	}))
	a := c.Agent("a")
	state := text(20_000)
	for i := range 3*record.MaxChain + 1 {
		copy(state[100*(i%100):], fmt.Sprintf("%8d", i))
		save(t, a, state)
	}
	run, longest := 0, 0
	for _, s := range saves.take() {
		if run++; !s.delta {
			run = 0
		}
		longest = max(longest, run)
	}
	if refused != 0 || longest != record.MaxChain-1 {
		t.Errorf("%d refusals, at most %d deltas in a row", refused, longest)
	}
}

// Many handles of many agents, of which the cache holds few, save and restore
// at once; every version is what was saved.
func TestDelta_ConcurrentUse(t *testing.T) {
	cluster, _ := start(t, 3)
	c := dialWith(t, cluster, client.Config{MaxCachedBytes: 100_000})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 2))
			a, reader := c.Agent(fmt.Sprint("a", i/2)), c.Agent(fmt.Sprint("a", (i+3)%4))
			state := text(10_000 + i)
			for range 20 {
				state = edit(rng, state[:min(len(state), 15_000)])
				v, err := a.Save(t.Context(), state, client.Overwrite())
				if err != nil {
					t.Error(err)
					return
				}
				cp, err := a.Restore(t.Context(), client.AtVersion(v.Number))
				if err != nil || !bytes.Equal(cp.State, state) {
					t.Errorf("version %d: %v", v.Number, err)
				}
				if _, err := reader.Restore(t.Context()); err != nil && hawser.CodeOf(err) != hawser.CodeNotFound {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
