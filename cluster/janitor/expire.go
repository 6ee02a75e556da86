// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"context"
	"slices"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

const (
	// reclaimAgents and reclaimRecords bound one step: so many agents, and of
	// each so many records in one command.
	reclaimAgents  = 16
	reclaimRecords = 256
	// keptEvents and eventTime are how many events are kept, and how long.
	keptEvents = 1_000_000
	eventTime  = time.Hour
	// expireEvery is how often uploads, tombs and events are looked at.
	expireEvery = time.Minute
	// uploadTime is how long an upload may get no part, tombTime how long the
	// counters of a deleted agent are kept, of the cluster's time.
	uploadTime = 10 * time.Minute
	tombTime   = 30 * 24 * time.Hour
	// tombsAtOnce is how many tombs go in one command.
	tombsAtOnce = 256
	// sessionsAtOnce is how many sessions go in one command.
	sessionsAtOnce = 256
)

// reclaim frees a bounded amount of what deleted agents left behind, and
// reports whether there may be more.
func (j *Janitor) reclaim(ctx context.Context) bool {
	agents, err := j.cfg.Garbage(reclaimAgents)
	if err != nil {
		j.cfg.Logger.Warn("looking for deleted versions failed", "error", err)
		return false
	}
	for _, agent := range agents {
		if !j.submit(ctx, &fsm.Reclaim{Agent: agent, Limit: reclaimRecords}) {
			return false
		}
	}
	return len(agents) > 0
}

// expire removes uploads that were given up and counters of agents that were
// deleted long ago, sessions that are over, and events that no watch needs any
// more, and reports whether there may be more.
func (j *Janitor) expire(ctx context.Context) bool {
	if time.Since(j.expired) < expireEvery {
		return false
	}
	now := j.cfg.Now()
	var uploads [][16]byte
	var tombs []hawser.AgentID
	var sessions []fsm.SessionRef
	var trim hawser.Revision
	err := j.view(func(v View) error {
		listed, err := v.Uploads(hawser.MaxPage)
		for _, u := range listed {
			if now.Sub(u.TouchedAt) > uploadTime {
				uploads = append(uploads, u.ID)
			}
		}
		if err == nil {
			trim, err = v.EventsToTrim(keptEvents, now.Add(-eventTime))
		}
		if err == nil {
			sessions, err = v.ExpiredSessions(now, hawser.MaxPage)
		}
		if err == nil {
			tombs, err = v.Tombs(now.Add(-tombTime), hawser.MaxPage)
		}
		return err
	})
	if err != nil {
		j.cfg.Logger.Warn("looking for what is over failed", "error", err)
		return false
	}
	more := len(uploads) == hawser.MaxPage || len(tombs) == hawser.MaxPage || len(sessions) == hawser.MaxPage
	for chunk := range slices.Chunk(uploads, 1) { // each may have thousands of parts
		if !j.submit(ctx, &fsm.ExpireUploads{Uploads: chunk, Before: now.Add(-uploadTime).UnixNano()}) {
			return false
		}
	}
	for chunk := range slices.Chunk(tombs, tombsAtOnce) {
		if !j.submit(ctx, &fsm.PruneTombs{Agents: chunk, Before: now.Add(-tombTime).UnixNano()}) {
			return false
		}
	}
	for chunk := range slices.Chunk(sessions, sessionsAtOnce) {
		if !j.submit(ctx, &fsm.ExpireSessions{Sessions: chunk}) {
			return false
		}
	}
	if trim != 0 {
		if more = true; !j.submit(ctx, &fsm.TrimEvents{Before: trim}) {
			return false
		}
	}
	if !more {
		j.expired = time.Now()
	}
	return more
}
