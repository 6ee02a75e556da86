// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"encoding/binary"
	"fmt"

	"github.com/hawserdb/hawser"
)

// maxSaves is the most saves of one [SaveAll]. It is frozen at the feature level
// that set it.
const maxSaves = hawser.MaxSaves

// SaveAll saves several agents at one revision, or none of them. Each save is of
// another agent, has a request of its own, and brings its content with it.
type SaveAll struct {
	Saves []*Save
}

func (*SaveAll) kind() commandKind { return kindSaveAll }

func (s *SaveAll) appendBody(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s.Saves)))
	for _, save := range s.Saves { // each ends in its content, of which only the whole says where it ends
		dst = appendBytes(dst, save.appendBody(nil))
	}
	return dst
}

func (s *SaveAll) parseBody(r *reader) {
	for range r.count(1) {
		body, save := &reader{b: r.bytes()}, &Save{}
		if save.parseBody(body); body.end() != nil {
			r.fail()
			return
		}
		s.Saves = append(s.Saves, save)
	}
}

func (s *SaveAll) check() error {
	if n := len(s.Saves); n == 0 || n > maxSaves {
		return invalidCommand("save all", fmt.Sprintf("%d saves, 1 to %d are possible", n, maxSaves))
	}
	agents := map[hawser.AgentID]bool{}
	for _, save := range s.Saves {
		if err := save.check(); err != nil {
			return err
		}
		switch {
		case agents[save.Agent]:
			return &hawser.Error{Code: hawser.CodeInvalid, Op: "save all", Key: save.Agent.String(), Msg: "it is saved twice"}
		case len(save.Consume) > 0 || len(save.Emit) > 0 || len(save.Effects) > 0:
			return &hawser.Error{Code: hawser.CodeInvalid, Op: "save all", Key: save.Agent.String(), Msg: "it moves messages or ends effects, which a save of its own does"}
		case save.Content.Parts != 0:
			return &hawser.Error{Code: hawser.CodeInvalid, Op: "save all", Key: save.Agent.String(), Msg: "its content is in parts"}
		}
		agents[save.Agent] = true
	}
	return nil
}

// apply saves all. What is checked of each is what is checked of a save; nothing
// is changed before all of it holds. All of them are repeats, or none is.
func (s *SaveAll) apply(c *changes) (Result, error) {
	if err := s.check(); err != nil {
		return c.refuse(err)
	}
	agents := make([]*agent, len(s.Saves))
	results := make([]Result, len(s.Saves))
	var refusal error
	repeats := 0
	for i, save := range s.Saves {
		a, res, done, err := save.begin(c)
		switch {
		case err != nil:
			return Result{}, err
		case done && res.Repeated:
			repeats++
		case done && (refusal == nil || hawser.CodeOf(res.Err) == hawser.CodeRequestExpired):
			refusal = res.Err
		}
		agents[i], results[i] = a, res
	}
	switch {
	case repeats == len(s.Saves):
		res := c.result()
		res.Saves, res.Repeated, res.Revision = results, true, results[0].Revision
		return res, nil
	case repeats > 0 && hawser.CodeOf(refusal) != hawser.CodeRequestExpired:
		return c.refuse(s.halfDone(results))
	case refusal != nil:
		return c.refuse(refusal)
	}
	return s.execute(c, agents, results)
}

// halfDone is the refusal of requests of which only some were executed: they
// were not sent together before.
func (s *SaveAll) halfDone(results []Result) error {
	for i, res := range results {
		if res.Repeated {
			return mismatch("save all", s.Saves[i].Agent, res.Number)
		}
	}
	return nil
}

// execute saves all agents, unless a content cannot be stored.
func (s *SaveAll) execute(c *changes, agents []*agent, results []Result) (Result, error) {
	contents := make([]stored, len(s.Saves))
	for i, save := range s.Saves {
		var refusal, err error
		if contents[i], refusal, err = c.staged(save.Content); err == nil && refusal == nil && save.Base != nil {
			_, _, refusal, err = c.fits(agents[i], save.Base, contents[i])
		}
		if err != nil {
			return Result{}, err
		}
		if refusal != nil {
			return c.refuse(refusal)
		}
	}
	for i, save := range s.Saves {
		res, err := save.store(c, agents[i], contents[i])
		if err != nil || res.Err != nil {
			return Result{}, orDamaged(err, "save of agent "+save.Agent.String())
		}
		results[i] = res
	}
	res := c.result()
	res.Saves = results
	return res, nil
}
