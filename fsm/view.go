// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"fmt"
	"sync/atomic"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/engine"
)

// View is the state of one moment. It must be closed. All methods are safe
// for concurrent use; Close comes last. Errors are *hawser.Error values, or
// *halt.Error for what must stop the node.
type View struct {
	m      *Machine
	store  *store
	snap   *engine.Snapshot
	state  state
	closed atomic.Bool
}

// View returns the newest state. Whatever Wait has returned for is in it.
func (m *Machine) View() (*View, error) {
	s, err := m.acquire()
	if err != nil {
		return nil, err
	}
	snap, err := s.db.Snapshot()
	if err != nil {
		_ = m.release(s) // the engine has failed; err says so
		return nil, err
	}
	v := &View{m: m, store: s, snap: snap}
	_, _, stateKey := metaKeys()
	value, ok, err := snap.Get(stateKey)
	switch {
	case err == nil && !ok:
		v.state = state{level: firstLevel}
	case err == nil:
		v.state, err = parseState(value, m.opts.MaxLevel)
	}
	if err != nil {
		_ = v.Close() // the error to report is the first
		return nil, err
	}
	return v, nil
}

// Close releases the view. It may be called again.
func (v *View) Close() error {
	if v.closed.Swap(true) {
		return nil
	}
	err := v.snap.Close()
	if releaseErr := v.m.release(v.store); err == nil {
		err = releaseErr
	}
	return err
}

// Info returns what the machine knew of the cluster at the view's moment.
func (v *View) Info() Info { return v.state.info() }

// Agent describes an agent. One that was deleted is described too, without a
// Version and with the Head that its chain goes on from, and so is one that
// never was, or of which nothing is known any more, if it would not start from
// 0; else that is hawser.ErrNotFound.
func (v *View) Agent(id hawser.AgentID) (hawser.Agent, error) {
	rec, err := v.agent(id)
	if err != nil {
		return hawser.Agent{}, err
	}
	return v.describe(id, rec)
}

func (v *View) agent(id hawser.AgentID) (agentRecord, error) {
	if !validAgent(id) {
		return agentRecord{}, invalidCommand("agent", "its name is not valid")
	}
	rec, err := v.known(id)
	if err == nil && rec.head == 0 {
		err = notFound("agent", id, "there is no such agent")
	}
	return rec, err
}

// known returns the record of an agent. One that never was starts at the floor
// of its namespace.
func (v *View) known(id hawser.AgentID) (agentRecord, error) {
	if v.state.importing {
		return agentRecord{}, errImporting()
	}
	var scratch []byte
	rec, family, err := readAgent(v.snap, &scratch, id)
	if err != nil || family != 0 {
		return rec, err
	}
	floor, err := v.floor(id.Namespace)
	return floor.start(), err
}

func (v *View) describe(id hawser.AgentID, rec agentRecord) (hawser.Agent, error) {
	a := hawser.Agent{ID: id, Head: rec.head, Versions: rec.versions, StoredSize: int64(rec.stored), CreatedAt: unix(rec.created), Epoch: rec.epoch, Fenced: rec.fenced}
	if rec.busy {
		claim, _, err := v.resource(claimOf(id))
		if err != nil {
			return hawser.Agent{}, err
		}
		if live := claim.live(); live != nil {
			a.Owner = live.instance
		}
	}
	if rec.live == 0 {
		return a, nil
	}
	head, err := v.chain(id, rec.live)
	if err != nil {
		return hawser.Agent{}, err
	}
	version := head.version(id)
	a.Version = &version
	return a, nil
}

// chain returns a record that must be there.
func (v *View) chain(id hawser.AgentID, number uint64) (*chainRecord, error) {
	var scratch []byte
	rec, err := readChain(v.snap, &scratch, id, number)
	if err == nil && rec == nil {
		err = damagedKey("record", id, number)
	}
	return rec, err
}

// Version describes one version; number 0 is the head. A number that was
// never given, or was given to a delete, and every number of a deleted agent,
// is hawser.ErrNotFound; a version that was removed is hawser.ErrVersionGone.
func (v *View) Version(id hawser.AgentID, number uint64) (hawser.Version, error) {
	rec, err := v.version(id, number)
	if err != nil {
		return hawser.Version{}, err
	}
	return rec.version(id), nil
}

func (v *View) version(id hawser.AgentID, number uint64) (*chainRecord, error) {
	a, err := v.agent(id)
	if err != nil {
		return nil, err
	}
	rec, refusal, err := locate(id, a, number, func(number uint64) (*chainRecord, error) {
		var scratch []byte
		return readChain(v.snap, &scratch, id, number)
	})
	if err == nil {
		err = refusal
	}
	return rec, err
}

// badVersion is for a version that was marked bad.
func badVersion(id hawser.AgentID, rec *chainRecord) error {
	return &hawser.Error{
		Code: hawser.CodeCorrupt, Op: "version", Key: fmt.Sprintf("%s@%d", id, rec.number),
		Msg: "it is marked bad; list the versions (hawser state versions), and restore or roll back to one that is live (hawser state rollback)",
	}
}

// corruptVersion is for a version that err keeps from being rebuilt.
func corruptVersion(id hawser.AgentID, rec *chainRecord, err error) error {
	return &hawser.Error{Code: hawser.CodeCorrupt, Op: "version", Key: fmt.Sprintf("%s@%d", id, rec.number), Err: err}
}
