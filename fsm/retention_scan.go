// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/hawserdb/hawser"
)

const (
	// maxDueRanges bounds what is said of one agent; what is left out is due
	// the next time too.
	maxDueRanges = 4096
	// defaultScan is how many agents a scan looks at that names no limit,
	// maxScanReads how many records it reads before it stops after an agent.
	defaultScan  = 10_000
	maxScanReads = 100_000
)

// Prunable is what retention does not keep of an agent.
type Prunable struct {
	Agent hawser.AgentID
	// Ranges are ascending and hold versions that are there, and no other
	// numbers. There may be more than one [Prune] takes, and not all that is
	// due when there are very many.
	Ranges []NumberRange
	// Versions counts the versions in Ranges, Bytes what is stored for them.
	Versions, Bytes uint64
}

// add adds a version to what is due, in the order of the calls. What is only
// tried has no ranges.
func (s *scan) add(p *Prunable, v candidate) {
	p.Versions++
	p.Bytes += v.bytes
	if s.try != nil {
		return
	}
	if n := len(p.Ranges); n > 0 {
		switch r := &p.Ranges[n-1]; v.number {
		case r.To + 1:
			r.To = v.number
			return
		case r.From - 1:
			r.From = v.number
			return
		}
	}
	p.Ranges = append(p.Ranges, NumberRange{From: v.number, To: v.number})
}

// full reports whether no more is said of the agent.
func (p *Prunable) full() bool { return len(p.Ranges) >= maxDueRanges }

// Prunable returns what the retention of an agent does not keep at a moment of
// the cluster's clock. An agent without a live version is hawser.ErrNotFound.
func (v *View) Prunable(id hawser.AgentID, now time.Time) (Prunable, error) {
	a, err := v.agent(id)
	if err != nil {
		return Prunable{}, err
	}
	if a.live == 0 {
		return Prunable{}, notFound("agent", id, "it was deleted")
	}
	rules, _, err := v.RetentionOf(id)
	if err != nil {
		return Prunable{}, err
	}
	s := scan{v: v, now: now}
	return s.due(id, a, rules)
}

// PruneScan returns what retention does not keep at a moment of the cluster's
// clock, agent by agent in ascending order, beginning after an agent (the zero
// value begins with the first). It looks at limit agents at most, 0 for a
// sensible number, and at fewer when they have very many versions. If more
// there may be others after last.
func (v *View) PruneScan(after hawser.AgentID, limit int, now time.Time) (items []Prunable, last hawser.AgentID, more bool, err error) {
	return v.pruneScan(scan{v: v, now: now}, after, limit)
}

// PruneDryRun is PruneScan as if a policy were set to its rules, or removed if
// rules is nil, for the agents that it would be or was for. The items say how
// much it is, and have no ranges.
func (v *View) PruneDryRun(namespace, prefix string, rules *hawser.Retention, after hawser.AgentID, limit int, now time.Time) (
	items []Prunable, last hawser.AgentID, more bool, err error,
) {
	prefix = strings.TrimSuffix(prefix, "/")
	return v.pruneScan(scan{v: v, now: now, try: &hawser.AgentID{Namespace: namespace, Name: prefix}, rules: rules}, after, limit)
}

// scan is one look for what is due.
type scan struct {
	v   *View
	now time.Time
	// policies are all; try is the policy whose rules are tried.
	policies policies
	try      *hawser.AgentID
	rules    *hawser.Retention
	// reads counts the records that were read.
	reads int
}

func (v *View) pruneScan(s scan, after hawser.AgentID, limit int) (items []Prunable, last hawser.AgentID, more bool, err error) {
	if v.state.importing {
		return nil, after, false, errImporting()
	}
	if s.policies, err = v.policies(""); err != nil {
		return nil, after, false, err
	}
	lower, upper := s.bounds()
	if !after.IsZero() {
		if start := append(agentKey(nil, prefixAgent, after), 0); string(start) > string(lower) {
			lower = start
		}
	}
	if limit <= 0 {
		limit = defaultScan
	}
	last = after
	if string(lower) >= string(upper) {
		return nil, last, false, nil
	}
	it, err := v.snap.Iter(lower, upper)
	if err != nil {
		return nil, after, false, err
	}
	for looked := 0; err == nil && it.Next(); looked++ {
		if more = looked == limit || s.reads >= maxScanReads; more {
			break
		}
		var item Prunable
		if item, err = s.agent(it.Key(), it.Value()); err == nil {
			last = item.Agent
			if item.Versions > 0 {
				items = append(items, item)
			}
		}
	}
	if err = errors.Join(err, it.Close()); err != nil {
		return nil, after, false, err
	}
	return items, last, more, nil
}

// bounds are the keys of the agents to look at, and some more.
func (s *scan) bounds() (lower, upper []byte) {
	if s.try == nil {
		return []byte{prefixAgent}, []byte{prefixAgent + 1}
	}
	lower = agentKey(nil, prefixAgent, *s.try)
	return lower, keyAfterPrefix(lower)
}

// agent looks at a stored agent.
func (s *scan) agent(key, value []byte) (Prunable, error) {
	id, ok := splitAgentKey(key)
	a, err := parseAgent(value)
	if !ok || err != nil || a.live == 0 {
		return Prunable{}, damagedKey("agent", id, 0)
	}
	rules, concerned := s.rulesOf(id)
	if !concerned {
		return Prunable{Agent: id}, nil
	}
	return s.due(id, a, rules)
}

// rulesOf returns the rules that count for an agent, and whether the scan is
// about it.
func (s *scan) rulesOf(id hawser.AgentID) (rules hawser.Retention, concerned bool) {
	rules, source := s.policies.of(id)
	if s.try == nil {
		return rules, true
	}
	if s.try.Name != "" && id.Name != s.try.Name && !strings.HasPrefix(id.Name, s.try.Name+"/") {
		return rules, false
	}
	if source != nil && len(source.Prefix) > len(s.try.Name) {
		return rules, false // a longer prefix counts
	}
	if s.rules != nil {
		return *s.rules, true
	}
	// Without the policy, that of a shorter prefix counts.
	up := *s.try
	if up.Name == "" {
		return hawser.DefaultRetention(), true
	}
	up.Name = up.Name[:max(0, strings.LastIndexByte(up.Name, '/'))]
	rules, _ = s.policies.of(up)
	return rules, true
}

// due returns what the rules do not keep of an agent with a live version.
func (s *scan) due(id hawser.AgentID, a agentRecord, rules hawser.Retention) (p Prunable, err error) {
	p.Agent = id
	if a.keepsAll(rules, s.now) {
		return p, nil
	}
	if rules.KeepHourly == 0 && rules.KeepDaily == 0 && rules.KeepWeekly == 0 {
		return p, s.dueOldest(&p, a, rules)
	}
	k := newKeeper(rules, s.now)
	err = s.newestFirst(id, a.floor+1, a.head, func(v candidate) bool {
		if !k.keep(v) {
			s.add(&p, v)
		}
		return !p.full()
	})
	slices.Reverse(p.Ranges)
	return p, err
}

// keepsAll reports whether the record alone says that the rules keep all.
func (a *agentRecord) keepsAll(rules hawser.Retention, now time.Time) bool {
	return rules.KeepsAll() || a.versions <= max(1, rules.KeepLast) ||
		rules.KeepWithin > 0 && a.created >= since(rules.KeepWithin, now)
}

// dueOldest is for rules that keep whatever is newer than something they keep:
// it looks at the oldest versions only.
func (s *scan) dueOldest(p *Prunable, a agentRecord, rules hawser.Retention) error {
	restorable, err := s.newestRestorable(p.Agent, a)
	if err != nil {
		return err
	}
	from := since(rules.KeepWithin, s.now)
	newer := a.versions
	return s.oldestFirst(p.Agent, max(a.oldest, a.floor+1), a.head, func(v candidate) bool {
		newer--
		if newer < rules.KeepLast || rules.KeepWithin > 0 && v.created >= from || p.full() {
			return false
		}
		if !v.pinned && v.number != a.live && v.number != restorable {
			s.add(p, v)
		}
		return true
	})
}

// newestRestorable is the number of the newest version that is not bad, 0 for none.
func (s *scan) newestRestorable(id hawser.AgentID, a agentRecord) (number uint64, err error) {
	err = s.newestFirst(id, a.floor+1, a.live, func(v candidate) bool {
		if !v.bad {
			number = v.number
		}
		return v.bad
	})
	return number, err
}

// newestFirst yields the versions that are there from number from to number
// to, newest first, until yield returns false.
func (s *scan) newestFirst(id hawser.AgentID, from, to uint64, yield func(candidate) bool) error {
	it, err := s.v.snap.Iter(chainKey(nil, id, to), append(chainKey(nil, id, from), 0))
	if err != nil {
		return err
	}
	for more := true; more && err == nil && it.Next(); {
		s.reads++
		v, there, ok := parseCandidate(it.Value())
		switch {
		case !ok || v.number < from || v.number > to:
			err = damagedKey("record", id, 0)
		case there:
			more = yield(v)
		}
	}
	return errors.Join(err, it.Close())
}

// maxCandidates is the most versions that are held in memory to look at the
// oldest first.
const maxCandidates = 1 << 14

// oldestFirst is newestFirst in the other order.
func (s *scan) oldestFirst(id hawser.AgentID, from, to uint64, yield func(candidate) bool) error {
	load := func(dst []candidate, from, to uint64) ([]candidate, error) {
		err := s.newestFirst(id, from, to, func(v candidate) bool {
			dst = append(dst, v)
			return len(dst) <= maxCandidates
		})
		return dst, err
	}
	return ascend(from, to, maxCandidates, load, func(v candidate) (bool, error) { return yield(v), nil })
}

// parseCandidate reads what retention looks at of a stored record, and
// whether it is a version that is there.
func parseCandidate(b []byte) (v candidate, there, ok bool) {
	r := &reader{b: b}
	format, _, state := r.byte(), r.byte(), hawser.VersionState(r.byte())
	r.take(uint64(len(hawser.Nonce{})))
	v.number, v.bad = r.uvarint(), state == hawser.VersionBad
	r.optional()
	r.take(uint64(len(hawser.Hash{})))
	v.size, v.bytes = r.uvarint(), r.uvarint()
	r.uvarint() // parent
	r.uvarint() // epoch
	v.created = int64(r.uvarint())
	r.uvarint() // revision
	v.at = place{segment: r.uvarint(), position: r.uint32()}
	pinned, cuts := r.holds()
	v.pinned = pinned || cuts > 0
	return v, state == hawser.VersionLive || v.bad, !r.bad && format == storedFormat
}
