// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/cluster/watch"
	"github.com/hawserdb/hawser/fsm"
)

const (
	// maxLost is for how long a node may know no leader before the streams that it
	// serves end: an election takes less, and a node that is cut off tells nothing
	// new for as long as that lasts.
	maxLost = 3 * time.Second
	// contactEvery is how often they look whether there is one.
	contactEvery = 2 * time.Second
)

// news is what a stream waits for that tells how something stands now.
type news struct {
	// sub tells of changes by events.
	sub *watch.Subscription
	// every is how often the state is looked at without one.
	every time.Duration

	contact contact
}

// await waits until something may have changed since a moment of the machine. It
// returns the node and a view of its machine, which an import may have put in
// another one's place; the caller closes the view.
func (s *Service) await(ctx context.Context, n *news, since fsm.Info) (*Backend, *fsm.View, error) {
	for due := time.Now().Add(n.every); ; {
		told, err := n.next(ctx, min(n.every, contactEvery))
		if err != nil {
			return nil, nil, err
		}
		b, err := s.open()
		if err == nil {
			err = n.contact.check(b)
		}
		if err != nil {
			return nil, nil, err
		}
		now := b.Machine.Info()
		changed := now.Revision != since.Revision || now.Generation != since.Generation
		if told || changed && !time.Now().Before(due) {
			return s.look()
		}
	}
}

// look returns the node and a view of its machine, which the caller closes.
func (s *Service) look() (*Backend, *fsm.View, error) {
	b, err := s.open()
	if err != nil {
		return nil, nil, err
	}
	view, err := b.Machine.View()
	return b, view, err
}

// next waits for an event for a while, and reports whether there may have been
// one.
func (n *news) next(ctx context.Context, while time.Duration) (told bool, err error) {
	events, _, err := someEvents(ctx, n.sub, while)
	if errors.Is(err, hawser.ErrCompacted) { // the state tells it all
		select {
		case <-time.After(while):
			return true, nil
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
	return len(events) > 0, err
}

// contact watches over the node of a stream.
type contact struct{ lost time.Time }

// check returns an error once the node has known no leader for too long.
func (c *contact) check(b *Backend) error {
	switch {
	case b.Leader().ID != "":
		c.lost = time.Time{}
	case c.lost.IsZero():
		c.lost = time.Now()
	case time.Since(c.lost) > maxLost:
		return &hawser.Error{Code: hawser.CodeUnavailable, Msg: "this node knows no leader and tells nothing new; go on at another one"}
	}
	return nil
}
