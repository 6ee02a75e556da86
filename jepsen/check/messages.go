// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"cmp"
	"maps"
	"slices"

	"github.com/hawserdb/hawser/jepsen/history"
)

// wholeInbox is how many messages a restore shows at most: with fewer there are no
// others.
const wholeInbox = 100

// Messages checks a pipeline of messages, whose versions say what they consumed and
// sent. By docs/messages.md:
//
//   - A message whose sending was answered is consumed by one version, or left in
//     the inbox: not lost, not doubled. One whose outcome is unknown may be there,
//     one that was refused never, nor one that nobody sent.
//   - What a version says it sends is sent if and when there is the version.
//   - An inbox numbers its messages without a gap.
//   - What one sender sends stands in all inboxes in its order, and so does what
//     one agent sends with its versions.
//   - A restore shows the messages that wait at the revision of its answer.
//
// Not promised, and not checked: the order in which messages are consumed, and
// that what is read has not been consumed elsewhere by the time it is saved.
func Messages(ops []history.Op, final Final) Verdict {
	v := Verdict{Name: "messages"}
	saves := map[string]history.Op{}
	for _, op := range ops {
		if op.Kind == history.Save {
			saves[op.Value] = op
		}
	}
	for i, node := range slices.Sorted(maps.Keys(final)) {
		p := &pipeline{Verdict: &v, node: node, posts: map[letter]*post{}, held: map[slot]letter{}}
		p.send(ops, final[node], saves)
		p.consume(final[node], saves)
		p.leave(ops)
		p.account(ops)
		p.order(ops, final[node], saves)
		if i == 0 { // the others have the same, or [Replicas] says so
			p.shown(ops)
		}
	}
	return v
}

// letter is a message: a value is sent to an agent once.
type letter struct{ agent, value string }

// slot is a place in an inbox.
type slot struct {
	agent  string
	number uint64
}

// post is what is known of a message.
type post struct {
	letter

	// op sent it, or made the version that did, which is known to be there.
	op      history.Op
	version bool
	// number and sent are its place and revision, 0 while unknown; consumed is the
	// revision of the version that consumed it, by is that version.
	number, sent, consumed uint64
	by                     string
	left                   bool
}

func (p *post) outcome() history.Outcome {
	if p.version {
		return history.OK
	}
	return p.op.Outcome
}

// pipeline is what one node has of it.
type pipeline struct {
	*Verdict

	node  string
	posts map[letter]*post
	held  map[slot]letter
}

// send notes what was sent, by clients and by versions.
func (p *pipeline) send(ops []history.Op, chains map[string]Chain, saves map[string]history.Op) {
	for _, op := range ops {
		if op.Kind == history.Send {
			to := letter{op.Agent, op.Value}
			p.posts[to] = &post{letter: to, op: op, sent: op.Revision}
			p.place(to, op.Version)
		}
	}
	for _, agent := range slices.Sorted(maps.Keys(chains)) {
		for _, made := range chains[agent] {
			op := saves[made.Value]
			for _, to := range op.Agents {
				to := letter{to, made.Value}
				p.posts[to] = &post{letter: to, op: op, version: true, sent: made.Revision}
			}
		}
	}
}

// place notes which message has a number of an inbox, 0 if that is not known.
func (p *pipeline) place(is letter, number uint64) {
	if number == 0 {
		return
	}
	at := slot{is.agent, number}
	if other, ok := p.held[at]; ok && other != is {
		p.add("node %s: message %d of agent %s is %q and %q", p.node, number, is.agent, other.value, is.value)
	}
	p.held[at] = is
	if m := p.posts[is]; m.number != 0 && m.number != number {
		p.add("node %s: agent %s has one message twice, as %d and %d: %s", p.node, is.agent, m.number, number, describe(m.op))
	} else {
		m.number = number
	}
}

// find returns a message that was seen where an operation says, nil if it cannot be.
func (p *pipeline) find(is letter, number uint64, by history.Op) *post {
	m := p.posts[is]
	switch {
	case m == nil:
		p.add("node %s: nobody sent message %d %q: %s", p.node, number, is.value, describe(by))
		return nil
	case m.outcome() == history.Failed:
		p.add("node %s: message %d was refused (%s): %s", p.node, number, describe(m.op), describe(by))
		return nil
	}
	p.place(is, number)
	return m
}

// consume notes what versions have consumed.
func (p *pipeline) consume(chains map[string]Chain, saves map[string]history.Op) {
	for _, agent := range slices.Sorted(maps.Keys(chains)) {
		for _, made := range chains[agent] {
			op := saves[made.Value]
			for i, value := range op.Values {
				p.Checked++
				m := p.find(letter{agent, value}, op.Numbers[i], op)
				if m == nil {
					continue
				}
				if m.by != "" {
					p.add("node %s: message %q of agent %s is consumed by %q and by %q", p.node, value, agent, m.by, made.Value)
				}
				if m.sent >= made.Revision {
					p.add("node %s: message %q of agent %s is sent at revision %d, and consumed at %d", p.node, value, agent, m.sent, made.Revision)
				}
				m.by, m.consumed = made.Value, made.Revision
			}
		}
	}
}

// leave notes what is left in inboxes.
func (p *pipeline) leave(ops []history.Op) {
	for _, op := range ops {
		if op.Kind != history.Left {
			continue
		}
		for i, value := range op.Values {
			m := p.find(letter{op.Agent, value}, op.Numbers[i], op)
			if m == nil {
				continue
			}
			if m.left || m.by != "" && m.consumed <= op.Revision {
				p.add("node %s: message %q of agent %s is consumed by %q, and left, or left twice", p.node, value, op.Agent, m.by)
			}
			m.left = true
		}
	}
}

// account says of every message that was sent what became of it, and of every
// number of an inbox whose it is.
func (p *pipeline) account(ops []history.Op) {
	read := map[string]bool{}
	for _, op := range ops {
		if op.Kind == history.Left && op.Outcome == history.OK {
			read[op.Agent] = true
		}
	}
	last := map[string]uint64{}
	for _, m := range p.sorted() {
		p.Checked++
		if last[m.agent] = max(last[m.agent], m.number); m.by != "" || m.left || m.outcome() != history.OK {
			continue
		}
		if !read[m.agent] {
			p.Inconclusive = "nobody has read what is left in the inbox of agent " + m.agent
		} else {
			p.add("node %s: message %d to agent %s is lost: %s", p.node, m.number, m.agent, describe(m.op))
		}
	}
	for _, agent := range slices.Sorted(maps.Keys(last)) {
		for number := uint64(1); number <= last[agent]; number++ {
			if is, ok := p.held[slot{agent, number}]; !ok {
				p.add("node %s: nobody has seen message %d of agent %s, which has %d", p.node, number, agent, last[agent])
			} else if m := p.posts[is]; read[agent] && m.by == "" && !m.left {
				p.add("node %s: message %d of agent %s is neither consumed nor left: %s", p.node, number, agent, describe(m.op))
			}
		}
	}
}

// sorted returns the messages in the order in which they were sent, by their
// senders' clock.
func (p *pipeline) sorted() []*post {
	return slices.SortedFunc(maps.Values(p.posts), func(a, b *post) int {
		return cmp.Or(cmp.Compare(a.op.Call, b.op.Call), cmp.Compare(a.value, b.value), cmp.Compare(a.agent, b.agent))
	})
}

// order checks that messages stand in inboxes in the order of their senders.
func (p *pipeline) order(ops []history.Op, chains map[string]Chain, saves map[string]history.Op) {
	byClient := map[int][]*post{}
	for _, op := range ops {
		if op.Kind == history.Send {
			byClient[op.Client] = append(byClient[op.Client], p.posts[letter{op.Agent, op.Value}])
		}
	}
	for _, client := range slices.Sorted(maps.Keys(byClient)) {
		p.ascending(byClient[client])
	}
	for _, agent := range slices.Sorted(maps.Keys(chains)) {
		var sent []*post
		for _, made := range chains[agent] {
			for _, to := range saves[made.Value].Agents {
				sent = append(sent, p.posts[letter{to, made.Value}])
			}
		}
		p.ascending(sent)
	}
}

func (p *pipeline) ascending(sent []*post) {
	before := map[string]*post{}
	var newest *post
	for _, m := range sent {
		if last := before[m.agent]; last != nil && m.number != 0 && m.number < last.number {
			p.add("node %s: message %d of agent %s was sent after message %d: %s\n  and before it: %s",
				p.node, m.number, m.agent, last.number, describe(m.op), describe(last.op))
		}
		if newest != nil && m.sent != 0 && m.sent < newest.sent {
			p.add("node %s: sent at revision %d: %s\n  and before it at %d: %s", p.node, m.sent, describe(m.op), newest.sent, describe(newest.op))
		}
		if m.number != 0 {
			before[m.agent] = m
		}
		if m.sent != 0 {
			newest = m
		}
	}
}

// shown checks what was read: messages that were sent, each once, in order, and
// with a state those that waited at its revision.
func (p *pipeline) shown(ops []history.Op) {
	inboxes := map[string][]*post{}
	for _, m := range p.posts {
		if m.sent != 0 && m.outcome() == history.OK {
			inboxes[m.agent] = append(inboxes[m.agent], m)
		}
	}
	for _, op := range ops {
		if op.Kind != history.Receive || op.Outcome != history.OK {
			continue
		}
		p.Checked++
		has := map[string]bool{}
		for i, value := range op.Values {
			if has[value] || i > 0 && op.Numbers[i] <= op.Numbers[i-1] {
				p.add("message %d comes again, or out of order: %s", op.Numbers[i], describe(op))
			}
			has[value] = true
			m := p.find(letter{op.Agent, value}, op.Numbers[i], op)
			if m != nil && op.Revision != 0 && (m.sent > op.Revision || m.by != "" && m.consumed <= op.Revision) {
				p.add("message %d was sent at revision %d, and consumed at %d: %s", op.Numbers[i], m.sent, m.consumed, describe(op))
			}
		}
		if op.Revision == 0 || len(op.Values) >= wholeInbox {
			continue
		}
		for _, m := range inboxes[op.Agent] {
			if !has[m.value] && m.sent <= op.Revision && (m.by == "" || m.consumed > op.Revision) {
				p.add("message %d of revision %d was not shown: %s", m.number, m.sent, describe(op))
			}
		}
	}
}
