// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/hawserdb/hawser/cluster/membership"
	"github.com/hawserdb/hawser/internal/peerpb"
	"github.com/hawserdb/hawser/internal/wire"
)

// elders knows with whom this node may speak raft.
//
// The node's own configuration is the rule. But a node that was down while
// the others replaced each other knows an old configuration only, and the
// leader of today may not be in it; it would never be let in to bring the
// news. So a node asks the members that it knows who the members are now, and
// believes a configuration that is newer than its own. Who may be asked, and
// who answers, has proved that it knows the cluster secret; raft's own checks
// of term and log hold as ever.
type elders struct {
	core *core
	stop context.CancelFunc
	done sync.WaitGroup
	// leftOut counts the rounds in a row in which every answer left this node
	// out. Owned by run.
	leftOut int

	mu sync.Mutex
	// told is the newest configuration that another member reported; own ids
	// of the node's latest configuration. Guarded by mu.
	told      []string
	toldIndex uint64
	own       []string
}

// eldersEvery is how often a node that does not hear from a leader asks.
const eldersEvery = 2 * time.Second

func newElders(c *core) *elders {
	ctx, stop := context.WithCancel(context.Background())
	e := &elders{core: c, stop: stop}
	e.done.Go(func() { e.run(ctx) })
	return e
}

func (e *elders) close() {
	e.stop()
	e.done.Wait()
}

// allow reports whether raft may be spoken with node.
func (e *elders) allow(node string) bool {
	configuration := e.core.replica.Configuration()
	if len(configuration.Servers) == 0 {
		return e.core.node.dir.Node().State().Founder(node) || e.knows(node)
	}
	if _, member := configuration.Find(node); member {
		return true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.toldIndex > configuration.Index && slices.Contains(e.told, node)
}

// knows reports whether node is in the book of a node that was taken in and
// has no configuration yet.
func (e *elders) knows(node string) bool {
	state := e.core.node.dir.Node().State()
	_, known := e.core.node.book.Resolve(node)
	return known && !state.ClusterID.IsZero()
}

// replaced takes the node's new configuration and returns who was in the one
// before and is not any more.
func (e *elders) replaced(ids []string) (gone []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range e.own {
		if !slices.Contains(ids, id) {
			gone = append(gone, id)
		}
	}
	e.own = ids
	return gone
}

func (e *elders) run(ctx context.Context) {
	ticker := time.NewTicker(eldersEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if e.core.replica.Leader() == "" {
			e.askAll(ctx)
		}
	}
}

// askAll asks every known member who belongs to the cluster now. A node that
// every answer leaves out, twice in a row, was removed: answers come from
// members that are at least as far as this node, and a node that is being
// taken in is in the configuration before it is told so.
func (e *elders) askAll(ctx context.Context) {
	self := e.core.node.id
	newer, without := 0, 0
	for _, a := range e.core.node.book.Addresses() {
		if a.ID == self || ctx.Err() != nil {
			continue
		}
		book, err := e.ask(ctx, a.ID)
		if err != nil || book.GetLeader() == "" || book.GetConfigurationIndex() < e.core.replica.Configuration().Index {
			continue
		}
		newer++
		if !slices.ContainsFunc(book.GetMembers(), func(m *peerpb.Node) bool { return m.GetId() == self }) {
			without++
		}
		e.learn(book)
	}
	if newer == 0 || without < newer {
		e.leftOut = 0
		return
	}
	if e.leftOut++; e.leftOut >= 2 {
		e.core.node.removed()
	}
}

func (e *elders) ask(ctx context.Context, node string) (*peerpb.BookResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := e.core.node.port.Conn(node)
	if err != nil {
		return nil, err
	}
	book, err := peerpb.NewPeerClient(conn).Book(ctx, &peerpb.BookRequest{})
	return book, wire.FromStatus(err)
}

func (e *elders) learn(book *peerpb.BookResponse) {
	var known []membership.Address
	ids := make([]string, 0, len(book.GetMembers()))
	for _, m := range book.GetMembers() {
		ids = append(ids, m.GetId())
		known = append(known, membership.Address{ID: m.GetId(), Peer: m.GetPeerAddress()})
	}
	if err := e.core.node.book.Learn(known...); err != nil {
		e.core.node.halt(err)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if book.GetConfigurationIndex() >= e.toldIndex {
		e.told, e.toldIndex = ids, book.GetConfigurationIndex()
	}
}
