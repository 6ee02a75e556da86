// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/hawserdb/hawser"
)

// Report is what a verification found.
type Report struct {
	// Agents and Versions were checked, and so many Deleted agents, which have
	// no version; Bytes are the sizes of the versions that were rebuilt and have
	// the right SHA-256.
	Agents, Deleted, Versions uint64
	Bytes                     int64
	// KnownBad counts versions that the cluster had marked as bad before the
	// archive was made. They are no fault of the archive.
	KnownBad uint64
	// SHA256 reports whether the whole file has the hash that it states.
	SHA256 bool
	// First is the damage with the lowest offset, nil for none.
	First *Damage
	// Faults counts what was found, BadVersions the versions that cannot be
	// restored.
	Faults, BadVersions uint64
	// Bad says which versions and why, in at most MaxBad entries.
	Bad []BadVersion
}

// MaxBad is the most entries of Bad in a report.
const MaxBad = 10_000

// Damage is a place in the file where the bytes are wrong.
type Damage struct {
	Offset int64
	// Agent is whose items are there; zero where there is nobody's.
	Agent hawser.AgentID
	Err   error
}

// BadVersion is a version that cannot be restored from the archive.
type BadVersion struct {
	Agent hawser.AgentID
	// Number is 0 for versions that cannot even be named; Err says how many.
	Number uint64
	Err    error
}

// OK reports whether nothing was found.
func (r *Report) OK() bool { return r.Faults == 0 }

// Err returns nil if nothing was found, else an error that matches
// hawser.ErrCorrupt and says what.
func (r *Report) Err() error {
	if r.OK() {
		return nil
	}
	where := ""
	if r.First != nil && !r.First.Agent.IsZero() {
		where = fmt.Sprintf(" (of agent %q)", r.First.Agent.String())
	}
	e := &hawser.Error{Code: hawser.CodeCorrupt, Op: "archive", Msg: fmt.Sprintf("faults: %d, versions that cannot be restored: %d", r.Faults, r.BadVersions)}
	if r.First != nil {
		first := r.First.Err
		if inner, ok := first.(*hawser.Error); ok && inner.Op == e.Op && inner.Err != nil { //nolint:errorlint // what wraps one stays
			first = inner.Err // or it would say "archive: corrupt" twice
		}
		e.Err = fmt.Errorf("the first one%s: %w", where, first)
	}
	return e
}

// verifier is a verification that runs.
type verifier struct {
	ctx      context.Context //nolint:containedctx // lives as long as the call that has it
	archive  *Archive
	report   Report
	progress func(done, total int64)
	done     int64
	counted  Summary
	cache    *cache
}

// Verify reads the whole archive, rebuilds every version of every agent and
// compares it with its SHA-256. It goes on behind damage, as far as the table
// can be read. progress, which may be nil, is called now and then with the
// bytes done and in all; the file is read more than once. What is wrong with
// the archive is in the report; the error is that of ctx or of the reader
// below.
func (a *Archive) Verify(ctx context.Context, progress func(done, total int64)) (*Report, error) {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	v := &verifier{ctx: ctx, archive: a, progress: progress, cache: newCache()}
	for _, step := range []func() error{v.hash, v.cluster, v.agents} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	v.compareSummary()
	return &v.report, nil
}

// advance says how far it is, and whether to stop.
func (v *verifier) advance(n int64) error {
	v.done += n
	v.progress(v.done, v.archive.trailer.size+v.archive.trailer.table)
	return v.ctx.Err()
}

func (v *verifier) damaged(offset int64, agent hawser.AgentID, err error) {
	v.report.Faults++
	if v.report.First == nil || offset < v.report.First.Offset {
		v.report.First = &Damage{Offset: offset, Agent: agent, Err: err}
	}
}

// hash compares the SHA-256 of the file. Which bytes are wrong the frames tell;
// when none does, the hash itself is the fault.
func (v *verifier) hash() error {
	sum := sha256.New()
	end := v.archive.trailer.size - int64(trailerSize)
	buffer := make([]byte, min(end, maxFrame))
	for at := int64(0); at < end; {
		n := min(int64(len(buffer)), end-at)
		if err := readAt(v.archive.r, buffer[:n], at); err != nil {
			return err
		}
		sum.Write(buffer[:n])
		at += n
		if err := v.advance(n); err != nil {
			return err
		}
	}
	v.report.SHA256 = bytes.Equal(sum.Sum(nil), v.archive.trailer.sha[:])
	return nil
}

// cluster checks the items that belong to no agent.
func (v *verifier) cluster() error {
	var o order
	s := v.archive.scan(frameCluster, v.archive.begin, v.archive.trailer.agents)
	for {
		item, p, err := s.parsed()
		if errors.Is(err, io.EOF) {
			return v.advance(v.archive.trailer.agents)
		}
		if err == nil {
			err = v.clusterItem(&o, item)
		}
		if err != nil && hawser.CodeOf(err) == hawser.CodeInternal {
			return err
		}
		if err != nil {
			v.damaged(p.frame(), hawser.AgentID{}, err)
		}
	}
}

func (v *verifier) clusterItem(o *order, item Item) error {
	switch item.(type) {
	case *Policy:
		v.counted.Policies++
	case *Floor:
		v.counted.Floors++
	default:
		return corruptItem("a %s before the first agent", item.itemType())
	}
	return o.take(item)
}

// agents checks agent by agent, block by block of the table.
func (v *verifier) agents() error {
	for i := range v.archive.blocks {
		entries, err := v.archive.block(i)
		if err != nil && hawser.CodeOf(err) == hawser.CodeInternal {
			return err
		}
		if err != nil {
			v.damaged(v.archive.blocks[i].offset, hawser.AgentID{}, err)
			v.bad(hawser.AgentID{}, 0, 1, fmt.Errorf("%d agents are in a block of the table that is damaged: %w", v.archive.blocks[i].agents, err))
			continue
		}
		for _, e := range entries {
			if err := v.agent(e); err != nil {
				return err
			}
			if err := v.advance(e.length); err != nil {
				return err
			}
		}
	}
	return nil
}

// agent checks one agent and all its versions.
func (v *verifier) agent(e Entry) error {
	if e.Live == 0 {
		v.report.Deleted++
	} else {
		v.report.Agents++
	}
	faults := v.report.Faults
	h, err := v.archive.history(e, v.cache, func(offset int64, err error) {
		if offset >= e.offset { // else it was reported where it is
			v.damaged(offset, e.ID, err)
		}
	})
	if err != nil {
		return err
	}
	got := Entry{ID: e.ID, offset: e.offset, length: e.length, needs: e.needs}
	for version, err := range h.Versions() {
		if err != nil {
			break // reported already; what is missing is counted below
		}
		got.version(version)
		if err := v.version(h, version); err != nil {
			return err
		}
		if err := v.ctx.Err(); err != nil {
			return err
		}
	}
	if missing := int64(e.Versions) - int64(got.Versions); missing > 0 {
		v.bad(e.ID, 0, uint64(missing), fmt.Errorf("%d of %d versions cannot be read", missing, e.Versions))
	}
	if v.report.Faults == faults {
		v.compareEntry(e, got, h.agent)
	}
	v.counted.add(&e)
	v.counted.Segments += h.segments
	v.counted.Contents += h.own
	return nil
}

// version checks one version.
func (v *verifier) version(h *History, version *Version) error {
	v.report.Versions++
	state, err := h.Materialise(version)
	switch {
	case err == nil:
		v.report.Bytes += int64(len(state))
	case version.State == hawser.VersionBad:
	case hawser.CodeOf(err) == hawser.CodeInternal:
		return err
	default:
		v.bad(h.entry.ID, version.Number, 1, err)
		if v.report.First == nil {
			v.damaged(h.entry.offset, h.entry.ID, fmt.Errorf("version %d: %w", version.Number, err))
		}
	}
	if version.State == hawser.VersionBad {
		v.report.KnownBad++
	}
	return nil
}

// bad notes so many versions that cannot be restored for one reason.
func (v *verifier) bad(agent hawser.AgentID, number, versions uint64, err error) {
	v.report.Faults++
	v.report.BadVersions += versions
	if len(v.report.Bad) < MaxBad {
		v.report.Bad = append(v.report.Bad, BadVersion{agent, number, err})
	}
}

// compareEntry compares the table with the items.
func (v *verifier) compareEntry(e, got Entry, agent *Agent) {
	if agent != nil {
		got.ID, got.Head, got.Live = agent.ID, agent.Head, agent.Live
	}
	same := e.ID == got.ID && e.Head == got.Head && e.Live == got.Live && e.Versions == got.Versions &&
		e.ContentBytes == got.ContentBytes && e.Fingerprint == got.Fingerprint &&
		millis(e.Oldest) == millis(got.Oldest) && millis(e.Newest) == millis(got.Newest)
	if !same {
		v.damaged(e.offset, e.ID, corruptAt(e.offset, "the table says something else of the agent than its items do"))
	}
}

// compareSummary compares the totals with what was counted, and the hash, when
// nothing else was wrong.
func (v *verifier) compareSummary() {
	if !v.report.OK() {
		return
	}
	stated, counted := v.archive.summary, v.counted
	counted.BadVersions = v.report.KnownBad
	counted.Transactions, counted.Locks, counted.Leases = stated.Transactions, stated.Locks, stated.Leases
	if stated != counted {
		v.damaged(v.archive.trailer.summary, hawser.AgentID{}, corruptAt(v.archive.trailer.summary, "the summary counts something else than there is"))
	}
	if !v.report.SHA256 {
		v.damaged(0, hawser.AgentID{}, corruptAt(0, "the file does not have the SHA-256 that its trailer states"))
	}
}
