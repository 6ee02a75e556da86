// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/hawserdb/hawser"
)

// maxTrim is the most revisions whose events one [TrimEvents] removes. It is
// frozen at the feature level that set it.
const maxTrim = 4096

// TrimEvents removes the events of revisions below Before, oldest first, of
// 4,096 revisions at most. Result.Pruned is how many events went.
type TrimEvents struct {
	Before hawser.Revision
}

func (*TrimEvents) kind() commandKind { return kindTrimEvents }

func (t *TrimEvents) appendBody(dst []byte) []byte {
	return binary.AppendUvarint(dst, uint64(t.Before))
}

func (t *TrimEvents) parseBody(r *reader) { t.Before = hawser.Revision(r.uvarint()) }

// apply removes events. It makes no revision: nothing else is told by it.
func (t *TrimEvents) apply(c *changes) (Result, error) {
	res := c.result()
	before := min(uint64(t.Before), c.state.revision+1)
	if before <= c.state.trimmed+1 {
		return res, nil
	}
	removed, last := uint64(0), before-1
	revisions, err := c.loggedBelow(before)
	if err != nil {
		return Result{}, err
	}
	for _, l := range revisions {
		c.key = eventKey(c.key[:0], l.revision)
		c.batch.Delete(c.key)
		removed += l.events
	}
	if len(revisions) == maxTrim {
		last = revisions[maxTrim-1].revision
	}
	if removed > c.state.events {
		return Result{}, damaged("number of events", errMalformed)
	}
	c.state.trimmed, c.state.events = last, c.state.events-removed
	res.Pruned = removed
	return res, nil
}

// loggedBelow returns the oldest revisions below before that have events,
// maxTrim at most, as the batch has left them so far.
func (c *changes) loggedBelow(before uint64) ([]logged, error) {
	it, err := c.src.Iter(eventKey(nil, c.state.trimmed+1), eventKey(nil, before))
	if err != nil {
		return nil, err
	}
	var revisions []logged
	for err == nil && len(revisions) < maxTrim && it.Next() {
		var l logged
		if l, _, err = loggedAt(it.Key(), it.Value()); err == nil {
			revisions = append(revisions, l)
		}
	}
	if err := errors.Join(err, it.Close()); err != nil {
		return nil, err
	}
	for _, l := range c.logged { // they follow all that the source has
		if l.revision > c.state.trimmed && l.revision < before && len(revisions) < maxTrim {
			revisions = append(revisions, l)
		}
	}
	return revisions, nil
}

func loggedAt(key, value []byte) (l logged, time int64, err error) {
	r := &reader{b: value}
	time, n := r.eventsHead()
	if r.bad || len(key) != 9 {
		return l, 0, damaged("events", errMalformed)
	}
	return logged{binary.BigEndian.Uint64(key[1:]), uint64(n)}, time, nil
}

// EventsToTrim returns what [TrimEvents] needs to keep only the newest so many
// events, and none from before a time, as far as one command gets; 0 when there
// is nothing to remove.
func (v *View) EventsToTrim(keep uint64, before time.Time) (hawser.Revision, error) {
	it, err := v.snap.Iter(eventKey(nil, v.state.trimmed+1), []byte{prefixEvent + 1})
	if err != nil {
		return 0, err
	}
	var trim uint64
	left := v.state.events
	for n := 0; n < maxTrim && it.Next(); n++ {
		l, at, malformed := loggedAt(it.Key(), it.Value())
		if malformed != nil {
			err = malformed
			break
		}
		if left <= keep && at >= before.UnixNano() {
			break
		}
		left -= min(left, l.events)
		trim = l.revision + 1
	}
	return hawser.Revision(trim), errors.Join(err, it.Close())
}
