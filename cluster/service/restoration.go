// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/snapshot"
)

// maxEntryItems is how many bytes of items go into one log entry, with what
// frames them.
const maxEntryItems = 240 << 10

// restoration is an import under way at the leader.
type restoration struct {
	b       *Backend
	archive hawser.Hash
	// done is how many items the machine has, seen how many have come.
	done, seen uint64
}

// take restores the next items, but for those that are there already. One
// entry waits for the other: they must arrive in order, and what comes
// meanwhile waits in the stream.
func (r *restoration) take(ctx context.Context, items [][]byte) error {
	for _, item := range items {
		// Here it does no harm yet; an item that the machine refuses ends the
		// import for good.
		parsed, err := snapshot.ParseItem(item)
		if err == nil {
			err = checkNames(parsed)
		}
		if err != nil {
			return badImport(fmt.Sprintf("item %d: %v", r.seen, err))
		}
	}
	for len(items) > 0 {
		n, size := 0, 0
		for n < len(items) && (n == 0 || size+len(items[n]) <= maxEntryItems) {
			size += len(items[n]) + 4
			n++
		}
		if r.seen+uint64(n) > r.done {
			result, err := r.b.insist(ctx, &fsm.ImportItems{Archive: r.archive, Sequence: r.seen, Items: items[:n]})
			if err != nil {
				return err
			}
			r.done = result.Number
		}
		r.seen += uint64(n)
		items = items[n:]
	}
	return nil
}

// end completes the import.
func (r *restoration) end(ctx context.Context, end *hawserv1.ImportEnd) (*hawserv1.ImportResponse, error) {
	result, err := r.b.insist(ctx, &fsm.ImportEnd{Archive: r.archive, Agents: end.GetAgents(), Versions: end.GetVersions()})
	switch {
	case errors.Is(err, hawser.ErrOutcomeUnknown):
		return nil, unknownImport(err)
	case err != nil:
		return nil, unexecuted(err)
	}
	return &hawserv1.ImportResponse{
		Header: r.b.header(r.b.Machine.Info(), result.Revision), Agents: end.GetAgents(), Versions: end.GetVersions(),
	}, nil
}

// checkNames returns an error unless the names in an item are spelled as the
// API spells them. It is checked here, not in the machine: what the normal form
// is depends on the Unicode tables that a node was built with.
func checkNames(item snapshot.Item) error {
	switch item := item.(type) {
	case *snapshot.Policy:
		prefix, err := hawser.NewPrefix(item.Prefix)
		if err == nil && prefix != item.Prefix {
			err = fmt.Errorf("prefix %q is not in Unicode normal form C", item.Prefix)
		}
		return errors.Join(hawser.CheckNamespace(item.Namespace), err)
	case *snapshot.Floor:
		return hawser.CheckNamespace(item.Namespace)
	case *snapshot.Agent:
		return checkAgent(item.ID)
	case *snapshot.Version:
		for _, ref := range append([]hawser.VersionRef{item.Origin}, item.DerivedFrom...) {
			if !ref.IsZero() {
				if err := checkAgent(ref.Agent); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func checkAgent(id hawser.AgentID) error {
	named, err := hawser.NewAgentID(id.Namespace, id.Name)
	if err == nil && named != id {
		err = fmt.Errorf("agent %q is not in Unicode normal form C", id)
	}
	return err
}
