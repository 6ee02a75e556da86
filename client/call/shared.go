// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package call

import "time"

// Shared is where the instances of an agent tell each other of breakers, so that what
// one finds out the others need not. It must be safe for concurrent use. Load is
// called before each attempt and must answer from memory; Publish is called by
// attempts and must not block. Both may lose what they are told: a breaker then knows
// what its own instance has seen.
type Shared interface {
	// Load returns what was published last of a target, the zero value for nothing. One
	// that is Open until a time to come is not called by this instance either; after that
	// time one attempt decides, unless the others have published Closed.
	Load(target string) SharedState
	// Publish tells others that a breaker here has opened or closed. Until is by this
	// machine's clock; the instances' clocks should agree within a second or so.
	Publish(s SharedState)
}

// SharedState is what instances tell each other of a target.
type SharedState struct {
	Target string
	// State is Open or Closed.
	State State
	// Until is when the target may be tried again; zero when it is Closed.
	Until time.Time
}
