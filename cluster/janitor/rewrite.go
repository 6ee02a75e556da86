// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/record"
)

const (
	// maxRewriting bounds the agents that are noted for a look at their dead
	// weight; the slow walk finds those that are left out.
	maxRewriting = 10_000
	// walkAgents is how many agents a turn the slow walk looks at.
	walkAgents = 20
	// walkEvery is the time from the end of one walk to the next.
	walkEvery = 10 * time.Minute
)

// noteDeadWeight notes an agent that is being pruned.
func (j *Janitor) noteDeadWeight(id hawser.AgentID) {
	if n := len(j.rewriting); n < maxRewriting && (n == 0 || j.rewriting[n-1] != id) {
		j.rewriting = append(j.rewriting, id)
	}
}

// walk notes the next agents of the slow walk over all, and reports whether
// there were any.
func (j *Janitor) walk(agents int) bool {
	if j.walked.IsZero() && !j.walkedAt.IsZero() && time.Since(j.walkedAt) < walkEvery {
		return false
	}
	var ids []hawser.AgentID
	err := j.view(func(v View) (err error) {
		ids, err = v.AgentsAfter(j.walked, agents)
		return err
	})
	if err != nil {
		j.cfg.Logger.Warn("walking over the agents failed", "error", err)
		return false
	}
	if len(ids) == 0 {
		j.walked, j.walkedAt = hawser.AgentID{}, time.Now()
		return false
	}
	j.walked = ids[len(ids)-1]
	j.rewriting = append(j.rewriting, ids...)
	return true
}

// rewrite looks at one agent that is noted and is not being pruned, and
// rewrites its segments that are worth it. It reports whether others wait.
func (j *Janitor) rewrite(ctx context.Context) bool {
	due := func(id hawser.AgentID) bool {
		return slices.ContainsFunc(j.pass.due, func(p fsm.Prunable) bool { return p.Agent == id })
	}
	switch {
	case len(j.rewriting) == 0:
		return false
	case due(j.rewriting[0]):
		return true // once it is pruned
	}
	id := j.rewriting[0]
	j.rewriting = j.rewriting[1:]
	for before, more := uint64(0), true; more && ctx.Err() == nil && j.cfg.Leads(); more = before != 0 {
		found, next, idle, err := j.deadWeight(id, before)
		if err != nil {
			j.cfg.Logger.Warn("looking for dead weight failed", "agent", id, "error", err)
			return true
		}
		for _, r := range found {
			if worth(r, r.Keyframe, idle) && !j.replace(ctx, r, idle) {
				return true
			}
		}
		before = next
	}
	return true
}

// deadWeight lists some of the dead weight of an agent, what to go on before, and
// how long ago it saved.
func (j *Janitor) deadWeight(id hawser.AgentID, before uint64) (found []fsm.Rewrite, next uint64, idle time.Duration, err error) {
	err = j.view(func(v View) error {
		a, err := v.Agent(id)
		if errors.Is(err, hawser.ErrNotFound) || err == nil && a.Version == nil {
			return nil
		}
		if err == nil {
			idle = j.cfg.Now().Sub(a.Version.CreatedAt)
			found, next, err = v.Rewrites(id, before)
		}
		return err
	})
	return found, next, idle, err
}

// replace builds the keyframe of r and proposes it, if that is still worth it.
// It reports whether the janitor goes on with the agent.
func (j *Janitor) replace(ctx context.Context, r fsm.Rewrite, idle time.Duration) bool {
	content, parts, err := j.keyframe(r)
	if err != nil {
		// The scrubber deals with a version that cannot be rebuilt.
		j.cfg.Logger.Warn("a keyframe could not be built", "agent", r.Agent, "version", r.Number, "error", err)
		return true
	}
	size := int64(len(content.Data))
	for _, part := range parts {
		size += int64(len(part))
	}
	if !worth(r, size, idle) {
		return true
	}
	if len(parts) > 0 && !j.stage(ctx, content.Upload, parts) {
		return false
	}
	start := time.Now()
	err = j.propose(ctx, &fsm.Replace{Segment: r.Segment, Position: r.Position, Stamp: r.Stamp, Content: content}).Err
	if !rest(ctx, j.pace.took(time.Since(start))) {
		return false
	}
	if err != nil { // mostly a segment that has changed meanwhile: it is found again
		j.cfg.Logger.Debug("a segment was not rewritten", "agent", r.Agent, "error", err)
		return hawser.CodeOf(err) == hawser.CodeRefused
	}
	j.counts.rewrites.Add(1)
	j.counts.freed.Add(r.Dead + r.Own - size)
	return true
}

// keyframe builds the keyframe of the version at the place of r, in parts if it
// is large, and makes sure that it gives that version back. Two states are held
// at most: while it is rebuilt, and then it and what it is packed to.
func (j *Janitor) keyframe(r fsm.Rewrite) (content record.Content, parts [][]byte, err error) {
	var version hawser.Version
	var state []byte
	err = j.view(func(v View) (err error) {
		version, state, err = v.Materialise(r.Agent, r.Number)
		return err
	})
	if err != nil {
		return record.Content{}, nil, err
	}
	verifier, err := record.NewVerifier(record.Content{
		Kind: record.Keyframe, Encoding: record.PackEncoding(state), Size: uint64(len(state)),
	}, hawser.MaxStateSize)
	if err != nil {
		return record.Content{}, nil, err
	}
	defer verifier.Close()
	content, err = record.Pack(state, func(part []byte) error {
		parts = append(parts, bytes.Clone(part))
		_, err := verifier.Write(part)
		return err
	})
	if err == nil {
		err = verifier.Finish(content.CRC32C, version.SHA256)
	}
	if err != nil {
		return record.Content{}, nil, fmt.Errorf("the encoder does not give the state back: %w", errors.Join(err, hawser.ErrInternal))
	}
	if len(parts) == 1 {
		content.Data, content.Parts = parts[0], 0
		return content, nil, nil
	}
	_, _ = rand.Read(content.Upload[:]) // documented never to fail
	return content, parts, nil
}

// stage stages the parts of an upload. One that is not finished expires.
func (j *Janitor) stage(ctx context.Context, upload [16]byte, parts [][]byte) bool {
	for i, part := range parts {
		if !j.submit(ctx, &fsm.Part{Upload: upload, Index: uint32(i), CRC32C: record.Checksum(part), Data: part}) {
			return false
		}
	}
	return true
}
