// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"errors"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/engine"
)

// source is where stored values are read: the engine, or a snapshot of it.
type source interface {
	Get(key []byte) (value []byte, ok bool, err error)
	Iter(lower, upper []byte) (*engine.Iterator, error)
}

// changes gathers what the commands of one delivered batch do: one engine
// batch, and over the engine a view that already shows it. Maps are looked up,
// never walked.
type changes struct {
	src      source
	batch    *writes
	maxLevel uint32
	state    state
	// before is the revision before the command at hand.
	before uint64
	// audited is set when the digest after the entry at hand is to be noted.
	audited bool
	// agents holds every agent that was looked at; order holds them in the
	// order of the first look, in which they are written after each entry.
	agents map[hawser.AgentID]*agent
	order  []*agent
	// chain holds the records that were written; nil for one removed.
	chain map[chainRef]*chainRecord
	// segments and uploads hold what was looked at or made, in the order of
	// the first look in the slices; it is written after each entry.
	segments      map[uint64]*segment
	segmentOrder  []*segment
	uploads       map[[16]byte]*upload
	uploadOrder   []*upload
	leases        map[hawser.LeaseID]*lease
	leaseOrder    []*lease
	resources     map[hawser.Resource]*resource
	resourceOrder []*resource
	txns          map[hawser.TxnID]*transaction
	txnOrder      []*transaction
	// values holds small values that were written, nil for one removed; listed
	// are the keys of those that are scanned, in order.
	values map[string][]byte
	listed []string
	// events are those of the command at hand, logged the revisions of the batch
	// that have some.
	events []hawser.Event
	logged []logged
	key    []byte
	value  []byte
}

type chainRef struct {
	id     hawser.AgentID
	number uint64
}

// agent is an agent while a batch is applied.
type agent struct {
	id hawser.AgentID
	agentRecord
	// wasLive and wasTomb say in which family the engine or the batch has it.
	wasLive, wasTomb bool
	changed          bool
	// under is the epoch under which the command at hand writes, 0 for none.
	under uint64
}

func newChanges(src source, batch *writes, s state, maxLevel uint32) *changes {
	return &changes{
		src: src, batch: batch, state: s, maxLevel: maxLevel,
		agents: make(map[hawser.AgentID]*agent), chain: make(map[chainRef]*chainRecord),
	}
}

// revise notes that the command at hand changes something: all that it does is
// of one revision.
func (c *changes) revise() { c.state.revision = c.before + 1 }

// agent returns the agent as the batch has left it so far; one that never was
// starts at the floor of its namespace, which is mostly zero.
func (c *changes) agent(id hawser.AgentID) (*agent, error) {
	a, ok := c.agents[id]
	if !ok {
		rec, family, err := readAgent(c.src, &c.key, id)
		if err != nil {
			return nil, err
		}
		a = &agent{id: id, agentRecord: rec, wasLive: family == prefixAgent, wasTomb: family == prefixTomb}
		c.agents[id] = a
		c.order = append(c.order, a)
	}
	if a.wasLive || a.wasTomb || a.changed {
		return a, nil
	}
	floor, err := c.floor(id.Namespace) // which may have risen since the last look
	a.agentRecord = floor.start()
	return a, err
}

// readAgent returns the record of an agent and the family that it is in, 0
// for an agent that never was.
func readAgent(src source, scratch *[]byte, id hawser.AgentID) (agentRecord, byte, error) {
	for _, prefix := range [...]byte{prefixAgent, prefixTomb} {
		*scratch = agentKey((*scratch)[:0], prefix, id)
		value, ok, err := src.Get(*scratch)
		if err != nil {
			return agentRecord{}, 0, err
		}
		if !ok {
			continue
		}
		rec, err := parseAgent(value)
		if err != nil || (rec.live != 0) != (prefix == prefixAgent) {
			return agentRecord{}, 0, damagedKey("agent", id, 0)
		}
		return rec, prefix, nil
	}
	return agentRecord{}, 0, nil
}

// records returns the records of the numbers from to to, nil for those that
// have none, as the batch has left them so far.
func (c *changes) records(id hawser.AgentID, from, to uint64) ([]*chainRecord, error) {
	recs := make([]*chainRecord, to-from+1)
	it, err := c.src.Iter(chainKey(nil, id, to), append(chainKey(nil, id, from), 0))
	if err != nil {
		return nil, err
	}
	for err == nil && it.Next() {
		var rec *chainRecord
		if rec, err = parseChain(it.Value()); err != nil || rec.number < from || rec.number > to {
			err = damagedKey("record", id, 0)
		} else {
			recs[rec.number-from] = rec
		}
	}
	if err := errors.Join(err, it.Close()); err != nil {
		return nil, err
	}
	for n := from; n <= to && len(c.chain) > 0; n++ {
		if rec, ok := c.chain[chainRef{id, n}]; ok {
			recs[n-from] = rec
		}
	}
	return recs, nil
}

// record returns the record of a number, nil when there is none.
func (c *changes) record(id hawser.AgentID, number uint64) (*chainRecord, error) {
	if rec, ok := c.chain[chainRef{id, number}]; ok {
		return rec, nil
	}
	return readChain(c.src, &c.key, id, number)
}

func readChain(src source, scratch *[]byte, id hawser.AgentID, number uint64) (*chainRecord, error) {
	*scratch = chainKey((*scratch)[:0], id, number)
	value, ok, err := src.Get(*scratch)
	if err != nil || !ok {
		return nil, err
	}
	rec, err := parseChain(value)
	if err != nil || rec.number != number {
		return nil, damagedKey("record", id, number)
	}
	return rec, nil
}

func (c *changes) putRecord(id hawser.AgentID, rec *chainRecord) {
	c.chain[chainRef{id, rec.number}] = rec
	c.key = chainKey(c.key[:0], id, rec.number)
	c.value = rec.append(c.value[:0])
	c.batch.Set(c.key, c.value)
}

func (c *changes) dropRecord(id hawser.AgentID, number uint64) {
	c.chain[chainRef{id, number}] = nil
	c.key = chainKey(c.key[:0], id, number)
	c.batch.Delete(c.key)
}

func (c *changes) markGarbage(id hawser.AgentID, is bool) {
	c.key = agentKey(c.key[:0], prefixGarbage, id)
	if is {
		c.batch.Set(c.key)
	} else {
		c.batch.Delete(c.key)
	}
}

// finish writes the objects that the entry at hand has changed. It does so
// after every entry, and not once in a delivery, so that what an entry writes
// does not depend on what else is delivered with it: the replica digest is made
// of it.
func (c *changes) finish() {
	for _, a := range c.order {
		if a.changed {
			c.putAgent(a)
		}
	}
	c.finishSegments()
	c.finishUploads()
	c.finishLeases()
	c.finishResources()
	c.finishTxns()
}

// putState writes the state, and how far it has come. Neither is of an entry, so
// they go past the sum for the replica digest, in which each entry has its state.
func (c *changes) putState(meta Meta, marks Marks, newConfiguration bool) {
	applied, configuration, stateKey := metaKeys()
	c.value = c.state.append(c.value[:0])
	c.batch.Batch.Set(stateKey, c.value)
	c.value = appendMeta(c.value[:0], meta, marks)
	c.batch.Batch.Set(applied, c.value)
	if newConfiguration {
		c.batch.Batch.Set(configuration, meta.Configuration)
	}
}

func (c *changes) putAgent(a *agent) {
	prefix, other, inOther := byte(prefixAgent), byte(prefixTomb), a.wasTomb
	if a.live == 0 {
		prefix, other, inOther = prefixTomb, prefixAgent, a.wasLive
	}
	if inOther {
		c.key = agentKey(c.key[:0], other, a.id)
		c.batch.Delete(c.key)
	}
	c.key = agentKey(c.key[:0], prefix, a.id)
	c.value = a.append(c.value[:0])
	c.batch.Set(c.key, c.value)
	a.wasLive, a.wasTomb, a.changed = a.live != 0, a.live == 0, false
}
