// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package scrub

import (
	"strings"
	"sync"
	"time"

	"github.com/hawserdb/hawser"
)

// maxAgenda is the most agents whose new versions wait to be verified. One
// more is found by a look at all agents.
const maxAgenda = 50_000

// task is to verify the numbers from..to of an agent.
type task struct {
	agent    hawser.AgentID
	from, to uint64
	due      time.Time
}

// agenda is what waits to be verified, one task an agent. A task is due a fixed
// time after its first version was noted, with all that came meanwhile: so an
// agent that saves without a pause costs one walk in that time.
type agenda struct {
	delay time.Duration

	mu sync.Mutex
	// tasks holds what waits by agent, order the agents as they become due.
	// Both are guarded by mu.
	tasks map[hawser.AgentID]*task
	order []hawser.AgentID
	// missed is set when a version could not be noted.
	missed bool
}

func newAgenda(delay time.Duration) *agenda {
	return &agenda{delay: delay, tasks: make(map[hawser.AgentID]*task)}
}

// note notes a version. It keeps no part of id's memory.
func (a *agenda) note(id hawser.AgentID, number uint64, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t, ok := a.tasks[id]; ok {
		t.from, t.to = min(t.from, number), max(t.to, number)
		return
	}
	if len(a.tasks) >= maxAgenda {
		a.missed = true
		return
	}
	id = hawser.AgentID{Namespace: strings.Clone(id.Namespace), Name: strings.Clone(id.Name)}
	a.tasks[id] = &task{agent: id, from: number, to: number, due: now.Add(a.delay)}
	a.order = append(a.order, id)
}

// next takes the task that is due first off the agenda, if one is due.
func (a *agenda) next(now time.Time) (task, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.order) == 0 {
		return task{}, false
	}
	t := a.tasks[a.order[0]]
	if t.due.After(now) {
		return task{}, false
	}
	delete(a.tasks, t.agent)
	if a.order = a.order[1:]; len(a.order) == 0 {
		a.order = nil // let go of what was taken
	}
	return *t, true
}

// waiting returns how many tasks wait, and for how long the first has been due.
func (a *agenda) waiting(now time.Time) (tasks int, behind time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.order) > 0 {
		behind = max(0, now.Sub(a.tasks[a.order[0]].due))
	}
	return len(a.tasks), behind
}

// takeMissed reports whether versions could not be noted since the last call.
func (a *agenda) takeMissed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	missed := a.missed
	a.missed = false
	return missed
}

// room returns how many more agents can be noted.
func (a *agenda) room() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maxAgenda - len(a.tasks)
}
