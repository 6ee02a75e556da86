// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/record"
)

// messageModel is what inboxes and sessions should be, told in the simplest way.
type messageModel struct {
	agents   map[string]*messageAgent
	sessions map[hawser.SessionID]*messageSession
	now      int64
}

type messageAgent struct {
	head, live uint64
	inbox      []uint64 // numbers, oldest first
	last       uint64
	texts      map[uint64]string
}

type messageSession struct {
	last     uint64
	text, to string
	number   uint64
	ended    bool
	deadline int64
}

func (m *messageModel) agent(name string) *messageAgent {
	if m.agents[name] == nil {
		m.agents[name] = &messageAgent{texts: map[uint64]string{}}
	}
	return m.agents[name]
}

func (a *messageAgent) deliver(text string) uint64 {
	a.last++
	a.inbox = append(a.inbox, a.last)
	a.texts[a.last] = text
	return a.last
}

// send says what becomes of a message, and does it.
func (m *messageModel) send(c *fsm.SendMessage) (code hawser.Code, number uint64) {
	s, a := m.sessions[c.ID.Session], m.agent(c.Agent.Name)
	text := string(c.Payload)
	switch {
	case s == nil || c.ID.Sequence < s.last:
		return hawser.CodeRequestExpired, 0
	case c.ID.Sequence == s.last && s.text == text && s.to == c.Agent.Name:
		return hawser.CodeOK, s.number
	case c.ID.Sequence == s.last:
		return hawser.CodeRequestMismatch, 0
	case c.ID.Sequence > s.last+1:
		return hawser.CodeInvalid, 0
	case s.ended:
		return hawser.CodeRefused, 0
	case a.live == 0:
		return hawser.CodeNotFound, 0
	}
	s.last, s.text, s.to = c.ID.Sequence, text, c.Agent.Name
	s.number = a.deliver(text)
	return hawser.CodeOK, s.number
}

// save says what becomes of a save whose request is new and whose condition holds.
func (m *messageModel) save(c *fsm.Save) hawser.Code {
	a := m.agent(c.Agent.Name)
	for _, n := range c.Consume {
		if n > a.last {
			return hawser.CodeInvalid
		}
		if !slices.Contains(a.inbox, n) {
			return hawser.CodeMessageGone
		}
	}
	for _, e := range c.Emit {
		if e.Agent != c.Agent && m.agent(e.Agent.Name).live == 0 {
			return hawser.CodeNotFound
		}
	}
	a.head++
	a.live = a.head
	a.inbox = slices.DeleteFunc(a.inbox, func(n uint64) bool { return slices.Contains(c.Consume, n) })
	for _, e := range c.Emit {
		m.agent(e.Agent.Name).deliver(string(e.Payload))
	}
	return hawser.CodeOK
}

// Sends, saves that consume and emit, deletes and repeats leave what the model
// has, however the commands were grouped and whatever restarts lay between.
func TestMessages_Model(t *testing.T) {
	for range 4 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) { messageRun(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func messageRun(t *testing.T, rng *rand.Rand) {
	t.Helper()
	model := &messageModel{agents: map[string]*messageAgent{}, sessions: map[hawser.SessionID]*messageSession{}, now: 1e15}
	m := open(t, "state", smallEngine(vfs.NewMem()))
	var entries []fsm.Entry
	var sent []*fsm.SendMessage
	apply := func(c fsm.Command) fsm.Result {
		t.Helper()
		model.now += rng.Int64N(1e9)
		entries = append(entries, command(uint64(len(entries)+1), model.now, c))
		out, err := m.Apply(entries[len(entries)-1:])
		if err != nil {
			t.Fatalf("%T %+v: %v", c, c, err)
		}
		return out[0].Results[0]
	}
	want := func(c fsm.Command, res fsm.Result, code hawser.Code) {
		t.Helper()
		if hawser.CodeOf(res.Err) != code {
			t.Fatalf("%T %+v: %v, want %s", c, c, res.Err, code)
		}
	}
	names := []string{"a", "b", "c", "d/e"}
	for range 1500 {
		name := names[rng.IntN(len(names))]
		a := model.agent(name)
		session := hawser.SessionID{1, byte(rng.IntN(6))}
		switch n := rng.IntN(100); {
		case n < 5:
			c := &fsm.OpenSession{Namespace: "default", Session: session, Instance: "i", Deadline: model.now + 60e9}
			s := model.sessions[session]
			res := apply(c)
			switch {
			case s == nil:
				model.sessions[session] = &messageSession{deadline: c.Deadline}
				want(c, res, hawser.CodeOK)
			case s.ended:
				want(c, res, hawser.CodeRequestExpired)
			default:
				want(c, res, hawser.CodeOK)
			}
		case n < 6:
			apply(&fsm.CloseSession{Namespace: "default", Session: session})
			if s := model.sessions[session]; s != nil {
				s.ended = true
				if model.now >= s.deadline {
					delete(model.sessions, session)
				}
			}
		case n < 45:
			c := &fsm.SendMessage{Agent: agentID(name), ID: hawser.MessageID{Session: session, Sequence: 1}, Payload: fmt.Appendf(nil, "%d", rng.IntN(1000))}
			if s := model.sessions[session]; s != nil {
				c.ID.Sequence = max(1, s.last+uint64(rng.IntN(12)/5))
			}
			if len(sent) > 0 && rng.IntN(5) == 0 {
				c = sent[len(sent)-1-rng.IntN(min(len(sent), 8))]
			}
			sent = append(sent, c)
			code, number := model.send(c)
			res := apply(c)
			if want(c, res, code); code == hawser.CodeOK && res.Message.Number != number {
				t.Fatalf("%+v became message %d, want %d", c, res.Message.Number, number)
			}
		case n < 50 && a.live != 0:
			res := apply(&fsm.Delete{Agent: agentID(name), Request: fsm.Request{Nonce: nonce(fmt.Sprint(rng.Uint64())), Seen: a.live}})
			if res.Err != nil {
				t.Fatal(res.Err)
			}
			a.head, a.live, a.inbox = a.head+1, 0, nil
		case n < 55:
			apply(&fsm.Reclaim{Agent: agentID(name), Limit: 1 + rng.Uint32N(5)})
		default:
			c := messageSave(rng, model, name, names)
			want(c, apply(c), model.save(c))
		}
	}
	check := func(m *fsm.Machine) {
		t.Helper()
		fsm.CheckStore(t, m)
		v, err := m.View()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		for name, a := range model.agents {
			in, err := v.Inbox(agentID(name), 0, 1<<20, 1<<30)
			if err != nil || len(in.Messages) != len(a.inbox) || in.Count != uint64(len(a.inbox)) {
				t.Fatalf("%s has %d messages, want %d: %v", name, len(in.Messages), len(a.inbox), err)
			}
			for i, message := range in.Messages {
				if message.Number != a.inbox[i] || string(message.Payload) != a.texts[message.Number] {
					t.Fatalf("%s: message %d %q, want %d %q", name, message.Number, message.Payload, a.inbox[i], a.texts[a.inbox[i]])
				}
			}
		}
	}
	check(m)
	again := open(t, "state", smallEngine(vfs.NewMem()))
	for left := entries; len(left) > 0; {
		n := min(len(left), 1+rng.IntN(60))
		if _, err := again.Apply(left[:n]); err != nil {
			t.Fatal(err)
		}
		left = left[n:]
	}
	check(again)
	one, err := m.Digest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if other, err := again.Digest(t.Context()); err != nil || one != other {
		t.Errorf("digests %v and %v of the same entries: %v", one, other, err)
	}
}

// messageSave is a save that consumes, mostly what is there, and sends.
func messageSave(rng *rand.Rand, model *messageModel, name string, names []string) *fsm.Save {
	a := model.agent(name)
	state := fmt.Sprint(rng.Uint64())
	c := &fsm.Save{
		Agent: agentID(name), Request: fsm.Request{Nonce: nonce(state), Seen: a.head},
		SHA256: sha256.Sum256([]byte(state)), Content: record.EncodeKeyframe([]byte(state)),
	}
	for _, n := range a.inbox {
		if rng.IntN(3) == 0 && len(c.Consume) < 50 {
			c.Consume = append(c.Consume, n)
		}
	}
	if rng.IntN(10) == 0 {
		c.Consume = append(c.Consume, 1+rng.Uint64N(a.last+2))
		slices.Sort(c.Consume)
		c.Consume = slices.Compact(c.Consume)
	}
	for range rng.IntN(3) {
		c.Emit = append(c.Emit, fsm.Emission{Agent: agentID(names[rng.IntN(len(names))]), Payload: []byte(state[:4])})
	}
	return c
}

// An agent that has voted in a transaction gets messages, and consumes none; a
// vote does not either. What a save sends counts against the inbox as a whole.
func TestMessages_BesideATransaction(t *testing.T) {
	m := open(t, "state", smallEngine(vfs.NewMem()))
	index := uint64(0)
	apply := func(c fsm.Command, want hawser.Code) {
		t.Helper()
		index++
		out, err := m.Apply([]fsm.Entry{command(index, 1e15, c)})
		if err != nil {
			t.Fatal(err)
		}
		if res := out[0].Results[0]; hawser.CodeOf(res.Err) != want {
			t.Errorf("%T: %v, want %s", c, res.Err, want)
		}
	}
	session := hawser.SessionID{1}
	id := hawser.TxnID{Namespace: "default", ID: "t"}
	apply(newSave(agentID("a"), "one", "1"), hawser.CodeOK)
	apply(newSave(agentID("b"), "one", "1"), hawser.CodeOK)
	apply(&fsm.OpenSession{Namespace: "default", Session: session, Deadline: 1e15 + 1}, hawser.CodeOK)
	apply(&fsm.SendMessage{Agent: agentID("a"), ID: hawser.MessageID{Session: session, Sequence: 1}}, hawser.CodeOK)
	apply(&fsm.BeginTxn{ID: id, Participants: []fsm.TxnTask{{Agent: agentID("a")}}, Manual: true, Deadline: 1e15 + 1e9}, hawser.CodeOK)
	vote := &fsm.VoteTxn{ID: id, Agent: agentID("a"), Yes: true, State: newSave(agentID("a"), "two", "2")}
	one := uint64(1)
	vote.State.Expect, vote.State.Consume = &one, []uint64{1}
	apply(vote, hawser.CodeInvalid)
	vote.State.Consume = nil
	apply(vote, hawser.CodeOK)
	apply(&fsm.SendMessage{Agent: agentID("a"), ID: hawser.MessageID{Session: session, Sequence: 2}}, hawser.CodeOK)
	save := newSave(agentID("a"), "three", "3")
	save.Request.Seen, save.Consume = 1, []uint64{1}
	apply(save, hawser.CodeTxnLocked)
	apply(&fsm.DecideTxn{ID: id, Commit: true}, hawser.CodeOK)
	save.Request.Seen = 2
	apply(save, hawser.CodeOK)

	// Nearly full: a save that sends more than fits sends nothing.
	sequence := uint64(2)
	for range 10_000 - 2 { // one was consumed, one is there
		sequence++
		apply(&fsm.SendMessage{Agent: agentID("a"), ID: hawser.MessageID{Session: session, Sequence: sequence}}, hawser.CodeOK)
	}
	full := newSave(agentID("b"), "two", "2")
	full.Request.Seen, full.Emit = 1, []fsm.Emission{{Agent: agentID("a")}, {Agent: agentID("b")}, {Agent: agentID("a")}}
	apply(full, hawser.CodeOverloaded)
	full.Emit = full.Emit[:2]
	apply(full, hawser.CodeOK)
	apply(&fsm.SendMessage{Agent: agentID("a"), ID: hawser.MessageID{Session: session, Sequence: sequence + 1}}, hawser.CodeOverloaded)
	apply(&fsm.Delete{Agent: agentID("a"), Request: fsm.Request{Nonce: nonce("d"), Seen: 3}}, hawser.CodeOK)
	fsm.CheckStore(t, m)
	for range 4 {
		apply(&fsm.Reclaim{Agent: agentID("a"), Limit: 4000}, hawser.CodeOK)
	}
	fsm.CheckStore(t, m)
	if garbage, err := m.Garbage(0); err != nil || len(garbage) != 0 {
		t.Errorf("%v %v", garbage, err)
	}
}
