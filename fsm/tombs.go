// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/hawserdb/hawser"
)

// maxTombs is the most agents of one [PruneTombs]. It is frozen at the feature
// level that set it.
const maxTombs = 512

// PruneTombs removes what is left of agents that were deleted before Before,
// in unix nanoseconds of machine time. New agents of their namespaces start
// above their numbers from then on. Agents for which that does not hold, or
// whose versions were not reclaimed yet, are left alone. One that was only
// ever claimed may have messages: these go first, as with a [Delete].
type PruneTombs struct {
	Agents []hawser.AgentID
	Before int64
}

func (*PruneTombs) kind() commandKind { return kindPruneTombs }

func (p *PruneTombs) appendBody(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(p.Agents)))
	for _, id := range p.Agents {
		dst = appendAgent(dst, id)
	}
	return binary.AppendUvarint(dst, uint64(p.Before))
}

func (p *PruneTombs) parseBody(r *reader) {
	for range r.count(2) {
		p.Agents = append(p.Agents, r.agent())
	}
	p.Before = r.int63()
}

// apply removes tombs. It makes no revision: an agent without a tomb is one
// that never was, and starts at the floor. Messages that go make one.
func (p *PruneTombs) apply(c *changes) (Result, error) {
	if len(p.Agents) > maxTombs {
		return c.refuse(invalidCommand("prune tombs", fmt.Sprintf("more than %d agents", maxTombs)))
	}
	res := c.result()
	for _, id := range p.Agents {
		if !validAgent(id) {
			return c.refuse(invalidCommand("prune tombs", "an agent's name is not valid"))
		}
	}
	for _, id := range p.Agents {
		a, err := c.agent(id)
		if err != nil {
			return Result{}, err
		}
		if !a.isTomb() || !a.removable(p.Before) {
			continue
		}
		box, err := c.inbox(id)
		switch {
		case err != nil:
			return Result{}, err
		case box.count > 0:
			c.revise()
			err = c.dropInbox(id)
		case box.cleared == box.floor:
			err = c.dropTomb(a)
			res.Pruned++
		}
		if err != nil {
			return Result{}, err
		}
	}
	res.Revision = hawser.Revision(c.state.revision)
	return res, nil
}

// isTomb reports whether there is something to remove of an agent without a
// live version: one that never was has no time of a delete.
func (a *agent) isTomb() bool { return a.live == 0 && (a.wasTomb || a.wasLive || a.changed) }

// removable reports whether a, which has no live version, was deleted before
// a stamp, is reclaimed, not claimed or waited for, and in no transaction.
func (a *agentRecord) removable(before int64) bool {
	return a.deleted < before && a.cleared == a.floor && !a.busy && a.queued == 0 && a.open == 0
}

func (c *changes) dropTomb(a *agent) error {
	floor, err := c.floor(a.id.Namespace)
	if err != nil {
		return err
	}
	recs, err := c.records(a.id, a.head-min(a.head, window)+1, a.head)
	if err != nil {
		return err
	}
	for _, rec := range recs {
		if rec != nil {
			c.dropRecord(a.id, rec.number)
		}
	}
	if err := c.leaveJournal(a); err != nil {
		return err
	}
	for _, prefix := range [...]byte{prefixTomb, prefixAgent} {
		c.key = agentKey(c.key[:0], prefix, a.id)
		c.batch.Delete(c.key)
	}
	if err := c.forgetInbox(a.id); err != nil {
		return err
	}
	floor = floorRecord{number: max(floor.number, a.head), epoch: max(floor.epoch, a.epoch)}
	c.put(floorKey(a.id.Namespace), floor.encode())
	a.agentRecord = floor.start()
	a.wasLive, a.wasTomb, a.changed = false, false, false
	return nil
}

// floorRecord is where new agents of a namespace start: no agent whose tomb
// was removed had a higher number or epoch.
type floorRecord struct{ number, epoch uint64 }

func (f floorRecord) encode() []byte {
	return binary.AppendUvarint(binary.AppendUvarint([]byte{storedFormat}, f.number), f.epoch)
}

func parseFloor(b []byte) (floorRecord, error) {
	if b == nil {
		return floorRecord{}, nil
	}
	r := &reader{b: b}
	if r.byte() != storedFormat {
		return floorRecord{}, errMalformed
	}
	f := floorRecord{number: r.uvarint(), epoch: r.uvarint()}
	return f, r.end()
}

// start is an agent that never was: as if it had been deleted at the floor.
func (f floorRecord) start() agentRecord {
	a := agentRecord{head: f.number, floor: f.number, cleared: f.number, blind: f.number, epoch: f.epoch}
	if f.number > 0 {
		a.oldest = f.number + 1
	}
	return a
}

func floorKey(namespace string) []byte { return append([]byte{prefixFloor}, namespace...) }

// floor returns the floor of a namespace, zero when there is none.
func (c *changes) floor(namespace string) (floorRecord, error) {
	value, err := c.get(floorKey(namespace))
	if err != nil {
		return floorRecord{}, err
	}
	return namedFloor(namespace, value)
}

func (v *View) floor(namespace string) (floorRecord, error) {
	value, _, err := v.snap.Get(floorKey(namespace))
	if err != nil {
		return floorRecord{}, err
	}
	return namedFloor(namespace, value)
}

func namedFloor(namespace string, value []byte) (floorRecord, error) {
	f, err := parseFloor(value)
	if err != nil {
		err = damaged(fmt.Sprintf("floor of namespace %q", namespace), err)
	}
	return f, err
}

// Tombs lists agents that were deleted before a moment of the cluster's clock
// and whose versions are reclaimed, at most limit (0 for hawser.DefaultPage,
// never more than hawser.MaxPage). It may look at all deleted agents. The
// leader proposes [PruneTombs] for them, 512 at a time.
func (v *View) Tombs(before time.Time, limit int) ([]hawser.AgentID, error) {
	it, err := v.snap.Iter([]byte{prefixTomb}, []byte{prefixTomb + 1})
	if err != nil {
		return nil, err
	}
	limit = page(limit)
	var ids []hawser.AgentID
	for err == nil && len(ids) < limit && it.Next() {
		var rec agentRecord
		id, ok := splitAgentKey(it.Key())
		if rec, err = parseAgent(it.Value()); err != nil || !ok || rec.live != 0 {
			err = damagedKey("agent", id, 0)
		} else if rec.removable(before.UnixNano()) {
			ids = append(ids, id)
		}
	}
	if err := errors.Join(err, it.Close()); err != nil {
		return nil, err
	}
	return ids, nil
}
