// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/hawserdb/hawser"
)

// effectsOf is the effects of an agent while a command is applied. The first
// journalLink is the agent's own journal; none when it has none yet.
type effectsOf struct {
	c     *changes
	a     *agent
	links []journalLink
}

func (c *changes) effectsOf(a *agent) (*effectsOf, error) {
	links, err := journalsOf(c, a.journal, a.live)
	return &effectsOf{c: c, a: a, links: links}, err
}

// find returns an effect as the agent sees it, nil when nobody has begun it.
// Inherited says that it is in the journal of another one.
func (f *effectsOf) find(id string) (e *effectRecord, inherited bool, err error) {
	e, depth, err := find(f.c, f.links, id)
	return e, depth > 0, err
}

// own returns the agent's own journal, which is made if it is not there.
func (f *effectsOf) own() (*journalLink, error) {
	if len(f.links) > 0 {
		return &f.links[0], nil
	}
	number, err := f.c.newJournal()
	if err != nil {
		return nil, err
	}
	f.a.journal, f.a.changed = number, true
	f.links = []journalLink{{number: number, journalRecord: &journalRecord{owned: true, next: 1}, below: 1<<64 - 1, at: f.a.live}}
	return &f.links[0], nil
}

// newJournal returns the number of a new journal. They are never reused.
func (c *changes) newJournal() (uint64, error) {
	value, err := c.get(journalsKey())
	if err != nil {
		return 0, err
	}
	number := uint64(1)
	if value != nil {
		r := &reader{b: value}
		number += r.uvarint()
		if err := r.end(); err != nil {
			return 0, damaged("counter of journals", err)
		}
	}
	c.put(journalsKey(), binary.AppendUvarint(nil, number))
	return number, nil
}

func (c *changes) putJournal(number uint64, j *journalRecord) {
	c.putListed(journalKey(number), j.append(nil))
}

// put writes an effect to the agent's own journal; before is what is there, nil
// for nothing, and result that of one that is done.
func (f *effectsOf) put(id string, before *effectRecord, e effectRecord, result []byte) error {
	j, err := f.own()
	if err != nil {
		return err
	}
	if before == nil {
		e.sequence = j.next
		j.next, j.count = j.next+1, j.count+1
	} else {
		e.sequence = before.sequence
		f.c.drop(before.indexKey(j.number))
		if j.bytes -= before.size; !before.state.Finished() {
			j.open--
		}
	}
	e.revision = f.c.state.revision
	if e.size = uint64(len(result)); e.size > 0 {
		f.c.putListed(effectKey(j.number, journalResult, id), result)
	} else if before != nil && before.size > 0 {
		f.c.drop(effectKey(j.number, journalResult, id))
	}
	if j.bytes += e.size; !e.state.Finished() {
		j.open++
	}
	j.last = max(j.last, e.since)
	f.c.putListed(effectKey(j.number, journalEffect, id), e.append(nil))
	f.c.putListed(e.indexKey(j.number), []byte(id))
	f.c.putJournal(j.number, j.journalRecord)
	return nil
}

// before is what is in the own journal of an effect that was found.
func before(e *effectRecord, inherited bool) *effectRecord {
	if inherited {
		return nil
	}
	return e
}

// room is why the agent can begin no more effects, nil when it can.
func (f *effectsOf) room(id string) error {
	if len(f.links) == 0 {
		return nil
	}
	j := f.links[0]
	switch reserved := j.bytes + j.inheritedBytes + (j.open+1)*maxEffectResult; {
	case j.count+j.inherited >= maxEffects:
		return effectError(hawser.CodeOverloaded, "begin effect", f.a.id, id,
			"the journal holds %d effects, the most there can be; forget what ended long ago (hawser effect forget)", j.count+j.inherited)
	case reserved > maxEffectResults:
		return effectError(hawser.CodeOverloaded, "begin effect", f.a.id, id,
			"the results in the journal, with %d bytes for each of %d that are open, leave no room; finish those, or forget what ended long ago (hawser effect forget)",
			maxEffectResult, j.open)
	}
	return nil
}

// effectKeyOf is what the other side recognises a call by.
func (c *changes) effectKeyOf(agent hawser.AgentID, id string) string {
	h := sha256.New()
	h.Write(c.state.cluster[:])
	for _, part := range [...]string{agent.Namespace, agent.Name, id} {
		h.Write(append([]byte(part), 0))
	}
	return "hawser-" + hex.EncodeToString(h.Sum(nil)[:16])
}

// end is how an effect ends.
type end struct {
	failed bool
	reason string
	result []byte
	// version is saved with it, 0 for none; resolved by hand.
	version  uint64
	resolved bool
}

func (d *end) state() hawser.EffectState {
	if d.failed {
		return hawser.EffectFailed
	}
	return hawser.EffectDone
}

// digest is of what the end is compared by.
func (d *end) digest() hawser.Hash {
	if d.failed {
		return hawser.Hash{}
	}
	return sha256.Sum256(d.result)
}

// is reports whether an effect ended so.
func (d *end) is(e *effectRecord) bool { return e.state == d.state() && e.digest == d.digest() }

// finish records the end of an effect.
func (f *effectsOf) finish(id string, e *effectRecord, inherited bool, d end) error {
	next := *e
	next.state, next.version, next.finished = d.state(), d.version, f.c.state.time
	next.reason, next.resolved, next.digest = d.reason, d.resolved, d.digest()
	if next.since = d.version; d.version == 0 {
		next.since = f.a.head + 1
	}
	return f.put(id, before(e, inherited), next, d.result)
}

// event tells what happened to an effect.
func (f *effectsOf) event(kind hawser.EventKind, id string, number uint64, instance, reason string, epoch uint64) {
	e := hawser.Event{Kind: kind, Name: f.a.id, Effect: id, Number: number, Instance: instance, Reason: reason}
	if epoch != 0 {
		e.Token = f.c.token(epoch)
	}
	f.c.emit(e)
}

// ended tells how an effect has ended.
func (f *effectsOf) ended(id string, d end, epoch uint64) {
	reason := ""
	if d.failed {
		reason = "failed"
	}
	f.event(hawser.EventEffectDone, id, d.version, "", reason, epoch)
}

// answer is the result of a command about an effect that is there.
func (f *effectsOf) answer(id string) (Result, error) {
	e, depth, err := find(f.c, f.links, id)
	if err != nil {
		return Result{}, err
	}
	if e == nil {
		return Result{}, damaged("effect "+id, errMalformed)
	}
	info := e.info(f.a.id, id, depth > 0)
	if info.Result, err = readResult(f.c, f.links[depth].number, id, e); err != nil {
		return Result{}, err
	}
	res := f.c.result()
	res.Effect = &info
	return res, nil
}

// inherit has an agent read the journal of the one that it was forked from, as
// it is now.
func (c *changes) inherit(a *agent, source hawser.AgentID, from uint64) error {
	parent, position, from, err := c.heritage(source, from)
	if err != nil || parent == 0 {
		return err
	}
	p, err := readJournal(c, parent)
	if err != nil {
		return err
	}
	j := &journalRecord{owned: true, next: 1}
	if a.journal != 0 {
		if j, err = readJournal(c, a.journal); err != nil {
			return err
		}
	} else if a.journal, err = c.newJournal(); err != nil {
		return err
	}
	a.changed = true
	p.children, p.shared = p.children+1, max(p.shared, position)
	j.parent, j.position, j.from, j.depth = parent, position, from, p.depth+1
	j.inherited, j.inheritedBytes = p.count+p.inherited, p.bytes+p.open*maxEffectResult+p.inheritedBytes
	c.putJournal(parent, p)
	c.putJournal(a.journal, j)
	return nil
}

// heritage is what a fork of an agent inherits: the agent's journal, or if there
// is nothing in it the one above.
func (c *changes) heritage(source hawser.AgentID, number uint64) (parent, position, from uint64, err error) {
	a, err := c.agent(source)
	if err != nil || a.journal == 0 {
		return 0, 0, 0, err
	}
	j, err := readJournal(c, a.journal)
	if err != nil {
		return 0, 0, 0, err
	}
	if j.count > 0 {
		return a.journal, j.next, number, nil
	}
	return j.parent, j.position, j.from, nil
}

// deep is why an agent cannot be forked, nil when it can.
func (c *changes) deep(source hawser.AgentID) (refusal, err error) {
	parent, _, _, err := c.heritage(source, 0)
	if err != nil || parent == 0 {
		return nil, err
	}
	j, err := readJournal(c, parent)
	if err != nil || j.depth+1 < maxForkDepth {
		return nil, err
	}
	return &hawser.Error{
		Code: hawser.CodeOverloaded, Op: "fork", Key: source.String(),
		Msg: fmt.Sprintf("it is the %dth fork of forks with effects of their own; fork an earlier one, or save the state as a new agent", maxForkDepth),
	}, nil
}

// rewound notes a rollback, if an effect has ended since what it went back to, or
// that is on another line of versions than what came before.
func (c *changes) rewound(a *agent, at, to uint64) error {
	if a.journal == 0 {
		return nil
	}
	j, err := readJournal(c, a.journal)
	if err != nil {
		return err
	}
	if n := len(j.rewinds); j.last <= to && (n == 0 || j.rewinds[n-1].at <= to) {
		return nil
	}
	j.rewinds = append(j.rewinds, rewind{at, at, to})
	if len(j.rewinds) > maxRewinds {
		first, second := j.rewinds[0], j.rewinds[1]
		j.rewinds[1] = rewind{first.start, second.at, min(first.to, second.to)}
		j.rewinds = j.rewinds[1:]
	}
	c.putJournal(a.journal, j)
	return nil
}

// leaveJournal gives up the journal of an agent that goes. What forks inherit of
// it stays.
func (c *changes) leaveJournal(a *agent) error {
	number := a.journal
	if number == 0 {
		return nil
	}
	a.journal, a.changed = 0, true
	for owner := true; number != 0; owner = false {
		j, err := readJournal(c, number)
		if err != nil {
			return err
		}
		if owner {
			j.owned = false
		} else if j.children--; j.children == 0 {
			j.shared = 0
		}
		if j.owned || j.children > 0 {
			c.putJournal(number, j)
			return nil
		}
		c.dropJournal(number)
		number = j.parent
	}
	return nil
}

// dropJournal removes a journal that nobody reads any more.
func (c *changes) dropJournal(number uint64) {
	lower := journalKey(number)
	upper := keyAfter(lower)
	c.batch.DeleteRange(lower, upper)
	for _, key := range c.listed {
		if key >= string(lower) && key < string(upper) {
			c.note([]byte(key), nil)
		}
	}
	c.note(lower, nil)
}

func validEffect(id string) bool { return validPart(id) && len(id) <= maxEffectID }

func effectError(code hawser.Code, op string, agent hawser.AgentID, id, format string, args ...any) error {
	return &hawser.Error{Code: code, Op: op, Key: agent.String() + " " + id, Msg: fmt.Sprintf(format, args...)}
}

func unknownEffect(op string, agent hawser.AgentID, id string) error {
	return effectError(hawser.CodeNotFound, op, agent, id, "nobody has begun it, or it was forgotten")
}

// otherEnd is an end of an effect that ended otherwise.
func otherEnd(op string, agent hawser.AgentID, id string, e *effectRecord) error {
	return effectError(hawser.CodeRequestMismatch, op, agent, id, "it is %s already, with another result", e.state)
}
