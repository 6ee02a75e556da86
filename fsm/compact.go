// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"context"

	"github.com/hawserdb/hawser/internal/engine"
)

// Compact frees at once what was removed from the store of this replica. It
// changes nothing that anybody sees, and may take as long as reading and
// writing the whole state. It returns the error of ctx when that ends first.
func (m *Machine) Compact(ctx context.Context) error {
	return m.withStore(func(db *engine.DB) error { return db.CompactAll(ctx) })
}

// Pieces cuts the store into ranges of about size bytes on disk, for
// [Machine.CompactPiece].
func (m *Machine) Pieces(size uint64) (pieces []engine.Range, err error) {
	err = m.withStore(func(db *engine.DB) error {
		pieces, err = db.Pieces(size)
		return err
	})
	return pieces, err
}

// CompactPiece is Compact for a part of the store.
func (m *Machine) CompactPiece(ctx context.Context, piece engine.Range) error {
	return m.withStore(func(db *engine.DB) error { return db.Compact(ctx, piece) })
}

// withStore runs use on the store, which stays open meanwhile.
func (m *Machine) withStore(use func(*engine.DB) error) error {
	s, err := m.acquire()
	if err != nil {
		return err
	}
	defer m.done(s)
	return use(s.db)
}
