// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/txn"
)

// cutPlan is what a rollback to a cut does, as far as that can be told before.
type cutPlan struct {
	steps []cutStep
	// txns are the undecided transactions of the agents, each once, tellings how
	// many participants are told of their end. It stops at more than one command
	// may tell.
	txns     []*transaction
	tellings int
}

// cutStep is what is done to one agent; nothing if there is a problem.
type cutStep struct {
	a       *agent
	number  uint64
	owner   string
	txns    []string
	problem string
}

// planCut looks at all that a rollback to a cut touches. It changes nothing, so
// that what is not possible is refused as a whole.
func (c *changes) planCut(k *cutRecord) (*cutPlan, error) {
	p := &cutPlan{steps: make([]cutStep, len(k.agents))}
	seen := map[hawser.TxnID]bool{}
	for i := range k.agents {
		s := &p.steps[i]
		s.number = k.agents[i].number
		var err error
		if s.a, err = c.agent(k.agent(i)); err != nil {
			return nil, err
		}
		if s.problem, err = c.cutProblem(s.a, s.number); err != nil {
			return nil, err
		}
		if s.problem != "" {
			continue
		}
		if s.owner, err = c.owner(s.a); err != nil {
			return nil, err
		}
		if err := c.planTxns(p, s, seen); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// cutProblem is why an agent cannot be rolled back to a version, empty when it
// can.
func (c *changes) cutProblem(a *agent, number uint64) (string, error) {
	if number <= a.floor || a.live == 0 {
		return "the agent was deleted since", nil
	}
	rec, err := c.record(a.id, number)
	switch {
	case err != nil:
		return "", err
	case rec == nil || rec.state == hawser.VersionGone || rec.cuts == 0:
		return "", damagedKey("record", a.id, number)
	case rec.state == hawser.VersionBad:
		return fmt.Sprintf("version %d turned out to be bad", number), nil
	}
	return "", nil
}

// owner is the instance that owns an agent, empty for none.
func (c *changes) owner(a *agent) (string, error) {
	if !a.busy {
		return "", nil
	}
	r, err := c.resource(claimOf(a.id))
	if err != nil || r.live() == nil {
		return "", err
	}
	return r.live().instance, nil
}

// planTxns adds the undecided transactions of an agent.
func (c *changes) planTxns(p *cutPlan, s *cutStep, seen map[hawser.TxnID]bool) error {
	if s.a.queued == 0 || p.tellings > maxCommandEvents {
		return nil
	}
	lower := append(agentKey(nil, prefixQueue, s.a.id), 0)
	return c.scan(lower, keyAfter(lower), func(_, value []byte) (bool, error) {
		id := hawser.TxnID{Namespace: s.a.id.Namespace, ID: string(value)}
		s.txns = append(s.txns, id.ID)
		if seen[id] {
			return true, nil
		}
		seen[id] = true
		t, err := c.txn(id)
		if err == nil && t == nil {
			err = damagedKey("queue of transactions", s.a.id, 0)
		}
		if err != nil {
			return false, err
		}
		p.txns = append(p.txns, t)
		p.tellings += len(t.Participants)
		return p.tellings <= maxCommandEvents, nil
	})
}

// size is how many agents are rolled back.
func (p *cutPlan) size() (n int) {
	for i := range p.steps {
		if p.steps[i].problem == "" {
			n++
		}
	}
	return n
}

// refusal is why nothing is done, nil when it may be.
func (p *cutPlan) refusal(name hawser.AgentID, leaveOut bool) error {
	var problems []string
	for i := range p.steps {
		if s := &p.steps[i]; s.problem != "" {
			problems = append(problems, fmt.Sprintf("%q (%s)", s.a.id.Name, s.problem))
		}
	}
	n := p.size()
	switch {
	case n == 0:
		return cutError(hawser.CodeRefused, "rollback", name, "none of its agents can be rolled back: %s", enumerate(problems))
	case len(problems) > 0 && !leaveOut:
		return cutError(hawser.CodeRefused, "rollback", name, "nothing was done, because these cannot be rolled back: %s; leave them out, or mend them first", enumerate(problems))
	}
	return p.tooMuch(name)
}

// tooMuch is why one command cannot do it: an agent makes two events, its new
// version and the end of its claim, a transaction one for each participant, and
// the rollback one.
func (p *cutPlan) tooMuch(name hawser.AgentID) error {
	if most := maxCommandEvents - 1 - 2*p.size(); p.tellings > most {
		return cutError(hawser.CodeRefused, "rollback", name,
			"its agents take part in undecided transactions with more than %d participants, which is what one rollback can abort; abort some first (hawser txn abort)", most)
	}
	return nil
}

// apply rolls agents back. What is checked, in this order: form, generation,
// that there is the cut, repeat, expiry, that each agent can be rolled back,
// limits.
func (q *RollbackCut) apply(c *changes) (Result, error) {
	if !validAgent(q.Cut) || len(q.Instance) > maxKeyPart || len(q.Reason) > maxReason {
		return c.refuse(invalidCommand("rollback", "the cut's name, the instance or the reason is not valid"))
	}
	if g := q.Request.Generation; g != 0 && g != c.state.generation {
		return c.refuse(otherGeneration("rollback", q.Cut.String(), g, c.state.generation))
	}
	k, err := c.cut(q.Cut)
	if err != nil {
		return Result{}, err
	}
	if k == nil || k.revision != q.Revision {
		return c.refuse(unknownCut("rollback", q.Cut))
	}
	for i := range k.rollbacks {
		if k.rollbacks[i].nonce == q.Request.Nonce {
			return q.repeat(c, k, &k.rollbacks[i])
		}
	}
	switch {
	case q.Request.Seen > k.rolledBack:
		return c.refuse(cutError(hawser.CodeInvalid, "rollback", q.Cut, "the request says that it saw rollback %d, and the newest is %d", q.Request.Seen, k.rolledBack))
	case k.rolledBack-q.Request.Seen > maxCutRollbacks:
		return c.refuse(cutError(hawser.CodeRequestExpired, "rollback", q.Cut, "nobody can tell any more whether an earlier attempt was executed; look at the agents, then decide"))
	}
	p, err := c.planCut(k)
	if err != nil {
		return Result{}, err
	}
	if err := p.refusal(q.Cut, q.LeaveOut); err != nil {
		return c.refuse(err)
	}
	return q.execute(c, k, p)
}

func unknownCut(op string, name hawser.AgentID) error {
	return cutError(hawser.CodeNotFound, op, name, "there is no such cut, or not any more")
}

// execute does what was planned.
func (q *RollbackCut) execute(c *changes, k *cutRecord, p *cutPlan) (Result, error) {
	c.revise()
	why := cutReason(q.Cut.Name, q.Reason)
	for _, t := range p.txns {
		if refusal, err := c.step(t, txn.Decide{Reason: why}); err != nil || refusal != nil {
			return Result{}, orDamaged(err, "transaction "+t.ID.String())
		}
	}
	report := c.report(k, p)
	back := cutRollback{
		nonce: q.Request.Nonce, revision: c.state.revision, time: c.state.time, leaveOut: q.LeaveOut, instance: q.Instance, reason: q.Reason,
		made: make([]uint64, len(p.steps)),
	}
	for i := range p.steps {
		s := &p.steps[i]
		if s.problem != "" {
			continue
		}
		number, err := q.rollBack(c, s, why)
		if err != nil {
			return Result{}, err
		}
		back.made[i], report.Agents[i].Made, report.Agents[i].Epoch = number, number, s.a.epoch
	}
	k.rolledBack++
	k.rollbacks = append(k.rollbacks, back)
	k.rollbacks = k.rollbacks[max(0, len(k.rollbacks)-maxCutRollbacks):]
	c.put(cutKey(k.name), k.encode())
	c.emit(hawser.Event{Kind: hawser.EventCutRolledBack, Name: k.name, Number: uint64(p.size()), Instance: q.Instance, Reason: q.Reason})
	res := c.result()
	report.Revision, report.Time = res.Revision, res.Time
	res.Rollback = report
	return res, nil
}

// rollBack makes an agent what it was. Its epoch rises whether somebody owns it
// or did: whoever did owned another future of it. One that nobody ever owned has
// no fence to make void, and an epoch would close it when it is restored from an
// archive. An agent that is at the version already gets a new one too, so that a save that was made from the old head
// finds another.
func (q *RollbackCut) rollBack(c *changes, s *cutStep, why string) (number uint64, err error) {
	epoch := s.a.epoch
	if err := c.depose(s.a, why); err != nil {
		return 0, err
	}
	if epoch > 0 && s.a.epoch == epoch {
		s.a.epoch++
	}
	rec, refusal, err := c.again(s.a.id, s.number)
	if err != nil || refusal != nil {
		return 0, orDamaged(err, "version of agent "+s.a.id.String())
	}
	rec.kind, rec.nonce, rec.instance = hawser.RequestRollback, q.Request.Nonce, q.Instance
	s.a.under = 0
	res, err := c.addVersion(s.a, rec, false)
	if err != nil {
		return 0, err
	}
	return res.Number, c.rewound(s.a, res.Number, s.number)
}

// orDamaged is for what was possible when it was planned: if it is refused, the
// state is not what it says.
func orDamaged(err error, where string) error {
	if err != nil {
		return err
	}
	return damaged(where, errMalformed)
}

// cutReason is what those are told that a rollback takes something from.
func cutReason(cut, reason string) string {
	why := "rolled back to cut " + cut
	if reason != "" {
		why += ": " + reason
	}
	for len(why) > maxReason {
		_, size := utf8.DecodeLastRuneInString(why)
		why = why[:len(why)-size]
	}
	return strings.TrimSpace(why)
}

// report describes a plan.
func (c *changes) report(k *cutRecord, p *cutPlan) *hawser.RollbackReport {
	r := &hawser.RollbackReport{Cut: k.name, Revision: hawser.Revision(c.state.revision), Time: unix(c.state.time), Agents: make([]hawser.AgentRollback, len(p.steps))}
	for i := range p.steps {
		s := &p.steps[i]
		r.Agents[i] = hawser.AgentRollback{
			Agent: s.a.id, Number: s.number, Head: s.a.live, Epoch: s.a.epoch, Owner: s.owner, Txns: s.txns, Problem: s.problem,
		}
	}
	return r
}

// repeat is the result of a rollback that was done before.
func (q *RollbackCut) repeat(c *changes, k *cutRecord, back *cutRollback) (Result, error) {
	if back.leaveOut != q.LeaveOut {
		return c.refuse(cutError(hawser.CodeRequestMismatch, "rollback", q.Cut, "it was done with another choice of what to leave out"))
	}
	res := c.result()
	res.Repeated, res.Revision = true, hawser.Revision(back.revision)
	r := &hawser.RollbackReport{Cut: k.name, Repeated: true, Revision: res.Revision, Time: unix(back.time), Agents: make([]hawser.AgentRollback, len(k.agents))}
	for i, made := range back.made {
		r.Agents[i] = hawser.AgentRollback{Agent: k.agent(i), Number: k.agents[i].number, Made: made}
		if made == 0 {
			r.Agents[i].Problem = "it was left out"
			continue
		}
		rec, err := c.record(k.agent(i), made)
		if err != nil {
			return Result{}, err
		}
		if rec != nil { // else it has been removed since
			r.Agents[i].Head = rec.parent
		}
	}
	res.Rollback = r
	return res, nil
}
