// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/record"
)

// CheckStore recounts everything that the machine keeps counted, and reports
// each difference: counters of agents and of the machine, references and bytes
// of segments, the index of derived versions, contents, parts and uploads that
// nothing leads to, and everything that leads nowhere. See also checkTxns.
func CheckStore(t *testing.T, m *Machine) {
	t.Helper()
	v, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	k := &checker{
		t: t, v: v, agents: map[hawser.AgentID]agentRecord{}, chains: map[hawser.AgentID][]*chainRecord{}, segments: map[uint64]segmentRecord{},
		contents: map[place]record.Content{}, uploads: map[[16]byte]uploadRecord{}, parts: map[[16]byte]map[uint32][]byte{}, derived: map[string]bool{},
		garbage: map[hawser.AgentID]bool{}, leases: map[hawser.LeaseID]leaseRecord{}, resources: map[hawser.Resource]resourceRecord{},
		txn: newTxnChecker(), effects: newEffectChecker(),
		held: map[hawser.LeaseID]map[hawser.Resource]hold{}, waiters: map[hawser.Resource][]contender{},
		inboxes: map[hawser.AgentID]inboxRecord{}, messages: map[hawser.AgentID]map[uint64]*messageRecord{},
		sessions: map[string]uint64{}, counted: map[string]uint64{},
		cuts: map[string]uint64{}, countedCuts: map[string]uint64{}, inCuts: map[hawser.VersionRef]uint64{},
	}
	k.read()
	k.checkAgents()
	k.checkSegments()
	k.checkUploads()
	k.checkCoordination()
	k.checkTxns()
	k.checkMessages()
	k.checkCuts()
	k.checkEffects()
	k.equal(v.state.events, k.events, "events")
}

type checker struct {
	t         *testing.T
	v         *View
	agents    map[hawser.AgentID]agentRecord
	chains    map[hawser.AgentID][]*chainRecord
	garbage   map[hawser.AgentID]bool
	segments  map[uint64]segmentRecord
	contents  map[place]record.Content
	uploads   map[[16]byte]uploadRecord
	parts     map[[16]byte]map[uint32][]byte
	derived   map[string]bool
	events    uint64
	leases    map[hawser.LeaseID]leaseRecord
	resources map[hawser.Resource]resourceRecord
	held      map[hawser.LeaseID]map[hawser.Resource]hold
	waiters   map[hawser.Resource][]contender
	txn       txnChecker

	inboxes           map[hawser.AgentID]inboxRecord
	messages          map[hawser.AgentID]map[uint64]*messageRecord
	sessions, counted map[string]uint64
	// cuts and countedCuts are how many a namespace has and says it has; inCuts is
	// how many cuts a version is in.
	cuts, countedCuts map[string]uint64
	inCuts            map[hawser.VersionRef]uint64
	effects           effectChecker
}

func (k *checker) read() {
	k.t.Helper()
	it, err := k.v.snap.Iter([]byte{0}, []byte{0xff})
	if err != nil {
		k.t.Fatal(err)
	}
	for err == nil && it.Next() {
		if err = k.value(slices.Clone(it.Key()), slices.Clone(it.Value())); err != nil {
			err = fmt.Errorf("key %q: %w", it.Key(), err)
		}
	}
	if closeErr := it.Close(); err != nil || closeErr != nil {
		k.t.Fatal(err, closeErr)
	}
}

func (k *checker) value(key, value []byte) (err error) {
	switch {
	case key[0] == prefixAgent || key[0] == prefixTomb:
		id, _ := splitAgentKey(key)
		if _, twice := k.agents[id]; twice {
			return fmt.Errorf("%s is live and dead", id)
		}
		k.agents[id], err = parseAgent(value)
	case key[0] == prefixChain:
		id, _, ok := splitRef(key[1:])
		if !ok {
			return errMalformed
		}
		var rec *chainRecord
		if rec, err = parseChain(value); err == nil {
			k.chains[id.Agent] = append(k.chains[id.Agent], rec)
		}
	case key[0] == prefixDerived:
		k.derived[string(key)] = true
	case key[0] == prefixLease:
		k.leases[hawser.LeaseID(key[1:])], err = parseLease(value)
	case key[0] == prefixResource:
		name, _ := splitResource(key[1:])
		k.resources[name], err = parseResource(value)
	case key[0] == prefixHeld:
		name, _ := splitHeldKey(key)
		id := hawser.LeaseID(key[1:17])
		if k.held[id] == nil {
			k.held[id] = map[hawser.Resource]hold{}
		}
		k.held[id][name], err = parseHold(value)
	case key[0] == prefixWaiter:
		name, _ := splitResource(key[1 : len(key)-1-turnSize])
		var w contender
		w, err = parseContender(key, value)
		k.waiters[name] = append(k.waiters[name], w)
	case key[0] == prefixInbox || key[0] == prefixSession:
		return k.messageValue(key, value)
	case key[0] == prefixCut:
		err = k.cut(key, value)
	case key[0] == prefixEvent:
		var events []hawser.Event
		revision := binary.BigEndian.Uint64(key[1:])
		events, err = parseEvents(nil, revision, value)
		k.events += uint64(len(events))
		k.equal(revision > k.v.state.trimmed && revision <= k.v.state.revision, true, "events of revision %d", revision)
	case key[0] == prefixGarbage:
		id, _ := splitAgentKey(key)
		k.garbage[id] = true
	case key[0] == prefixSegment && len(key) == 9:
		k.segments[binary.BigEndian.Uint64(key[1:])], err = parseSegment(value)
	case key[0] == prefixSegment:
		k.contents[place{binary.BigEndian.Uint64(key[1:]), binary.BigEndian.Uint32(key[9:])}], err = record.ParseContent(value)
	case key[0] == prefixUpload:
		k.uploads[[16]byte(key[1:])], err = parseUpload(value)
	case key[0] == prefixPart:
		id := [16]byte(key[1:])
		if k.parts[id] == nil {
			k.parts[id] = map[uint32][]byte{}
		}
		_, k.parts[id][binary.BigEndian.Uint32(key[17:])], err = parsePart(value)
	case key[0] == prefixJournal:
		return k.effects.value(key, value)
	default:
		return k.txn.value(key, value)
	}
	return err
}

func (k *checker) cut(key, value []byte) error {
	name, ok := splitAgentKey(key)
	if !ok {
		r := &reader{b: value}
		k.countedCuts[string(key[1:])] = r.uvarint()
		return r.end()
	}
	rec, err := namedCut(name, value)
	if err != nil {
		return err
	}
	k.cuts[name.Namespace]++
	for i := range rec.agents {
		k.inCuts[hawser.VersionRef{Agent: rec.agent(i), Number: rec.agents[i].number}]++
	}
	return nil
}

// checkCuts: each version above the floor knows in how many cuts it is, and
// each of a cut that was not deleted with its agent is there.
func (k *checker) checkCuts() {
	k.t.Helper()
	k.equal(k.countedCuts, k.cuts, "cuts")
	for id, chain := range k.chains {
		for _, rec := range chain {
			if ref := (hawser.VersionRef{Agent: id, Number: rec.number}); rec.number > k.agents[id].floor {
				k.equal(rec.cuts, k.inCuts[ref], "%s: cuts", ref)
				k.equal(rec.cuts == 0 || rec.state != hawser.VersionGone, true, "%s: gone and in a cut", ref)
				delete(k.inCuts, ref)
			}
		}
	}
	for ref := range k.inCuts {
		k.equal(ref.Number > k.agents[ref.Agent].floor && k.agents[ref.Agent].head != 0, false, "%s is in a cut and not there", ref)
	}
}

func (k *checker) equal(got, want any, format string, args ...any) {
	k.t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		k.t.Errorf("%s: have %v, recounted %v", fmt.Sprintf(format, args...), got, want)
	}
}

func (k *checker) checkAgents() {
	k.t.Helper()
	live, derived := uint64(0), map[string]bool{}
	for id, a := range k.agents {
		var versions, stored, pins, newest, stubs uint64
		oldest := a.oldest
		for _, rec := range k.chains[id] { // newest first
			if rec.state == hawser.VersionGone && rec.number > a.floor {
				stubs = max(stubs, rec.number)
			}
			if rec.state == hawser.VersionGone || rec.number > a.head || rec.number+window <= a.head && rec.number <= a.cleared {
				k.equal(rec.number > a.head || rec.number+window <= a.head, false, "%s: record %d outside the window of %d", id, rec.number, a.head)
				continue
			}
			rec.sources(id, func(source hawser.VersionRef) {
				derived[string(derivedKey(nil, source, hawser.VersionRef{Agent: id, Number: rec.number}))] = true
			})
			if rec.number <= a.floor {
				k.equal(rec.number > a.cleared && k.garbage[id], true, "%s: version %d is still to be reclaimed", id, rec.number)
				continue
			}
			versions, stored, newest, oldest = versions+1, stored+rec.stored, max(newest, rec.number), min(oldest, rec.number)
			if rec.pinned {
				pins++
			}
		}
		k.equal([]uint64{a.live, a.versions, a.stored, a.pins}, []uint64{newest, versions, stored, pins}, "%s: live, versions, stored, pins", id)
		k.equal(a.oldest, oldest, "%s: oldest", id)
		k.equal(a.stubs >= stubs, true, "%s: stubs at %d, not below %d", id, a.stubs, stubs)
		box := k.inboxes[id]
		k.equal(k.garbage[id], a.cleared < a.floor || box.cleared < box.floor, "%s: garbage", id)
		if a.live != 0 {
			live++
		}
		for n := a.head; n > a.blind && n+window > a.head; n-- {
			found := slices.ContainsFunc(k.chains[id], func(rec *chainRecord) bool { return rec.number == n })
			k.equal(found, true, "%s: record %d of the window", id, n)
		}
	}
	for id := range k.chains {
		if _, ok := k.agents[id]; !ok {
			k.t.Errorf("%s has records and is no agent", id)
		}
	}
	k.equal(k.v.state.agents, live, "agents")
	k.equal(k.derived, derived, "index of derived versions")
}

func (k *checker) checkSegments() {
	k.t.Helper()
	refs := map[place]uint64{}
	for _, chain := range k.chains {
		for _, rec := range chain {
			if rec.state != hawser.VersionGone {
				refs[rec.place()]++
			}
		}
	}
	for _, s := range k.txn.staged {
		if s.rec != nil {
			refs[s.rec.place()]++
		}
	}
	for _, s := range k.segments {
		if s.parent.segment != 0 {
			refs[s.parent]++
		}
	}
	for number, s := range k.segments {
		for i, e := range s.entries {
			at := place{number, s.first + uint32(i)}
			k.equal(e.refs, refs[at], "references of %v", at)
			delete(refs, at)
			content, ok := k.contents[at]
			delete(k.contents, at)
			bytes := len(content.Data)
			if content.Parts > 0 {
				k.equal(fmt.Sprint(e.upload), fmt.Sprint(&content.Upload), "upload of %v", at)
				bytes = 0
				for index := range content.Parts {
					bytes += len(k.parts[content.Upload][index])
				}
				k.equal(len(k.parts[content.Upload]), content.Parts, "parts of %v", at)
				delete(k.parts, content.Upload)
				_, open := k.uploads[content.Upload]
				k.equal(open, false, "upload of %v open", at)
			}
			k.equal(ok, true, "content of %v", at)
			k.equal(e.bytes, bytes, "bytes of %v", at)
			k.equal(content.Kind == record.Keyframe, i == 0 && s.parent.segment == 0, "keyframe at %v", at)
		}
		k.equal(number <= k.v.state.segments, true, "segment %d counted", number)
	}
	k.equal(len(refs), 0, "references to nothing: %v", refs)
	k.equal(len(k.contents), 0, "contents that nothing leads to: %v", k.contents)
}

// checkCoordination: whoever holds or waits is known on both sides, and counted.
func (k *checker) checkCoordination() {
	k.t.Helper()
	open, held := uint64(0), 0
	for id, l := range k.leases {
		if l.isOpen() {
			open++
		}
		k.equal(uint64(len(k.held[id])), l.held, "lease %s: held", id)
	}
	k.equal(k.v.state.leases, open, "open leases")
	for name, r := range k.resources {
		for _, h := range r.holders {
			has, ok := k.held[h.lease][name]
			k.equal(ok && !has.queued, true, "%s is held by %s", name, h.lease)
		}
		k.equal(uint64(len(k.waiters[name])), r.waiting, "%s: waiting", name)
		for i, w := range k.waiters[name] {
			has, ok := k.held[w.lease][name]
			k.equal(ok && has.queued && has.turn == w.turn, true, "%s waits for %s", w.lease, name)
			k.equal(!w.before(r.front) && w.sequence < r.sequence, true, "%s: place %d of the queue", name, i)
		}
		k.equal(r.waiting == 0 || uint64(len(r.holders)) == r.capacity, true, "%s: somebody waits and it is free", name)
		k.equal(uint64(len(r.holders)) <= r.capacity, true, "%s: too many holders", name)
		held += len(r.holders) + len(k.waiters[name])
		if name.Kind == hawser.ResourceClaim {
			a := k.agents[name.Name]
			k.equal(a.busy, true, "%s: busy", name)
			if live := r.live(); live != nil {
				k.equal(live.number == a.epoch && a.fenced, true, "%s: epoch %d of a live claim", name, live.number)
			}
		}
	}
	for id, holds := range k.held {
		held -= len(holds)
		k.equal(k.leases[id].ttl > 0, true, "lease %s", id)
	}
	k.equal(held, 0, "holds on either side")
	for id, a := range k.agents {
		_, ok := k.resources[claimOf(id)]
		k.equal(a.busy, ok, "%s: busy", id)
	}
}

func (k *checker) checkUploads() {
	k.t.Helper()
	staged := uint64(0)
	for id, u := range k.uploads {
		have := uploadRecord{touched: u.touched}
		for index, data := range k.parts[id] {
			have.parts, have.end, have.bytes = have.parts+1, max(have.end, index+1), have.bytes+uint64(len(data))
			if len(data) < partSize {
				have.short = index + 1
			}
		}
		k.equal(u, have, "upload %x", id)
		delete(k.parts, id)
		staged += u.bytes
	}
	k.equal(k.v.state.staged, staged, "staged bytes")
	k.equal(len(k.parts), 0, "parts that nothing leads to")
}
