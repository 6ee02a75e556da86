// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/internal/halt"
)

const (
	// changePause is the time between two attempts to change the members.
	changePause = 100 * time.Millisecond
	// leavesWithin is how soon a node stops that was removed and hears of it.
	leavesWithin = 10 * time.Second
)

// Risk claims nodes for a fault that takes data from them, or may, until Safe: no
// more than a minority may be so at one time. It returns false when they must wait.
func (r *Rig) Risk(nodes ...int) bool { return r.roles.risk(nodes) }

// Safe ends a claim of Risk.
func (r *Rig) Safe(nodes ...int) { r.roles.safe(nodes) }

// AtRisk returns a node that is claimed, -1 for none.
func (r *Rig) AtRisk() int { return r.roles.atRisk() }

// Damaged notes that a file of a node is damaged: it may refuse to run, until sound
// is called or a new node takes its place.
func (r *Rig) Damaged(i int) (sound func()) {
	var renewed int
	r.roles.change(i, func(p *place) { p.damaged, renewed = p.damaged+1, p.renewed })
	return func() {
		r.roles.change(i, func(p *place) {
			if p.renewed == renewed {
				p.damaged--
			}
		})
	}
}

// Renewals counts the nodes that have begun at a place with an empty disk.
func (r *Rig) Renewals(i int) int { return r.roles.get(i).renewed }

// Removing notes that a node is about to be removed: it may stop.
func (r *Rig) Removing(i int) { r.roles.change(i, func(p *place) { p.removed = true }) }

// Refuses reports whether a node has ended and will not run with the files that it
// has, which is explained by what was done to it.
func (r *Rig) Refuses(i int) bool {
	p := r.Process(i)
	return p != nil && !r.Running(i) && r.roles.get(i).refusesWith(p.ExitCode())
}

// ID returns the id of the node that was last known to be a voter at a place.
func (r *Rig) ID(i int) string { return r.roles.get(i).id }

// Renew puts a new node with an empty disk at the place of another one, which is
// killed. It joins the cluster by itself, as a standby.
func (r *Rig) Renew(i int) error {
	if err := r.clear(i); err != nil {
		return err
	}
	r.roles.change(i, func(p *place) { p.away, p.removed, p.damaged, p.renewed = false, false, 0, p.renewed+1 })
	return r.Start(i)
}

// clear kills the node of a place and moves its files away. Those of the node that
// was there before it are removed.
func (r *Rig) clear(i int) error {
	if err := r.Kill(i); err != nil {
		return err
	}
	node, was := r.Nodes()[i], r.roles.get(i).replaced
	into, err := os.MkdirTemp(r.dir, node.Name+"-replaced-")
	if err != nil {
		return err
	}
	errs := []error{os.RemoveAll(was)}
	into = filepath.Join(into, "files")
	if r.Disks != nil {
		errs = append(errs, r.Disks[i].Wipe(into))
	} else if err := os.Rename(node.Dir, into); !errors.Is(err, os.ErrNotExist) {
		errs = append(errs, err)
	}
	r.roles.change(i, func(p *place) { p.replaced = filepath.Dir(into) })
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("an empty disk for node %s: %w", node.Name, err)
	}
	return nil
}

// Whole makes the nodes of the first Size places the voters of the cluster again,
// and removes all others from it. There must be no fault. Nodes that refuse to run
// are replaced by new ones.
func (r *Rig) Whole(ctx context.Context) error {
	conn, err := client.Dial(client.Config{Endpoints: r.Endpoints(), RequestTimeout: 2 * time.Second})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for {
		if err := r.occupy(); err != nil {
			return err
		}
		open := r.approach(ctx, conn.Cluster())
		if open == nil {
			break
		}
		select {
		case <-time.After(changePause):
		case <-ctx.Done():
			return &ShownError{What: "the cluster is not whole again", Err: open}
		}
	}
	return r.dismiss(ctx)
}

// occupy lets a node run at every place where one is to.
func (r *Rig) occupy() error {
	if err := r.Revive(); err != nil {
		return err
	}
	for i := range r.Size() {
		if r.Refuses(i) {
			if err := r.Renew(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// approach makes the next change on the way to a whole cluster. It returns what is
// missing, nil when nothing is.
func (r *Rig) approach(ctx context.Context, cluster *client.Cluster) error {
	ids, err := r.identify(ctx)
	if err != nil {
		return err
	}
	members, err := cluster.Members(ctx)
	if err != nil {
		return fmt.Errorf("list the members: %w", err)
	}
	byID := map[string]client.Member{}
	for _, m := range members {
		byID[m.ID] = m
	}
	for _, id := range ids {
		switch m, ok := byID[id]; {
		case !ok:
			return fmt.Errorf("%s is no member", id)
		case m.Role != client.RoleVoter:
			return errors.Join(fmt.Errorf("%s is no voter", id), cluster.Promote(ctx, id))
		}
		delete(byID, id)
	}
	for id, m := range byID {
		if m.Name == r.Nodes()[r.Spare()].Name {
			r.Removing(r.Spare())
		}
		return errors.Join(fmt.Errorf("%s is still a member", id), cluster.Remove(ctx, id, false))
	}
	for i, id := range ids {
		r.roles.change(i, func(p *place) { p.id, p.removed = id, false })
	}
	return nil
}

// learn asks the nodes who they are.
func (r *Rig) learn(ctx context.Context) error {
	ids, err := r.identify(ctx)
	for i, id := range ids {
		r.roles.change(i, func(p *place) { p.id = id })
	}
	return err
}

// identify asks the nodes of the first Size places who they are.
func (r *Rig) identify(ctx context.Context) ([]string, error) {
	ids := make([]string, r.Size())
	for i := range ids {
		s, err := r.Status(ctx, i)
		if err != nil {
			return nil, err
		}
		ids[i] = s.Self.ID
	}
	return ids, nil
}

// Status asks a node, and no other, for its status.
func (r *Rig) Status(ctx context.Context, i int) (client.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	node := r.Nodes()[i]
	conn, err := client.Dial(client.Config{Endpoints: []string{node.Client}})
	if err != nil {
		return client.Status{}, err
	}
	defer func() { _ = conn.Close() }()
	s, err := conn.Cluster().Status(ctx)
	if err != nil {
		return s, fmt.Errorf("status of node %s: %w", node.Name, err)
	}
	return s, nil
}

// dismiss waits until the further node has stopped, as one that was removed does.
func (r *Rig) dismiss(ctx context.Context) error {
	i := r.Spare()
	if r.roles.isAway(i) {
		return nil
	}
	r.roles.change(i, func(p *place) { p.away = true })
	if !r.roles.get(i).removed {
		return r.Kill(i) // it never became a member
	}
	select {
	case <-r.Process(i).Done():
		if code := r.Process(i).ExitCode(); code != halt.Removed.ExitCode() {
			return fmt.Errorf("node %s was removed and ended with code %d", r.Nodes()[i].Name, code)
		}
		return nil
	case <-time.After(leavesWithin):
		return errors.Join(fmt.Errorf("node %s was removed and goes on", r.Nodes()[i].Name), r.Kill(i))
	case <-ctx.Done():
		return errors.Join(ctx.Err(), r.Kill(i))
	}
}

// Below returns where a file of a node lies behind its disk.
func (r *Rig) Below(i int, path string) string {
	if r.WithoutDisks != "" {
		return path
	}
	return r.Disks[i].Below(path)
}

// Changed makes a node see that one of its files was changed behind its disk.
func (r *Rig) Changed(i int, path string) {
	if r.WithoutDisks == "" {
		r.Disks[i].Changed(path)
	}
}
