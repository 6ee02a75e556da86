// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"errors"

	"github.com/hawserdb/hawser"
)

// maxEvents is the most events that [View.Events] looks for at once.
const maxEvents = 10_000

// logged is a revision of the batch at hand and how many events it made.
type logged struct{ revision, events uint64 }

// emit notes what the command that is being applied has made happen. The
// command raises the revision.
func (c *changes) emit(e hawser.Event) {
	c.events = append(c.events, e)
}

// logEvents writes the events of the command that was just applied, and
// returns them: nil for none.
func (c *changes) logEvents() []hawser.Event {
	events := c.events
	if len(events) == 0 {
		return nil
	}
	c.events = nil
	for i := range events {
		events[i].Revision, events[i].Time = hawser.Revision(c.state.revision), unix(c.state.time)
	}
	c.key = eventKey(c.key[:0], c.state.revision)
	c.value = appendEvents(c.value[:0], c.state.time, events)
	c.batch.Set(c.key, c.value)
	c.state.events += uint64(len(events))
	c.logged = append(c.logged, logged{c.state.revision, uint64(len(events))})
	return events
}

func eventKey(dst []byte, revision uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, prefixEvent), revision)
}

// appendEvents appends the stored form of the events of one revision: format,
// time, how many there are, events.
func appendEvents(dst []byte, time int64, events []hawser.Event) []byte {
	dst = binary.AppendUvarint(append(dst, storedFormat), uint64(time))
	dst = binary.AppendUvarint(dst, uint64(len(events)))
	for i := range events {
		e := &events[i]
		dst = appendAgent(append(dst, byte(e.Kind)), e.Name)
		for _, v := range [...]uint64{e.Number, e.Last, uint64(e.Size), e.Token} {
			dst = binary.AppendUvarint(dst, v)
		}
		dst = appendBytes(appendBytes(dst, e.Instance), e.Reason)
		dst = appendBytes(appendBytes(dst, e.Txn), e.Effect)
		if dst = appendBool(dst, !e.Lease.IsZero()); !e.Lease.IsZero() {
			dst = append(dst, e.Lease[:]...)
		}
	}
	return dst
}

// minEvent is the fewest bytes that an event takes.
const minEvent = 12

// eventsHead takes the head of what appendEvents wrote.
func (r *reader) eventsHead() (time int64, n int) {
	if r.byte() != storedFormat {
		r.fail()
	}
	return r.int63(), r.count(minEvent)
}

// parseEvents appends the events of one revision to dst.
func parseEvents(dst []hawser.Event, revision uint64, b []byte) ([]hawser.Event, error) {
	r := &reader{b: b}
	time, n := r.eventsHead()
	for range n {
		e := hawser.Event{Kind: hawser.EventKind(r.byte()), Revision: hawser.Revision(revision), Time: unix(time), Name: r.agent()}
		e.Number, e.Last, e.Size, e.Token = r.uvarint(), r.uvarint(), r.int63(), r.uvarint()
		e.Instance, e.Reason, e.Txn, e.Effect = r.string(), r.string(), r.string(), r.string()
		if r.bool() {
			copy(e.Lease[:], r.take(uint64(len(e.Lease))))
			r.bad = r.bad || e.Lease.IsZero()
		}
		dst = append(dst, e)
	}
	if n == 0 {
		r.fail()
	}
	return dst, r.end()
}

// Events returns the events after a revision, oldest first, until there are
// limit of them (10,000 at most): those of one revision are all there. Fewer
// mean that these are all. What was before [View.EventBounds] is missing.
func (v *View) Events(after hawser.Revision, limit int) ([]hawser.Event, error) {
	limit = min(max(limit, 1), maxEvents)
	if after == ^hawser.Revision(0) {
		return nil, nil
	}
	it, err := v.snap.Iter(eventKey(nil, uint64(after)+1), []byte{prefixEvent + 1})
	if err != nil {
		return nil, err
	}
	events := make([]hawser.Event, 0, min(limit, int(v.state.events)))
	for err == nil && len(events) < limit && it.Next() {
		events, err = eventsAt(events, it.Key(), it.Value())
	}
	return events, errors.Join(err, it.Close())
}

func eventsAt(dst []hawser.Event, key, value []byte) ([]hawser.Event, error) {
	if len(key) != 9 {
		return dst, damaged("events", errMalformed)
	}
	events, err := parseEvents(dst, binary.BigEndian.Uint64(key[1:]), value)
	if err != nil {
		return dst, damaged("events", err)
	}
	return events, nil
}

// EventBounds returns the newest revision of which the events are gone, the
// newest revision of all, and how many events there are.
func (v *View) EventBounds() (trimmed, newest hawser.Revision, count uint64) {
	return hawser.Revision(v.state.trimmed), hawser.Revision(v.state.revision), v.state.events
}

// prunedEvents turns the numbers of versions that went into events, one for
// each run of numbers without a gap.
func (c *changes) prunedEvents(id hawser.AgentID, numbers []uint64) {
	for len(numbers) > 0 {
		n := 1
		for n < len(numbers) && numbers[n] == numbers[n-1]+1 {
			n++
		}
		c.emit(hawser.Event{Kind: hawser.EventVersionPruned, Name: id, Number: numbers[0], Last: numbers[n-1]})
		numbers = numbers[n:]
	}
}
