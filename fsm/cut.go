// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"fmt"

	"github.com/hawserdb/hawser"
)

// Rules of cuts that are frozen at the feature level that set them.
const (
	maxCutAgents    = hawser.MaxCutAgents
	maxCuts         = hawser.MaxCuts
	maxCutRollbacks = hawser.MaxCutRollbacks
	maxCutLabel     = hawser.MaxCutLabel
	// maxCommandEvents is the most events of one command.
	maxCommandEvents = 1_000
)

// MakeCut records the versions of agents that are current. The same again
// changes nothing; the same name for anything else is refused with
// hawser.ErrRequestMismatch.
type MakeCut struct {
	Name hawser.AgentID
	// Agents are names in the namespace of the cut, ascending. Each must have a
	// version.
	Agents []string
	// ByPrefix, instead, takes the agents under Prefix that have one, as
	// [View.Agents] finds them.
	ByPrefix   bool
	Prefix     string
	Label      string
	Generation uint64
}

// RollbackCut appends to each agent of a cut a version equal to the one in it,
// aborts the agents' undecided transactions, ends their claims and raises the
// epochs of those that were ever claimed: all at one revision, or nothing.
type RollbackCut struct {
	Cut hawser.AgentID
	// Revision is the one at which the cut was made, so that another cut of its
	// name is not taken for it.
	Revision uint64
	// Request.Seen is how often agents had been rolled back to the cut.
	Request Request
	// LeaveOut has agents that cannot be rolled back left as they are.
	LeaveOut         bool
	Instance, Reason string
}

// DeleteCut removes a cut; its versions are retention's again. Result.Released
// is false when it was not there.
type DeleteCut struct {
	Cut hawser.AgentID
	// Revision is as in [RollbackCut].
	Revision   uint64
	Generation uint64
}

func (*MakeCut) kind() commandKind     { return kindMakeCut }
func (*RollbackCut) kind() commandKind { return kindRollbackCut }
func (*DeleteCut) kind() commandKind   { return kindDeleteCut }

func (m *MakeCut) appendBody(dst []byte) []byte {
	dst = m.appendSelection(appendAgent(dst, m.Name))
	return binary.AppendUvarint(appendBytes(dst, m.Label), m.Generation)
}

func (m *MakeCut) appendSelection(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(m.Agents)))
	for _, name := range m.Agents {
		dst = appendBytes(dst, name)
	}
	return appendBytes(appendBool(dst, m.ByPrefix), m.Prefix)
}

func (m *MakeCut) parseBody(r *reader) {
	m.Name = r.agent()
	for range r.count(1) {
		m.Agents = append(m.Agents, r.string())
	}
	m.ByPrefix, m.Prefix, m.Label, m.Generation = r.bool(), r.string(), r.string(), r.uvarint()
}

func (q *RollbackCut) appendBody(dst []byte) []byte {
	dst = appendRequest(binary.AppendUvarint(appendAgent(dst, q.Cut), q.Revision), q.Request)
	return appendBytes(appendBytes(appendBool(dst, q.LeaveOut), q.Instance), q.Reason)
}

func (q *RollbackCut) parseBody(r *reader) {
	q.Cut, q.Revision, q.Request = r.agent(), r.uvarint(), r.request()
	q.LeaveOut, q.Instance, q.Reason = r.bool(), r.string(), r.string()
}

func (d *DeleteCut) appendBody(dst []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(appendAgent(dst, d.Cut), d.Revision), d.Generation)
}

func (d *DeleteCut) parseBody(r *reader) {
	d.Cut, d.Revision, d.Generation = r.agent(), r.uvarint(), r.uvarint()
}

// cutRecord is what the machine keeps of a cut.
type cutRecord struct {
	name hawser.AgentID
	// digest is of what was asked for, so that another cut is told from a repeat.
	digest   hawser.Hash
	label    string
	byPrefix bool
	prefix   string
	created  int64
	revision uint64
	// agents are in the order of their names.
	agents []cutAgent
	// rolledBack counts the rollbacks; rollbacks are the newest, oldest first.
	rolledBack uint64
	rollbacks  []cutRollback
}

type cutAgent struct {
	name   string
	number uint64
}

// cutRollback is what a repeat of a rollback needs.
type cutRollback struct {
	nonce            hawser.Nonce
	revision         uint64
	time             int64
	leaveOut         bool
	instance, reason string
	// made are the versions that the agents of the cut got, in their order; 0 for
	// those left out.
	made []uint64
}

func (k *cutRecord) encode() []byte {
	dst := appendAgent([]byte{storedFormat}, k.name)
	dst = appendBytes(append(dst, k.digest[:]...), k.label)
	dst = appendBytes(appendBool(dst, k.byPrefix), k.prefix)
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(k.created)), k.revision)
	dst = binary.AppendUvarint(dst, uint64(len(k.agents)))
	for _, a := range k.agents {
		dst = binary.AppendUvarint(appendBytes(dst, a.name), a.number)
	}
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, k.rolledBack), uint64(len(k.rollbacks)))
	for i := range k.rollbacks {
		b := &k.rollbacks[i]
		dst = binary.AppendUvarint(append(dst, b.nonce[:]...), b.revision)
		dst = appendBool(binary.AppendUvarint(dst, uint64(b.time)), b.leaveOut)
		dst = appendBytes(appendBytes(dst, b.instance), b.reason)
		for _, number := range b.made {
			dst = binary.AppendUvarint(dst, number)
		}
	}
	return dst
}

// minCutRollback is the fewest bytes that a rollback takes.
const minCutRollback = 16 + 5

func parseCut(b []byte) (*cutRecord, error) {
	r := &reader{b: b}
	if r.byte() != storedFormat {
		return nil, errMalformed
	}
	k := &cutRecord{name: r.agent(), digest: r.hash(), label: r.string(), byPrefix: r.bool(), prefix: r.string(), created: r.int63(), revision: r.uvarint()}
	for range r.count(2) {
		k.agents = append(k.agents, cutAgent{r.string(), r.uvarint()})
	}
	k.rolledBack = r.uvarint()
	for range r.count(minCutRollback) {
		back := cutRollback{}
		copy(back.nonce[:], r.take(uint64(len(back.nonce))))
		back.revision, back.time, back.leaveOut, back.instance, back.reason = r.uvarint(), r.int63(), r.bool(), r.string(), r.string()
		for range k.agents {
			back.made = append(back.made, r.uvarint())
		}
		k.rollbacks = append(k.rollbacks, back)
	}
	if len(k.agents) == 0 || uint64(len(k.rollbacks)) > k.rolledBack {
		r.fail()
	}
	return k, r.end()
}

func cutKey(name hawser.AgentID) []byte { return agentKey(nil, prefixCut, name) }

// cutsKey is of the number of cuts in a namespace. It is no cut's key: those
// have a zero byte after the namespace.
func cutsKey(namespace string) []byte { return append([]byte{prefixCut}, namespace...) }

// cut returns a cut as the batch has left it so far, nil when there is none.
func (c *changes) cut(name hawser.AgentID) (*cutRecord, error) {
	value, err := c.get(cutKey(name))
	if err != nil || value == nil {
		return nil, err
	}
	return namedCut(name, value)
}

func namedCut(name hawser.AgentID, value []byte) (*cutRecord, error) {
	k, err := parseCut(value)
	if err == nil && k.name != name {
		err = errMalformed
	}
	if err != nil {
		return nil, damaged(fmt.Sprintf("cut %q", name), err)
	}
	return k, nil
}

// cuts is how many cuts a namespace has.
func (c *changes) cuts(namespace string) (uint64, error) {
	value, err := c.get(cutsKey(namespace))
	if err != nil || value == nil {
		return 0, err
	}
	r := &reader{b: value}
	n := r.uvarint()
	if err := r.end(); err != nil {
		return 0, damaged(fmt.Sprintf("number of cuts of namespace %q", namespace), err)
	}
	return n, nil
}

// countCut changes the number of cuts of a namespace.
func (c *changes) countCut(namespace string, by int64) error {
	n, err := c.cuts(namespace)
	if err != nil {
		return err
	}
	if n += uint64(by); n == 0 {
		c.drop(cutsKey(namespace))
		return nil
	}
	c.put(cutsKey(namespace), binary.AppendUvarint(nil, n))
	return nil
}

// agent names the i-th agent of a cut.
func (k *cutRecord) agent(i int) hawser.AgentID {
	return hawser.AgentID{Namespace: k.name.Namespace, Name: k.agents[i].name}
}

// info describes a cut, but for its agents.
func (k *cutRecord) info() hawser.Cut {
	cut := hawser.Cut{
		Name: k.name, Label: k.label, ByPrefix: k.byPrefix, Prefix: k.prefix, CreatedAt: unix(k.created), Revision: hawser.Revision(k.revision),
		Size: len(k.agents), RolledBack: k.rolledBack,
	}
	for i := range k.rollbacks {
		b := &k.rollbacks[i]
		out := hawser.CutRollback{Nonce: b.nonce, Revision: hawser.Revision(b.revision), Time: unix(b.time), Instance: b.instance, Reason: b.reason}
		for _, number := range b.made {
			if number == 0 {
				out.LeftOut++
			} else {
				out.Size++
			}
		}
		cut.Rollbacks = append(cut.Rollbacks, out)
	}
	return cut
}

func cutError(code hawser.Code, op string, name hawser.AgentID, format string, args ...any) error {
	return &hawser.Error{Code: code, Op: op, Key: name.String(), Msg: fmt.Sprintf(format, args...)}
}
