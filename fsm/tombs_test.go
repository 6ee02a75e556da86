// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/record"
)

// Claim: no number of a namespace is given twice to one name and no request is
// executed twice, whatever tombs are removed in between; and what becomes of
// the commands does not depend on how they are grouped. Method: random saves,
// deletes, reclaims, removals and late repeats, applied one at a time by one
// machine and in random groups by another.
func TestPruneTombs_NothingHappensTwice(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 3))
	removed := 0
	for range 4 {
		one, many := newDriver(t), newDriver(t)
		one.now, many.now = 1e18, 1e18
		g := tombGenerator{rng: rng, given: map[hawser.VersionRef]hawser.Nonce{}, executed: map[hawser.Nonce]bool{}}
		var group []Command
		var want []Result
		for range 600 {
			c := g.command(one)
			res := one.results(c)[0]
			g.check(t, c, res)
			removed += int(res.Pruned)
			group, want = append(group, c), append(want, res)
			if rng.IntN(12) == 0 {
				for i, got := range many.results(group...) {
					if fmt.Sprint(got) != fmt.Sprint(want[i]) {
						t.Fatalf("%T %+v: alone %+v, in a group %+v", group[i], group[i], want[i], got)
					}
				}
				group, want = nil, nil
			}
		}
		many.results(group...)
		a, err := one.m.Digest(t.Context())
		b, err2 := many.m.Digest(t.Context())
		if err != nil || err2 != nil || a != b {
			t.Fatalf("digests %s, %s, %v, %v", a, b, err, err2)
		}
		CheckStore(t, one.m)
	}
	if removed == 0 {
		t.Error("no tomb was ever removed: the test shows nothing")
	}
}

type tombGenerator struct {
	rng      *rand.Rand
	given    map[hawser.VersionRef]hawser.Nonce
	executed map[hawser.Nonce]bool
	sent     []Command
}

func (g *tombGenerator) command(d *driver) (c Command) {
	if len(g.sent) > 0 && g.rng.IntN(4) == 0 {
		return g.sent[g.rng.IntN(len(g.sent))]
	}
	id := inDefault([]string{"a", "b", "c", "d", "e"}[g.rng.IntN(5)])
	var a agentRecord
	d.view(func(v *View) {
		var err error
		if a, err = v.known(id); err != nil {
			d.tb.Fatal(err)
		}
	})
	q := Request{Nonce: hawser.Nonce([]byte(fmt.Sprintf("%016x", g.rng.Uint64()))), Seen: a.head}
	if g.rng.IntN(8) == 0 {
		q.Seen = g.rng.Uint64N(a.head + 1)
	}
	switch n := g.rng.IntN(20); {
	case n < 4 && a.live != 0:
		c = &Delete{Agent: id, Request: Request{Nonce: q.Nonce, Seen: a.live}}
	case n < 8:
		return &Reclaim{Agent: id}
	case n < 13:
		return &PruneTombs{Agents: []hawser.AgentID{id, inDefault("a")}, Before: 1e18 + 1}
	default:
		state := fmt.Appendf(nil, "%x", g.rng.Uint64())
		c = &Save{Agent: id, Request: q, SHA256: sha256.Sum256(state), Content: record.EncodeKeyframe(state)}
	}
	g.sent = append(g.sent, c)
	return c
}

func (g *tombGenerator) check(t *testing.T, c Command, res Result) {
	t.Helper()
	var id hawser.AgentID
	var nonce hawser.Nonce
	switch c := c.(type) {
	case *Save:
		id, nonce = c.Agent, c.Request.Nonce
	case *Delete:
		id, nonce = c.Agent, c.Request.Nonce
	default:
		if res.Err != nil {
			t.Fatalf("%T %+v: %v", c, c, res.Err)
		}
		return
	}
	if res.Err != nil || res.Repeated {
		return
	}
	at := hawser.VersionRef{Agent: id, Number: res.Number}
	if first, ok := g.given[at]; ok {
		t.Fatalf("%s was given to %x, then to %x", at, first, nonce)
	}
	if g.executed[nonce] {
		t.Fatalf("%T of %s was executed twice, now as number %d", c, id, res.Number)
	}
	g.given[at], g.executed[nonce] = nonce, true
}

// More agents than one command takes, and names that cannot be, are refused.
func TestPruneTombs_Refuses(t *testing.T) {
	d := newDriver(t)
	for _, c := range []*PruneTombs{{Agents: make([]hawser.AgentID, maxTombs+1)}, {Agents: []hawser.AgentID{{Namespace: "a", Name: "\x00"}}}} {
		if res := d.results(c)[0]; !errors.Is(res.Err, hawser.ErrInvalid) {
			t.Errorf("%d agents: %v", len(c.Agents), res.Err)
		}
	}
}
