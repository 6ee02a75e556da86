// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import "github.com/hawserdb/hawser"

// sources calls f for every version that rec rests on, by the index of derived
// versions. What a version rests on within its own agent's chain is in the
// chain.
func (rec *chainRecord) sources(id hawser.AgentID, f func(source hawser.VersionRef)) {
	for _, source := range rec.derived {
		f(source)
	}
	if !rec.origin.IsZero() && rec.origin.Agent != id {
		f(rec.origin)
	}
}

func (c *changes) putDerived(id hawser.AgentID, rec *chainRecord) {
	rec.sources(id, func(source hawser.VersionRef) {
		c.key = derivedKey(c.key[:0], source, hawser.VersionRef{Agent: id, Number: rec.number})
		c.batch.Set(c.key)
	})
}

func (c *changes) dropDerived(id hawser.AgentID, rec *chainRecord) {
	rec.sources(id, func(source hawser.VersionRef) {
		c.key = derivedKey(c.key[:0], source, hawser.VersionRef{Agent: id, Number: rec.number})
		c.batch.Delete(c.key)
	})
}
