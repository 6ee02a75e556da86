// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

func leaseID(word string) (id hawser.LeaseID) {
	copy(id[:], word)
	return id
}

func leaseName(id hawser.LeaseID) string { return strings.TrimRight(string(id[:]), "\x00") }

// resource is what a word such as claim:a or lock:m names.
func resource(word string) hawser.Resource {
	kind, name, _ := strings.Cut(word, ":")
	if kind == "lock" {
		return hawser.Resource{Kind: hawser.ResourceLock, Name: agentID(name)}
	}
	return claim(agentID(name))
}

// fence is the token of the epoch or grant number in fence=N.
func (p *parser) fence() uint64 {
	if p.texts["fence"] == "" {
		return 0
	}
	return p.token(p.values["fence"])
}

func (p *parser) token(number uint64) uint64 {
	if number == 0 {
		return 0
	}
	return hawser.NewToken(p.s.m.Info().Generation, number)
}

// coordination reads
//
//	open LEASE INSTANCE · close LEASE [term=N] [rank=RESOURCE,LEASE...]
//	acquire RESOURCE LEASE [priority=N] [capacity=N] [nowait=1]
//	claimfree LEASE AGENT,AGENT...
//	release RESOURCE LEASE [number=N] [next=LEASE,...]
//	handover AGENT to=INSTANCE epoch=N · unclaim AGENT epoch=N
//	succeed RESOURCE number=N term=N [next=LEASE,...] · trim REVISION
//	health AGENT:STATE... epoch=N term=N · note AGENT kind=N [number=N] [reason=WORD]
func (p *parser) coordination() fsm.Command {
	var ranking []hawser.LeaseID
	for word := range strings.SplitSeq(p.texts["next"], ",") {
		if word != "" {
			ranking = append(ranking, leaseID(word))
		}
	}
	w := p.words
	switch w[0] {
	case "open":
		return &fsm.OpenLease{Lease: leaseID(w[1]), Instance: w[2], TTL: time.Second, Generation: p.values["generation"]}
	case "close":
		e := &fsm.EndLease{Lease: leaseID(w[1]), Term: p.values["term"], Generation: p.values["generation"]}
		if name, leases, ok := strings.Cut(p.texts["rank"], ","); ok {
			e.Rankings = []fsm.Ranking{{Resource: resource(name), Candidates: []hawser.LeaseID{leaseID(leases)}}}
		}
		return e
	case "acquire":
		return &fsm.Acquire{
			Resource: resource(w[1]), Lease: leaseID(w[2]), Priority: int32(p.values["priority"]), Capacity: uint32(p.values["capacity"]),
			NoWait: p.values["nowait"] > 0, Generation: p.values["generation"],
		}
	case "claimfree":
		return &fsm.ClaimFree{
			Lease: leaseID(w[1]), Namespace: hawser.DefaultNamespace, Names: strings.Split(w[2], ","), Generation: p.values["generation"],
		}
	case "release":
		return &fsm.Release{Resource: resource(w[1]), Lease: leaseID(w[2]), Token: p.token(p.values["number"]), Ranking: ranking}
	case "handover", "unclaim":
		return &fsm.EndClaim{Agent: agentID(w[1]), Epoch: p.values["epoch"], To: p.texts["to"], Unclaim: w[0] == "unclaim", Reason: p.texts["reason"]}
	case "succeed":
		return &fsm.Succeed{Resource: resource(w[1]), Token: p.token(p.values["number"]), Term: p.values["term"], Ranking: ranking}
	case "health":
		h := &fsm.SetHealth{Term: p.values["term"]}
		for _, word := range w[1:] {
			name, state, ok := strings.Cut(word, ":")
			if !ok {
				continue
			}
			c := fsm.HealthChange{Agent: agentID(name), Token: p.token(p.values["epoch"]), Reason: p.texts["reason"]}
			if err := c.State.UnmarshalText([]byte(state)); err != nil {
				c.State = 99
			}
			h.Changes = append(h.Changes, c)
		}
		return h
	case "note":
		return &fsm.Note{
			Agent: agentID(w[1]), Kind: hawser.EventKind(p.values["kind"]), Number: p.values["number"], Instance: p.texts["instance"], Reason: p.texts["reason"],
			Generation: p.values["generation"],
		}
	case "trim":
		return &fsm.TrimEvents{Before: hawser.Revision(p.number(1))}
	}
	return nil
}

func (s *script) askHolding(v *fsm.View, word string) string {
	name := resource(word)
	h, _, err := v.Holding(name)
	if err != nil {
		return suffix(err) + "\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: capacity %d, epoch %d, fenced %t, %d waiting\n", name, h.Capacity, h.Epoch, h.Fenced, h.Waiting)
	for _, holder := range h.Holders {
		fmt.Fprintf(&b, "  %s holds %d as %q", leaseName(holder.Lease), holder.Token&(1<<32-1), holder.Instance)
		if holder.Ending {
			fmt.Fprintf(&b, ", ended: %s", holder.Reason)
		}
		if holder.Health != hawser.HealthUnknown {
			fmt.Fprintf(&b, ", %s", holder.Health)
		}
		b.WriteString("\n")
	}
	for _, w := range h.Waiters {
		fmt.Fprintf(&b, "  %s waits as %q with priority %d\n", leaseName(w.Lease), w.Instance, w.Priority)
	}
	return b.String()
}

func askEvents(v *fsm.View, after uint64) string {
	events, err := v.Events(hawser.Revision(after), 1000)
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "%d %s %s", e.Revision, e.Kind, e.Name)
		if e.Number != 0 {
			fmt.Fprintf(&b, "@%d", e.Number)
		}
		if e.Last != 0 {
			fmt.Fprintf(&b, "-%d", e.Last)
		}
		if e.Token != 0 {
			fmt.Fprintf(&b, " fence %d", e.Token&(1<<32-1))
		}
		if e.Instance != "" {
			fmt.Fprintf(&b, " %q", e.Instance)
		}
		if e.Txn != "" {
			fmt.Fprintf(&b, " in %s", e.Txn)
		}
		if !e.Lease.IsZero() {
			fmt.Fprintf(&b, " under %s", leaseName(e.Lease))
		}
		if e.Reason != "" {
			fmt.Fprintf(&b, " (%s)", e.Reason)
		}
		b.WriteString("\n")
	}
	trimmed, newest, count := v.EventBounds()
	fmt.Fprintf(&b, "%d events after revision %d up to %d%s\n", count, trimmed, newest, suffix(err))
	return b.String()
}

func askLeases(v *fsm.View) string {
	leases, err := v.Leases(hawser.LeaseID{}, 100)
	var b strings.Builder
	for _, l := range leases {
		holds, err := v.HoldsOf(l.ID, 100)
		fmt.Fprintf(&b, "%s of %q: %v%s\n", leaseName(l.ID), l.Instance, holds, suffix(err))
	}
	ended, endedErr := v.EndedHolds()
	for _, h := range ended {
		fmt.Fprintf(&b, "%s was ended for %s: %s\n", h.Resource, leaseName(h.Lease), h.Reason)
	}
	return b.String() + suffix(err) + suffix(endedErr)
}

// askFree answers free [prefix=P] [limit=N] [lease=L [skip=N]].
func askFree(v *fsm.View, a args) string {
	limit := int(a.number("limit", 100))
	free, agents, err := v.Free(hawser.DefaultNamespace, a.text("prefix"), limit)
	line := fmt.Sprintf("%d agents, free are %v%s\n", agents, free, suffix(err))
	if lease := a.text("lease"); lease != "" {
		held, n, err := v.ClaimsOf(leaseID(lease), hawser.DefaultNamespace, a.text("prefix"), int(a.number("skip", 0)), limit)
		line += fmt.Sprintf("%s has %d, and holds%s%s\n", lease, n, claims(held), suffix(err))
	}
	return line
}

func claims(claims []fsm.Claimed) string {
	var b strings.Builder
	for _, c := range claims {
		fmt.Fprintf(&b, " %s %d", c.Agent.Name, c.Token&(1<<32-1))
		if c.Head != nil {
			fmt.Fprintf(&b, " at version %d", c.Head.Number)
		}
	}
	return b.String()
}
