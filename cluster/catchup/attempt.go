// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package catchup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/throttle"
)

// Members are the other members of the cluster.
type Members interface {
	Remote
	// IDs returns who they are, as far as known.
	IDs() []string
	// Log asks a member how far its log reaches, and to keep it.
	Log(ctx context.Context, node string, ask LogRequest) (Log, error)
}

// LogRequest is what a member is asked.
type LogRequest struct {
	// Keep the log for some time, from entry From on.
	Keep bool
	From uint64
	// Progress is for the leader's notes.
	Progress Progress
}

// Log is how far a member's log reaches.
type Log struct {
	// First and Last are its ends; First is 0 for an empty log, and Last then
	// that of the machine.
	First, Last uint64
	Applied     uint64
	Leads       bool
}

// reaches reports whether a replica whose log ends at index can go on with l.
func (l Log) reaches(index uint64) bool {
	if l.First == 0 {
		return index >= l.Last
	}
	return l.First <= max(index, 1)
}

// survey is what the members said.
type survey struct {
	leader  Log
	leading string
	logs    map[string]Log
}

const (
	// surveyTime bounds a question to all members.
	surveyTime = 3 * time.Second
	// sayEvery is how often the log tells how far a fetch is.
	sayEvery = 10 * time.Second
)

var errNoLeader = errors.New("no leader answers")

// survey asks all members. It returns errNoLeader if none says that it leads.
func (c *CatchUp) survey(ctx context.Context) (survey, error) {
	from := uint64(0)
	if m := c.fetch.readManifest(); m != nil {
		from = m.Meta.Index
	}
	s := c.ask(ctx, LogRequest{Keep: c.isBusy(), From: from, Progress: c.Progress()})
	if s.leading == "" {
		return s, errNoLeader
	}
	return s, nil
}

func (c *CatchUp) isBusy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.busy
}

func (c *CatchUp) ask(ctx context.Context, request LogRequest) survey {
	ctx, cancel := context.WithTimeout(ctx, surveyTime)
	defer cancel()
	s := survey{logs: map[string]Log{}}
	var (
		mu   sync.Mutex
		asks sync.WaitGroup
	)
	for _, id := range c.cfg.Members.IDs() {
		asks.Go(func() {
			l, err := c.cfg.Members.Log(ctx, id, request)
			if err != nil {
				c.cfg.Logger.Debug("member does not tell how far its log reaches", "member", id, "error", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			s.logs[id] = l
			if l.Leads && (s.leading == "" || l.Last > s.leader.Last) {
				s.leading, s.leader = id, l
			}
		})
	}
	asks.Wait()
	return s
}

// attempt fetches once and takes the checkpoint over. It returns nil too when
// nothing is needed any more.
func (c *CatchUp) attempt(ctx context.Context, failures int, needed func(survey) bool) error {
	s, err := c.survey(ctx)
	if err != nil {
		return err
	}
	if !needed(s) {
		return nil
	}
	node, err := c.choose(s, failures)
	if err != nil {
		return err
	}
	c.cfg.Logger.Info("fetching the state of another member", "source", node, "leader", s.leading, "log_begins", s.leader.First)
	keeping := c.keep(ctx)
	defer keeping()
	_, applied := c.cfg.Reach()
	m, dir, err := c.fetch.fetch(ctx, node, max(s.leader.First, applied+1))
	if err != nil {
		return err
	}
	// The leader, perhaps a new one, must be able to go on from there.
	s, err = c.survey(ctx)
	if err != nil {
		return err
	}
	if !s.leader.reaches(m.Meta.Index) {
		return fmt.Errorf("the log of %s begins at %d by now, after the checkpoint at %d", s.leading, s.leader.First, m.Meta.Index)
	}
	return c.adopt(ctx, dir, m.Meta)
}

// choose returns whom to fetch from: who has what is here already, else who
// does not lead, the one with the newest state first; after each failure the
// next one.
func (c *CatchUp) choose(s survey, failures int) (string, error) {
	if m := c.fetch.readManifest(); m != nil && failures < patience {
		switch _, answers := s.logs[m.Source]; {
		case answers:
			return m.Source, nil
		case c.fetch.present(m) > 0:
			return "", fmt.Errorf("%s, which has the checkpoint, does not answer", m.Source)
		}
	}
	var nodes []string
	for id, l := range s.logs {
		if l.Applied != 0 && l.Applied >= s.leader.First {
			nodes = append(nodes, id)
		}
	}
	if len(nodes) == 0 {
		return "", errors.New("no member has a state that the leader's log reaches back to")
	}
	slices.SortFunc(nodes, func(a, b string) int {
		x, y := s.logs[a], s.logs[b]
		if x.Leads != y.Leads {
			return cmp.Compare(number(x.Leads), number(y.Leads))
		}
		return cmp.Or(cmp.Compare(y.Applied, x.Applied), cmp.Compare(a, b))
	})
	return nodes[failures%len(nodes)], nil
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// keep asks the members, now and then, to keep their logs, and tells them how
// far the fetch is, until the function that it returns is called.
func (c *CatchUp) keep(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		for said := time.Now(); throttle.Sleep(ctx, c.cfg.KeepEvery) == nil; {
			p := c.Progress()
			c.ask(ctx, LogRequest{Keep: true, From: p.Index, Progress: p})
			if time.Since(said) >= sayEvery {
				said = time.Now()
				c.cfg.Logger.Info("fetching the state of another member goes on", "progress", p.String())
			}
		}
	})
	return func() { cancel(); done.Wait() }
}

func (c *CatchUp) adopt(ctx context.Context, dir string, meta fsm.Meta) error {
	if err := c.cfg.Adopt(ctx, dir, meta); err != nil {
		return err
	}
	c.mu.Lock()
	c.adopted, c.skips = meta.Index, 0
	c.mu.Unlock()
	c.fetched.Add(1)
	c.cfg.Logger.Info("took over the state of another member", "index", meta.Index, "term", meta.Term)
	return nil
}
