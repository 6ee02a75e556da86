// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawser

import (
	"fmt"
	"sync"
)

// Guard keeps those who hold something no longer away from a resource of one's
// own, such as a file, a device or another system: whoever writes there shows its
// [Fence], and the guard refuses all that are older than the newest that it has
// seen of the same resource. See docs/coordination.md, and "How to do distributed
// locking" by Martin Kleppmann (2016).
//
// It must stand where the writes arrive, at the resource: a process that asks a
// guard of its own can stand still after it was told yes. The zero value is
// ready. It is safe for concurrent use, and remembers one number a resource.
type Guard struct {
	// Load and Store keep the newest token of a resource where the guard's
	// process cannot lose it; 0 is none. Without them a guard that begins anew
	// lets one old fence through, until it sees a newer one. Check calls them one
	// at a time; Store returns when the token is durable.
	Load  func(resource string) (uint64, error)
	Store func(resource string, token uint64) error

	mu     sync.Mutex
	newest map[string]uint64
}

// Check returns nil if no newer fence of the resource was seen. Else the error
// matches [ErrFenced], and the writer has lost what it held: do nothing for it.
// Other errors are those of Load and Store.
func (g *Guard) Check(f Fence) error {
	if f.Resource == "" || f.Token == 0 {
		return &Error{Code: CodeInvalid, Op: "guard", Key: f.Resource, Msg: "a fence has a resource and a token"}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	newest, err := g.load(f.Resource)
	switch {
	case err != nil:
		return err
	case f.Token == newest:
		return nil
	case f.Token < newest:
		return &Error{Code: CodeFenced, Op: "guard", Key: f.Resource, Msg: fmt.Sprintf("the fence is %d, and %d was seen", f.Token, newest)}
	}
	if g.Store != nil {
		if err := g.Store(f.Resource, f.Token); err != nil {
			return fmt.Errorf("guard %q: store the token: %w", f.Resource, err)
		}
	}
	g.newest[f.Resource] = f.Token
	return nil
}

func (g *Guard) load(resource string) (uint64, error) {
	if newest, known := g.newest[resource]; known || g.Load == nil {
		g.remember(resource, newest)
		return newest, nil
	}
	newest, err := g.Load(resource)
	if err != nil {
		return 0, fmt.Errorf("guard %q: load the token: %w", resource, err)
	}
	g.remember(resource, newest)
	return newest, nil
}

func (g *Guard) remember(resource string, token uint64) {
	if g.newest == nil {
		g.newest = make(map[string]uint64)
	}
	g.newest[resource] = token
}
