// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package detect

import (
	"context"
	"time"

	"github.com/hawserdb/hawser/cluster/policy"
)

const (
	// dialTimeout bounds the dial of a line, redialPause is what follows one
	// that failed.
	dialTimeout = 500 * time.Millisecond
	redialPause = 100 * time.Millisecond
	// pingAfter is the silence of raft after which the leader is asked directly,
	// pingTimeout bounds one question.
	pingAfter   = 300 * time.Millisecond
	pingTimeout = 300 * time.Millisecond
)

// Line is an idle connection to the process of another node.
type Line interface {
	// Done is closed when it has ended.
	Done() <-chan struct{}
	// BootID tells the process there from others of the same node.
	BootID() uint64
	Close()
}

// follow turns to the leader of a term: the line to the one before is closed.
func (d *Detector) follow(ctx context.Context, to target) {
	if to == d.watched {
		return
	}
	if d.hangUp != nil {
		d.hangUp()
		d.hangUp = nil
	}
	d.watched = to
	d.mu.Lock()
	d.of, d.line, d.mute, d.faltered = to, policy.LineNone, time.Time{}, time.Time{}
	d.mu.Unlock()
	if to.leader == "" || to.leader == d.cfg.Self {
		return
	}
	ctx, d.hangUp = context.WithCancel(ctx)
	d.tasks.Go(func() { d.keepLine(ctx, to) })
}

// keepLine keeps a line to a leader. What counts is the process that answered
// first: while there has been none, nothing is concluded from a refused dial,
// since the address may be an old one.
func (d *Detector) keepLine(ctx context.Context, to target) {
	var leading uint64 // the process that led, once it is known
	known := false
	for ctx.Err() == nil {
		line, err := d.dial(ctx, to.leader)
		switch {
		case err == nil && !known:
			leading, known = line.BootID(), true
			d.setLine(to, policy.LineUp)
		case err == nil && line.BootID() != leading:
			d.setLine(to, policy.LineRestarted)
		case err == nil:
			d.setLine(to, policy.LineUp)
		case known && d.cfg.Refused(err):
			d.setLine(to, policy.LineRefused)
		}
		if err != nil {
			pause(ctx, redialPause)
			continue
		}
		opened := time.Now()
		select {
		case <-line.Done():
		case <-ctx.Done():
		}
		line.Close()
		d.setLine(to, policy.LineNone)
		if time.Since(opened) < redialPause { // it accepts, and hangs up
			pause(ctx, redialPause)
		}
	}
}

func (d *Detector) dial(ctx context.Context, leader string) (Line, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return d.cfg.Dial(ctx, leader)
}

func (d *Detector) setLine(to target, line policy.Line) {
	d.mu.Lock()
	changed := d.of == to && d.line != line
	if changed {
		d.line = line
	}
	d.mu.Unlock()
	if changed && line > policy.LineUp {
		d.signal()
	}
}

func (d *Detector) signal() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// pingIfDoubtful asks a leader from which raft has not heard for a while, or whose
// network is poor, whether its process answers, one question at a time.
func (d *Detector) pingIfDoubtful(ctx context.Context, s policy.Sight) {
	to := target{s.Leader, s.Term}
	doubtful := s.Poor() || to.leader != "" && to.leader != d.cfg.Self && (!s.Heard || s.Silent > pingAfter)
	d.mu.Lock()
	defer d.mu.Unlock()
	if !doubtful {
		d.mute = time.Time{}
		return
	}
	if d.pinging || d.of != to {
		return
	}
	d.pinging = true
	if d.mute.IsZero() {
		d.mute = time.Now()
	}
	d.tasks.Go(func() { d.ping(ctx, to) })
}

func (d *Detector) ping(ctx context.Context, to target) {
	asked := time.Now()
	limit, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	err := d.cfg.Ping(limit, to.leader)
	if err != nil { // one that fails at once is not repeated at once
		pause(ctx, retryEvery-time.Since(asked))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pinging = false
	if err == nil && d.of == to {
		d.mute = time.Time{}
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
