// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"bytes"

	"github.com/hawserdb/hawser"
)

// window is how many of a chain's newest numbers keep their record, whatever
// becomes of their content. It is frozen at the feature level that set it.
const window = hawser.IdempotencyWindow

// begin returns the agent of a command that makes a version, unless that must not
// be executed: then done is set and the rest is its result. What is checked, in
// this order: generation, repeat, expiry, fence, lock, condition.
func (c *changes) begin(
	id hawser.AgentID, kind hawser.RequestKind, q Request, by authority, expect *uint64, same func(*chainRecord) bool,
) (a *agent, res Result, done bool, err error) {
	if g := q.Generation; g != 0 && g != c.state.generation {
		res, err = c.refuse(wrongGeneration(kind.String(), id, g, c.state.generation))
		return nil, res, true, err
	}
	if a, err = c.agent(id); err != nil {
		return nil, Result{}, true, err
	}
	if res, done, err = c.repeat(a, kind, q, expect, same); done {
		return nil, res, true, err
	}
	var refusal error
	if a.under, refusal, err = c.authorise(kind.String(), a, by); err != nil {
		return nil, Result{}, true, err
	}
	if refusal != nil {
		res, err = c.refuse(refusal)
		return nil, res, true, err
	}
	if refusal, err = c.locked(a); err != nil {
		return nil, Result{}, true, err
	}
	if refusal != nil {
		res, err = c.refuse(refusal)
		return nil, res, true, err
	}
	if expect != nil && *expect != a.live {
		res, err = c.conflict(a, expect)
		return nil, res, true, err
	}
	return a, Result{}, false, nil
}

// repeat looks for an earlier attempt of the same request. It returns done
// when the command must not be executed: the first attempt was found, or it
// is too late to tell. A command that claims to have seen a number that nobody was
// given is refused, because its repetition would be looked for after that
// number, and so be executed again. A delete is conditional on what it saw.
// Same, unless nil, reports whether a record's content is the request's.
func (c *changes) repeat(
	a *agent, kind hawser.RequestKind, q Request, expect *uint64, same func(*chainRecord) bool,
) (res Result, done bool, err error) {
	rec, err := c.find(a, q)
	if err != nil {
		return Result{}, true, err
	}
	switch {
	case rec != nil && (!rec.is(kind, expect) || same != nil && !same(rec)):
		res, err = c.refuse(mismatch(kind.String(), a.id, rec.number))
		return res, true, err
	case rec != nil:
		res = Result{Number: rec.number, Repeated: true, Revision: rec.revision, Time: unix(c.state.time)}
		if kind.MakesVersion() {
			res.Version = visible(a.id, a.floor, rec)
		}
		if res.Version.State == hawser.VersionLive {
			res.Chain, err = c.chainOf(rec)
		}
		return res, true, err
	case q.Seen > a.head && kind.MakesVersion() && (expect == nil || *expect == a.live):
		res, err = c.refuse(unseen(kind.String(), a.id, q.Seen, a.head))
		return res, true, err
	case !a.isExpired(q):
		return Result{}, false, nil
	case q.Attempt == 0 && expect != nil && *expect != a.live:
		res, err = c.conflict(a, expect)
		return res, true, err
	default:
		res, err = c.refuse(expired(kind.String(), a.id))
		return res, true, err
	}
}

// isExpired reports whether the request saw a number so old that the record of
// its own may be gone.
func (a *agentRecord) isExpired(q Request) bool {
	return a.head > q.Seen && (a.head-q.Seen > window || q.Seen < a.blind)
}

// is reports whether rec was made by a request of this kind and condition.
func (c *chainRecord) is(kind hawser.RequestKind, expect *uint64) bool {
	sameExpect := (expect == nil) == (c.expect == nil) && (expect == nil || *expect == *c.expect)
	return c.kind == kind && sameExpect
}

// visible is the version of rec as a reader sees it: one below the floor is gone.
func visible(id hawser.AgentID, floor uint64, rec *chainRecord) hawser.Version {
	v := rec.version(id)
	if rec.number <= floor {
		v.State = hawser.VersionGone
	}
	return v
}

// find returns the record with the request's nonce among the numbers that
// came after the one it saw, nil when there is none.
func (c *changes) find(a *agent, q Request) (*chainRecord, error) {
	low := searchFloor(a.head, q)
	if low >= a.head {
		return nil, nil //nolint:nilnil // nil says that there is none, as documented
	}
	for n := a.head; n > low && len(c.chain) > 0; n-- {
		if rec := c.chain[chainRef{a.id, n}]; rec != nil && rec.nonce == q.Nonce {
			return rec, nil
		}
	}
	rec, err := findRequest(c.src, a.id, a.head, low, q.Nonce)
	if err != nil || rec == nil {
		return nil, err
	}
	if changed, ok := c.chain[chainRef{a.id, rec.number}]; ok && changed == nil {
		return nil, nil //nolint:nilnil // the tomb was removed, and the record with it
	}
	return rec, nil
}

// searchFloor is the number after which a repeat of q may be found.
func searchFloor(head uint64, q Request) uint64 {
	return max(q.Seen, head-min(head, window))
}

// findRequest looks for a nonce among the stored numbers in (low, head].
func findRequest(src source, id hawser.AgentID, head, low uint64, nonce hawser.Nonce) (*chainRecord, error) {
	it, err := src.Iter(chainKey(nil, id, head), chainKey(nil, id, low))
	if err != nil {
		return nil, err
	}
	var found *chainRecord
	for found == nil && err == nil && it.Next() {
		value := it.Value()
		if len(value) < chainNonceAt+len(nonce) || !bytes.Equal(value[chainNonceAt:chainNonceAt+len(nonce)], nonce[:]) {
			continue
		}
		found, err = parseChain(value)
		if err != nil {
			err = damagedKey("record", id, 0)
		}
	}
	if closeErr := it.Close(); closeErr != nil {
		return nil, closeErr
	}
	return found, err
}
