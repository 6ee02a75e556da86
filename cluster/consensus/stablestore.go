// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"

	raftboltdb "github.com/hashicorp/raft-boltdb/v2"

	"github.com/hawserdb/hawser/internal/halt"
)

// stableFile is the name of the file with term and vote.
const stableFile = "stable.db"

// The keys that raft uses.
const (
	keyTerm     = "CurrentTerm"
	keyVoteTerm = "LastVoteTerm"
	keyVoteCand = "LastVoteCand"
)

// recordKey is the one key in the file.
var recordKey = []byte("hard-state")

// hardState is what a replica must never forget: its term and its vote.
type hardState struct {
	term     uint64
	voteTerm uint64
	voteFor  string
}

// encode returns version (u8), term, vote's term (u64, LE), candidate, CRC32C.
func (h hardState) encode() []byte {
	b := append(make([]byte, 0, 21+len(h.voteFor)), 1)
	b = binary.LittleEndian.AppendUint64(b, h.term)
	b = binary.LittleEndian.AppendUint64(b, h.voteTerm)
	b = append(b, h.voteFor...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeHardState(b []byte) (hardState, error) {
	if len(b) < 21 || b[0] != 1 {
		return hardState{}, fmt.Errorf("record of %d bytes is not term and vote", len(b))
	}
	body, tail := b[:len(b)-4], b[len(b)-4:]
	if got, want := crc32.Checksum(body, castagnoli), binary.LittleEndian.Uint32(tail); got != want {
		return hardState{}, fmt.Errorf("checksum is %08x, want %08x", got, want)
	}
	return hardState{
		term:     binary.LittleEndian.Uint64(b[1:]),
		voteTerm: binary.LittleEndian.Uint64(b[9:]),
		voteFor:  string(body[17:]),
	}, nil
}

// stableStore is raft's stable store. Term and vote are one record with a
// checksum, written in one transaction.
//
// raft writes the term of a vote and its candidate one after the other; a
// crash between them would leave the new term with the old candidate, who
// would then get a second vote without a look at its log (raft#661). So the
// term of a vote is held back until the candidate comes.
type stableStore struct {
	path  string
	latch *latch

	mu     sync.Mutex
	db     *raftboltdb.BoltStore
	state  hardState // what is in the file
	staged uint64    // term of the vote that is on its way
}

// openStable opens the store at path, or makes it if create is set.
func openStable(path string, create bool, l *latch) (*stableStore, error) {
	s := &stableStore{path: path, latch: l}
	err := guarded(path, "open term and vote", func() error { return s.open(create) })
	if err != nil {
		if s.db != nil {
			_ = guarded(path, "close", s.db.Close)
		}
		return nil, halt.Wrap(halt.Stable, path, fmt.Errorf("open term and vote: %w", err))
	}
	return s, nil
}

func (s *stableStore) open(create bool) error {
	if !exists(s.path) {
		if !create {
			return damaged(s.path, "the file with term and vote is missing, but the node took part in elections")
		}
		first := func(b *raftboltdb.BoltStore) error { return b.Set(recordKey, hardState{}.encode()) }
		if err := createBolt(s.path, first); err != nil {
			return err
		}
	}
	if err := checkBolt(s.path); err != nil {
		return err
	}
	var err error
	if s.db, err = raftboltdb.New(boltOptions(s.path)); err != nil {
		return err
	}
	b, err := s.db.Get(recordKey)
	if err != nil {
		return damaged(s.path, "read term and vote: %w", err)
	}
	if s.state, err = decodeHardState(b); err != nil {
		return damaged(s.path, "read term and vote: %w", err)
	}
	return nil
}

// current returns what is stored.
func (s *stableStore) current() hardState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// GetUint64 implements raft.StableStore.
func (s *stableStore) GetUint64(key []byte) (uint64, error) {
	state := s.current()
	switch string(key) {
	case keyTerm:
		return state.term, nil
	case keyVoteTerm:
		return state.voteTerm, nil
	}
	return 0, s.unknown(key)
}

// Get implements raft.StableStore.
func (s *stableStore) Get(key []byte) ([]byte, error) {
	if string(key) != keyVoteCand {
		return nil, s.unknown(key)
	}
	return []byte(s.current().voteFor), nil
}

// SetUint64 implements raft.StableStore. The term of a vote is only staged.
func (s *stableStore) SetUint64(key []byte, value uint64) error {
	s.mu.Lock()
	next := s.state
	switch string(key) {
	case keyTerm:
		next.term = value
	case keyVoteTerm:
		s.staged = value
		s.mu.Unlock()
		return s.latch.park(s.latch.Err())
	default:
		s.mu.Unlock()
		return s.latch.park(s.unknown(key))
	}
	err := s.writeLocked(next)
	s.mu.Unlock()
	return s.latch.park(err)
}

// Set implements raft.StableStore. A candidate is written with its staged term.
func (s *stableStore) Set(key, value []byte) error {
	if string(key) != keyVoteCand {
		return s.latch.park(s.unknown(key))
	}
	s.mu.Lock()
	next := s.state
	next.voteTerm, next.voteFor = s.staged, string(value)
	err := s.writeLocked(next)
	s.mu.Unlock()
	return s.latch.park(err)
}

func (s *stableStore) writeLocked(next hardState) error {
	if next == s.state {
		return nil // also after a failure: raft writes its term when it starts
	}
	return s.latch.do(halt.Stable, s.path, "write term and vote", func() error {
		if next.term < s.state.term || next.voteTerm < s.state.voteTerm {
			return fmt.Errorf("refused: %+v would go back behind %+v", next, s.state)
		}
		if err := s.db.Set(recordKey, next.encode()); err != nil {
			return err
		}
		s.state = next
		return nil
	})
}

// undoBootstrap takes back a bootstrap that a crash cut in two. raft writes
// term 1 first and the first entry, the configuration, after it; a node with
// only the former looks as if it had taken part in a cluster, and can be
// neither bootstrapped again nor elected. No election is ever held in term 1,
// so a replica with an empty log, no vote and term 1 has promised nothing to
// anybody. The caller has made sure that the log is empty.
func (s *stableStore) undoBootstrap() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != (hardState{term: 1}) {
		return nil
	}
	return s.latch.do(halt.Stable, s.path, "take back half a bootstrap", func() error {
		if err := s.db.Set(recordKey, hardState{}.encode()); err != nil {
			return err
		}
		s.state = hardState{}
		return nil
	})
}

func (s *stableStore) unknown(key []byte) error {
	return s.latch.fail(halt.Wrap(halt.Stable, s.path, fmt.Errorf("unknown key %q", key)))
}

// Close closes the file.
func (s *stableStore) Close() error {
	s.latch.unpark()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return errors.New("closed already")
	}
	err := guarded(s.path, "close", s.db.Close)
	s.db = nil
	return err
}
