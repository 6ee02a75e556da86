// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package scrub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/halt"
)

const (
	// askTime bounds the question to one voter: it rebuilds the version. After
	// a majority the others get graceTime: one may have what verifies.
	askTime   = 30 * time.Second
	graceTime = 2 * time.Second
	// repairTime bounds a repair, submitTime a proposal.
	repairTime = 5 * time.Minute
	submitTime = 5 * time.Second
	// maxRepairs is after how many repairs that did not help a node stops.
	maxRepairs = 3
	// maxAffected bounds the agents, and the versions of all of them, among
	// which repetitions of a bad version are looked for. The pass over
	// everything finds the others.
	maxAffected = 1000
)

// Suspect notes that a version does not verify at another node. The leader
// looks for itself.
func (s *Scrubber) Suspect(version hawser.VersionRef) { s.suspects.add(version, time.Now()) }

// Inspect returns what this node has of a version, rebuilt now. One caller is
// served at a time.
func (s *Scrubber) Inspect(ctx context.Context, version hawser.VersionRef) (report Report, err error) {
	select {
	case s.inspecting <- struct{}{}:
		defer func() { <-s.inspecting }()
	case <-ctx.Done():
		return Report{}, context.Cause(ctx)
	}
	err = s.view(func(v View) error {
		described, sums, err := v.Sums(version.Agent, version.Number)
		if err != nil {
			return err
		}
		report = Report{SHA256: described.SHA256, State: described.State, Sums: sums}
		_, _, err = s.cfg.Gate.Verify(ctx, v, version.Agent, version.Number, version.Number, func(found fsm.Verdict) bool {
			report.Verified = found.Err == nil
			return false
		})
		return err
	})
	return report, err
}

// investigate finds out what is the matter with a suspect and does something
// about it, or leaves it for later.
func (s *Scrubber) investigate(ctx context.Context, version hawser.VersionRef) {
	own, err := s.Inspect(ctx, version)
	switch {
	case errors.Is(err, hawser.ErrNotFound), errors.Is(err, hawser.ErrVersionGone):
		s.suspects.settle(version)
		return
	case err != nil:
		s.failed("look into a version", err)
		return
	case own.Verified, own.State != hawser.VersionLive:
		s.suspects.settle(version)
		return
	}
	voters := s.cfg.Peers.Voters()
	others, what, node := s.ask(ctx, voters, version, own)
	switch what {
	case bad:
		s.markBad(ctx, version, own.SHA256)
	case altered:
		s.repair(ctx, version, own, others[node], node)
	case broken:
		s.cfg.Halt(&halt.Error{
			Reason: halt.Damaged, Where: "record of " + version.String(),
			Err: errors.New("it is not what a majority of the voters has"),
		})
	case undecided:
		s.cfg.Logger.Warn("a version that does not verify cannot be decided on yet", "version", version, "answers", len(others), "voters", len(voters))
	}
}

// ask asks the other voters, all at once, and judges by their answers as they
// come. What no further answer changes ends it. Who does not answer is left out.
func (s *Scrubber) ask(ctx context.Context, voters []string, version hawser.VersionRef, own Report) (others map[string]Report, what verdict, node string) {
	type answer struct {
		node   string
		report Report
		err    error
	}
	var asking sync.WaitGroup
	defer asking.Wait()
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	answers, asked := make(chan answer, len(voters)), 0
	for _, voter := range voters {
		if voter == s.cfg.Self {
			continue
		}
		asked++
		asking.Go(func() {
			report, err := s.cfg.Peers.Stored(ctx, voter, version)
			answers <- answer{voter, report, err}
		})
	}
	others = map[string]Report{}
	voting := slices.Contains(voters, s.cfg.Self)
	what, node = judge(own, others, len(voters), voting)
	for ; asked > 0 && what != altered; asked-- {
		a := <-answers
		if a.err != nil {
			s.cfg.Logger.Debug("a voter did not say what it has of a version", "node", a.node, "version", version, "error", a.err)
			continue
		}
		others[a.node] = a.report
		if what, node = judge(own, others, len(voters), voting); what != undecided {
			defer time.AfterFunc(graceTime, cancel).Stop()
		}
	}
	return others, what, node
}

// markBad proposes that a version is bad, or asks the leader to.
func (s *Scrubber) markBad(ctx context.Context, version hawser.VersionRef, sha hawser.Hash) {
	ctx, cancel := context.WithTimeout(ctx, submitTime)
	defer cancel()
	if !s.cfg.Leads() {
		if leader := s.cfg.Peers.Leader(); leader != "" && leader != s.cfg.Self {
			if err := s.cfg.Peers.Suspect(ctx, leader, version); err != nil {
				s.cfg.Logger.Warn("the leader could not be told of a version that does not verify", "version", version, "error", err)
			}
		}
		return // settled when the entry comes
	}
	res, err := s.cfg.Submit(ctx, &fsm.MarkBad{Agent: version.Agent, Number: version.Number, SHA256: sha})
	if err == nil {
		err = res.Err
	}
	if err != nil {
		s.cfg.Logger.Warn("a bad version could not be marked", "version", version, "error", err)
		return
	}
	s.counts.bad.Add(1)
	s.suspects.settle(version)
	s.cfg.Logger.Error("a version is marked bad: its content is not what its hash says, on a majority of the voters", "version", version)
	s.failed("look for repetitions of a bad version", s.view(func(v View) error { return s.suspectRepeats(ctx, v, version, sha) }))
}

// suspectRepeats suspects what shares the content of a bad version: what it
// repeats, and the rollbacks and forks that repeat it.
func (s *Scrubber) suspectRepeats(ctx context.Context, v View, bad hawser.VersionRef, sha hawser.Hash) error {
	affected, _, err := v.Impact(ctx, bad, maxAffected)
	if err != nil {
		return err
	}
	var refs []hawser.VersionRef
	for _, a := range affected {
		for _, number := range a.Versions[:min(len(a.Versions), maxAffected-len(refs))] {
			refs = append(refs, hawser.VersionRef{Agent: a.Agent, Number: number})
		}
	}
	described, err := v.Version(bad.Agent, bad.Number)
	if err != nil {
		return err
	}
	if !described.Origin.IsZero() {
		refs = append(refs, described.Origin) // last, because it may be gone
	}
	for _, ref := range refs {
		version, err := v.Version(ref.Agent, ref.Number)
		if err != nil {
			return err
		}
		if version.SHA256 == sha && version.State == hawser.VersionLive {
			s.suspects.add(ref, time.Now())
		}
	}
	return nil
}

// repair puts right what differs from a node where the version verifies.
func (s *Scrubber) repair(ctx context.Context, version hawser.VersionRef, own, right Report, node string) {
	ctx, cancel := context.WithTimeout(ctx, repairTime)
	defer cancel()
	repaired := 0
	for i, want := range right.Sums {
		if i < len(own.Sums) && own.Sums[i] == want {
			continue
		}
		if err := s.fetch(ctx, node, want); err != nil {
			// Mostly the segment has changed, or the node went away: ask again.
			s.cfg.Logger.Warn("a content could not be repaired yet", "version", version, "node", node, "error", err)
			return
		}
		repaired++
	}
	s.counts.repaired.Add(int64(repaired))
	again, err := s.Inspect(ctx, version)
	if err == nil && again.Verified {
		s.suspects.settle(version)
		s.cfg.Logger.Error("stored bytes differed from the other voters' and were replaced; look at this node's disk and memory",
			"version", version, "contents", repaired, "node", node)
		return
	}
	if err != nil {
		s.failed("look into a repaired version", err)
		return
	}
	if tries := s.suspects.repaired(version); tries >= maxRepairs {
		s.cfg.Halt(&halt.Error{
			Reason: halt.Damaged, Where: version.String(),
			Err:  fmt.Errorf("it does not verify here after %d repairs, but on node %s", tries, node),
			Hint: "replace this node",
		})
	}
}

// fetch fetches one content from a node and puts it in place.
func (s *Scrubber) fetch(ctx context.Context, node string, want fsm.Sum) error {
	content, stamp, err := s.cfg.Peers.Content(ctx, node, want.Segment, want.Position)
	if err != nil {
		return err
	}
	r := fsm.Repair{Segment: want.Segment, Stamp: stamp, Position: want.Position, Content: content}
	if err := s.cfg.Repair(r); err != nil {
		return err
	}
	for index := range content.Parts {
		part, err := s.cfg.Peers.Part(ctx, node, content.Upload, index)
		if err != nil {
			return err
		}
		if err := s.cfg.RepairPart(r, index, part); err != nil {
			return err
		}
	}
	return nil
}
