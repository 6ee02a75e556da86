// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/engine"
	"github.com/hawserdb/hawser/snapshot"
)

// Export yields what the view shows as the items of an archive, in their
// order: all of it, or only a namespace, or in that the agents whose names
// start with a prefix, as in [View.Agents]. Deleted agents are among them, with
// their counters, but none that was only ever claimed. It stops at the first
// error of yield and returns it. Yield must not keep the items or change them.
//
// It holds in memory where the contents of one agent are, and which segments
// that several agents share it has yielded. A content that does not match its
// checksum is hawser.ErrCorrupt; another node may have it whole.
func (v *View) Export(ctx context.Context, namespace, prefix string, yield func(snapshot.Item) error) error {
	if v.state.importing {
		return errImporting()
	}
	s, err := newSelection(namespace, prefix)
	if err != nil {
		return err
	}
	x := &exporter{v: v, shared: map[uint64]uint32{}, emit: func(item snapshot.Item) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return yield(item)
	}}
	if err := x.policies(s); err != nil {
		return err
	}
	if err := x.floors(s); err != nil {
		return err
	}
	return v.selected(s, x.agent)
}

// CountAgents returns how many agents [View.Export] yields, deleted ones
// included. It reads their records.
func (v *View) CountAgents(ctx context.Context, namespace, prefix string) (agents uint64, err error) {
	s, err := newSelection(namespace, prefix)
	if err != nil {
		return 0, err
	}
	err = v.selected(s, func(hawser.AgentID, agentRecord) error {
		agents++
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return nil
	})
	return agents, err
}

// selection says which agents are concerned: those of all namespaces, of one,
// or in that the agent root, unless it is empty, and those below a prefix.
type selection struct{ namespace, root, below string }

func newSelection(namespace, prefix string) (selection, error) {
	s := selection{namespace: namespace, root: strings.TrimSuffix(prefix, "/")}
	if namespace != "" && !validPart(namespace) || prefix != "" && (namespace == "" || !validPart(s.root)) {
		return selection{}, invalidCommand("export", "a name is not valid, or a prefix has no namespace")
	}
	if prefix != "" {
		s.below = s.root + "/"
	}
	if s.below == prefix {
		s.root = ""
	}
	return s, nil
}

// selected calls f for the agents of s, in ascending order.
func (v *View) selected(s selection, f func(hawser.AgentID, agentRecord) error) error {
	if s.namespace == "" {
		return v.between(nil, nil, f)
	}
	if s.root != "" {
		key := agentKey(nil, 0, hawser.AgentID{Namespace: s.namespace, Name: s.root})[1:]
		if err := v.between(key, append(bytes.Clone(key), 0), f); err != nil {
			return err
		}
	}
	lower := agentKey(nil, 0, hawser.AgentID{Namespace: s.namespace, Name: s.below})[1:]
	return v.between(lower, keyAfterPrefix(lower), f)
}

// between calls f for the agents, live and deleted, that were ever given a number
// and whose keys without the family lie in [lower, upper); an upper of nil is the end.
func (v *View) between(lower, upper []byte, f func(hawser.AgentID, agentRecord) error) (err error) {
	var streams [2]agentStream
	for i, prefix := range [...]byte{prefixAgent, prefixTomb} {
		end := append([]byte{prefix}, upper...)
		if upper == nil {
			end = []byte{prefix + 1}
		}
		it, openErr := v.snap.Iter(append([]byte{prefix}, lower...), end)
		if openErr != nil {
			return openErr
		}
		defer func() { err = errors.Join(err, it.Close()) }()
		streams[i].it = it
		streams[i].next()
	}
	for {
		next := &streams[0]
		if next.key == nil || streams[1].key != nil && bytes.Compare(streams[1].key, next.key) < 0 {
			next = &streams[1]
		}
		if next.key == nil {
			return nil
		}
		id, ok := splitAgentKey(next.it.Key())
		rec, err := parseAgent(next.it.Value())
		if err != nil || !ok || (rec.live != 0) != (next == &streams[0]) {
			return damagedKey("agent", id, 0)
		}
		if rec.head > 0 { // else it is claimed, or in a transaction, and has no number yet
			if err := f(id, rec); err != nil {
				return err
			}
		}
		next.next()
	}
}

// agentStream is one family of agents. The key has no family, and is nil at the end.
type agentStream struct {
	it  *engine.Iterator
	key []byte
}

func (s *agentStream) next() {
	s.key = nil
	if s.it.Next() {
		s.key = s.it.Key()[1:]
	}
}

// exporter yields items.
type exporter struct {
	v    *View
	emit func(snapshot.Item) error
	// shared holds, by segment that several agents may need, the position
	// after the last one that was yielded.
	shared map[uint64]uint32
}

// policies yields the policies of the selection, not those of shorter prefixes.
func (x *exporter) policies(s selection) error {
	all, err := x.v.Policies(s.namespace)
	if err != nil {
		return err
	}
	for _, p := range all {
		if s.below != "" && !strings.HasPrefix(p.Prefix, s.below) && (s.root == "" || p.Prefix != s.root) {
			continue
		}
		if err := x.emit(&snapshot.Policy{Policy: p}); err != nil {
			return err
		}
	}
	return nil
}

// floors yields the floors of whole namespaces.
func (x *exporter) floors(s selection) error {
	if s.below != "" {
		return nil
	}
	lower, upper := []byte{prefixFloor}, []byte{prefixFloor + 1}
	if s.namespace != "" {
		lower = floorKey(s.namespace)
		upper = append(bytes.Clone(lower), 0)
	}
	it, err := x.v.snap.Iter(lower, upper)
	if err != nil {
		return err
	}
	for err == nil && it.Next() {
		var floor floorRecord
		namespace := string(it.Key()[1:])
		if floor, err = namedFloor(namespace, it.Value()); err == nil {
			err = x.emit(&snapshot.Floor{Namespace: namespace, Number: floor.number, Epoch: floor.epoch})
		}
	}
	return errors.Join(err, it.Close())
}

// agent yields an agent, what its versions need, and them.
func (x *exporter) agent(id hawser.AgentID, a agentRecord) error {
	if err := x.emit(&snapshot.Agent{
		ID: id, Head: a.head, Live: a.live, Floor: a.floor, Epoch: a.epoch, Versions: a.versions, Created: a.created, Deleted: a.deleted,
	}); err != nil || a.live == 0 {
		return err
	}
	if err := x.segments(id, a); err != nil {
		return fmt.Errorf("agent %q: %w", id, err)
	}
	return x.versions(id, a)
}

// maxExported is the most versions that are held in memory.
const maxExported = 1 << 10

func (x *exporter) versions(id hawser.AgentID, a agentRecord) error {
	load := func(dst []*chainRecord, from, to uint64) ([]*chainRecord, error) {
		it, err := x.v.snap.Iter(chainKey(nil, id, to), append(chainKey(nil, id, from), 0))
		if err != nil {
			return dst, err
		}
		for err == nil && len(dst) <= maxExported && it.Next() {
			var rec *chainRecord
			if rec, err = parseChain(it.Value()); err != nil || rec.number < from || rec.number > to {
				err = damagedKey("record", id, 0)
			} else if rec.state != hawser.VersionGone {
				dst = append(dst, rec)
			}
		}
		return dst, errors.Join(err, it.Close())
	}
	return ascend(max(a.oldest, a.floor+1), a.head, maxExported, load, func(rec *chainRecord) (bool, error) {
		item := &snapshot.Version{
			Version: rec.version(id), Kind: archivedKind(rec.kind), Nonce: rec.nonce, Expect: rec.expect, Segment: rec.segment, Position: rec.position,
		}
		item.Agent, item.Txn = hawser.AgentID{}, ""
		return true, x.emit(item)
	})
}

// archivedKind is the kind of request that an archive tells of. It knows nothing
// of transactions, whose ids name nothing where it is restored: what one has made
// is a save there.
func archivedKind(kind hawser.RequestKind) hawser.RequestKind {
	if kind == hawser.RequestTxn {
		return hawser.RequestSave
	}
	return kind
}
