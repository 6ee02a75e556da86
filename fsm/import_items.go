// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/snapshot"
)

// importer takes the items of an archive, one after the other. It believes
// nothing of what they say about each other. A refusal leaves a state that can
// only be wiped.
type importer struct {
	c   *changes
	rec *importRecord
}

// take applies an item, or says why it cannot be.
func (m *importer) take(item snapshot.Item) (refusal, err error) {
	if wants, ok := m.wants(item); !ok {
		return fmt.Errorf("a %s is missing", wants), nil
	}
	switch item := item.(type) {
	case *snapshot.Policy:
		return m.policy(item)
	case *snapshot.Floor:
		return m.floor(item)
	case *snapshot.Agent:
		return m.agent(item)
	case *snapshot.Segment:
		return m.segment(item)
	case *snapshot.Content:
		return m.content(item)
	case *snapshot.Part:
		return m.part(item)
	case *snapshot.Version:
		return m.version(item)
	}
	return fmt.Errorf("a %T cannot be restored", item), nil
}

// wants reports whether an item of this type may be next, or else which must.
func (m *importer) wants(item snapshot.Item) (wants string, ok bool) {
	_, isPart := item.(*snapshot.Part)
	_, isContent := item.(*snapshot.Content)
	_, isVersion := item.(*snapshot.Version)
	switch {
	case m.rec.content.Parts > 0:
		return "part", isPart
	case m.rec.empty:
		return "content", isContent
	case m.rec.want > 0 && m.rec.late:
		return "version", isVersion
	}
	return "", true
}

// missing says what must come before the import can end, empty for nothing.
func (m *importer) missing() string {
	switch {
	case m.rec.content.Parts > 0:
		return "parts of a content are missing"
	case m.rec.empty:
		return "a segment has no content"
	case m.rec.want > 0:
		return fmt.Sprintf("%d versions of agent %q are missing", m.rec.want, m.rec.agent)
	case m.rec.loose > 0:
		return fmt.Sprintf("%d segments end with a content that is of no version", m.rec.loose)
	}
	return ""
}

// advance keeps policies, floors and agents in their order.
func (m *importer) advance(stage importStage, key string) (refusal error) {
	switch {
	case stage < m.rec.stage || stage == m.rec.stage && key <= m.rec.last:
		return fmt.Errorf("%q is out of order", strings.ReplaceAll(key[1:], "\x00", "/"))
	case m.rec.want > 0:
		return fmt.Errorf("%d versions of agent %q are missing", m.rec.want, m.rec.agent)
	}
	m.rec.stage, m.rec.last = stage, key
	return nil
}

func (m *importer) policy(p *snapshot.Policy) (refusal, err error) {
	key := policyKey(nil, p.Namespace, p.Prefix)
	if refusal := m.advance(importPolicies, string(key)); refusal != nil {
		return refusal, nil
	}
	return m.c.putPolicy(key, nil, appendRules([]byte{storedFormat}, p.Retention))
}

func (m *importer) floor(f *snapshot.Floor) (refusal, err error) {
	key := floorKey(f.Namespace)
	if refusal := m.advance(importFloors, string(key)); refusal != nil {
		return refusal, nil
	}
	if f.Number > maxCounter || f.Epoch > maxToken {
		return fmt.Errorf("number %d and epoch %d of a floor are absurd", f.Number, f.Epoch), nil
	}
	m.c.put(key, floorRecord{number: f.Number, epoch: f.Epoch}.encode())
	return nil, nil
}

// canonical reports whether an agent can have this name: the rule of
// hawser.NewAgentID, frozen, but for what depends on Unicode tables, which are
// not the same at every node. Whoever proposes items checks that.
func canonical(id hawser.AgentID) bool {
	if id.Namespace == "" || len(id.Namespace) > 64 || len(id.Name) > 512 || !utf8.ValidString(id.Name) {
		return false
	}
	for i, c := range id.Namespace {
		alnum := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if !alnum && (i == 0 || c != '-' && c != '_' && c != '.') {
			return false
		}
	}
	for _, c := range id.Name {
		if c < 0x20 || 0x7f <= c && c <= 0x9f {
			return false
		}
	}
	for segment := range strings.SplitSeq(id.Name, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

// agent makes the agent. What its versions add up to is counted as they come.
func (m *importer) agent(item *snapshot.Agent) (refusal, err error) {
	if refusal := m.advance(importAgents, string(agentKey(nil, prefixAgent, item.ID))); refusal != nil {
		return refusal, nil
	}
	if !canonical(item.ID) {
		return fmt.Errorf("no agent can be named %q", item.ID), nil
	}
	if item.Head > maxCounter || item.Epoch > maxToken {
		return fmt.Errorf("number %d and epoch %d of an agent are absurd", item.Head, item.Epoch), nil
	}
	if refusal := m.stamps(item.Created, item.Deleted); refusal != nil {
		return refusal, nil
	}
	a, err := m.c.agent(item.ID)
	if err != nil {
		return nil, err
	}
	a.agentRecord = agentRecord{
		head: item.Head, live: item.Live, floor: item.Floor, cleared: item.Floor, oldest: item.Floor + 1, blind: item.Head,
		created: item.Created, deleted: item.Deleted, epoch: item.Epoch,
		fenced: item.Epoch > 0, // claims are not in an archive, and their holders must not go on
	}
	a.changed = true
	m.rec.all++
	if item.Live != 0 {
		m.rec.agents++
		m.c.state.agents++
	}
	m.rec.agent, m.rec.want, m.rec.seen, m.rec.late, m.rec.segment = item.ID, item.Versions, item.Floor, false, 0
	return nil, nil
}

// stamps refuses times that lie too far ahead: the machine's never goes back,
// and would stand still until they have passed.
func (m *importer) stamps(stamps ...int64) (refusal error) {
	for _, stamp := range stamps {
		if stamp-maxAhead > m.c.state.time {
			return fmt.Errorf("its time %s is more than a day ahead of the cluster's, %s", unix(stamp), unix(m.c.state.time))
		}
		m.rec.newest = max(m.rec.newest, stamp)
	}
	return nil
}

// version makes a version of the agent.
func (m *importer) version(item *snapshot.Version) (refusal, err error) {
	a, err := m.c.agent(m.rec.agent)
	switch {
	case err != nil:
		return nil, err
	case m.rec.want == 0:
		return fmt.Errorf("version %d is more than the agent has", item.Number), nil
	case item.Number <= m.rec.seen || item.Number > a.live || (m.rec.want == 1) != (item.Number == a.live):
		return fmt.Errorf("version %d is out of order, or not the last one", item.Number), nil
	case uint64(item.Revision) > m.rec.revision || item.Epoch > a.epoch:
		return fmt.Errorf("version %d has revision %d and epoch %d, the archive %d, the agent %d",
			item.Number, item.Revision, item.Epoch, m.rec.revision, a.epoch), nil
	case item.Size > maxCounter>>20 || item.StoredSize > maxCounter>>20:
		return fmt.Errorf("the sizes of version %d are absurd", item.Number), nil
	case !validRefs(item):
		return fmt.Errorf("version %d names a version that cannot be", item.Number), nil
	case len(item.DerivedFrom) > maxDerived || item.Pinned && a.pins >= maxPins:
		return fmt.Errorf("version %d is derived from too many others, or one pin too many", item.Number), nil
	}
	if refusal := m.stamps(item.CreatedAt.UnixNano()); refusal != nil {
		return refusal, nil
	}
	if refusal, err := m.attach(place{item.Segment, item.Position}); refusal != nil || err != nil {
		return refusal, err
	}
	m.addRecord(a, recordOf(item))
	return nil, nil
}

func recordOf(item *snapshot.Version) *chainRecord {
	return &chainRecord{
		number: item.Number, kind: item.Kind, state: item.State, nonce: item.Nonce, expect: item.Expect, sha: item.SHA256,
		size: uint64(item.Size), stored: uint64(item.StoredSize), parent: item.Parent, epoch: item.Epoch,
		created: item.CreatedAt.UnixNano(), revision: item.Revision, segment: item.Segment, position: item.Position, pinned: item.Pinned,
		instance: item.Instance, contentType: item.ContentType, schema: item.Schema, labels: item.Labels,
		origin: item.Origin, derived: item.DerivedFrom,
	}
}

func (m *importer) addRecord(a *agent, rec *chainRecord) {
	if a.versions == 0 {
		a.oldest = rec.number
	}
	a.versions++
	a.stored += rec.stored
	if rec.pinned {
		a.pins++
	}
	a.changed = true
	m.c.putRecord(a.id, rec)
	m.c.putDerived(a.id, rec)
	m.rec.versions++
	m.rec.want--
	m.rec.seen, m.rec.late = rec.number, true
}

// reach returns the segment of a place that the agent may refer to: of its
// own, or a shared one. Its stamp says whose it is while archives are restored.
func (m *importer) reach(at place) (s *segment, refusal, err error) {
	s, err = m.c.segment(at.segment)
	switch {
	case err != nil:
		return nil, nil, err
	case s == nil || s.entry(at.position) == nil:
		return nil, fmt.Errorf("position %d of segment %d is not there", at.position, at.segment), nil
	case !s.shared && s.stamp != m.rec.all:
		return nil, fmt.Errorf("segment %d belongs to another agent", at.segment), nil
	}
	return s, nil, nil
}

// attach adds a reference to a place.
func (m *importer) attach(at place) (refusal, err error) {
	s, refusal, err := m.reach(at)
	if refusal != nil || err != nil {
		return refusal, err
	}
	e := s.entry(at.position)
	if e.refs == 0 && at.position == s.tip() {
		m.rec.loose--
	}
	e.refs++
	s.changed = true
	return nil, nil
}

// validRefs reports whether what a version names can be in the index.
func validRefs(item *snapshot.Version) bool {
	for _, ref := range append([]hawser.VersionRef{item.Origin}, item.DerivedFrom...) {
		if !ref.IsZero() && (!validAgent(ref.Agent) || ref.Number == 0) {
			return false
		}
	}
	return true
}
