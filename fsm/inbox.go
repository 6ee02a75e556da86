// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/hawserdb/hawser"
)

// Rules of messages that are frozen at the feature level that set them.
const (
	maxMessage      = 64 << 10
	maxConsumed     = 100
	maxEmitted      = 100
	maxEmittedBytes = 96 << 10
	maxInbox        = 10_000
	maxInboxBytes   = 64 << 20
	maxMessageLabel = 64
)

// inboxRecord is what the machine keeps of an agent's inbox beside the messages.
type inboxRecord struct {
	// last is the newest number that was given. It only grows.
	last uint64
	// first is the number of the oldest message that is there, last+1 for none.
	first uint64
	// count and bytes sum up the messages that are there.
	count, bytes uint64
	// floor is the number up to which messages went with their agent, cleared that
	// up to which they were removed. Invariant: cleared <= floor < first <= last+1.
	floor, cleared uint64
}

func (r inboxRecord) encode() []byte {
	dst := []byte{storedFormat}
	for _, v := range [...]uint64{r.last, r.first, r.count, r.bytes, r.floor, r.cleared} {
		dst = binary.AppendUvarint(dst, v)
	}
	return dst
}

func parseInbox(b []byte) (inboxRecord, error) {
	r := &reader{b: b}
	if r.byte() != storedFormat {
		return inboxRecord{}, errMalformed
	}
	rec := inboxRecord{last: r.uvarint(), first: r.uvarint(), count: r.uvarint(), bytes: r.uvarint(), floor: r.uvarint(), cleared: r.uvarint()}
	if rec.cleared > rec.floor || rec.floor >= rec.first || rec.first > rec.last+1 || rec.count > rec.last+1-rec.first {
		r.fail()
	}
	return rec, r.end()
}

// startInbox is the inbox of an agent that never got a message.
func startInbox(floor uint64) inboxRecord {
	return inboxRecord{last: floor, first: floor + 1, floor: floor, cleared: floor}
}

// messageRecord is a stored message.
type messageRecord struct {
	sent     int64
	revision uint64
	// from and version are of the agent that sent it with a save; else id is its
	// identity in a session.
	from     string
	version  uint64
	id       hawser.MessageID
	instance string
	labels   map[string]string
	payload  []byte
}

// size is what a message counts for, which is what its sender gave.
func (m *messageRecord) size() uint64 { return messageSize(m.labels, m.payload) }

func messageSize(labels map[string]string, payload []byte) uint64 {
	n := len(payload)
	for key, value := range labels {
		n += len(key) + len(value)
	}
	return uint64(n)
}

func (m *messageRecord) encode() []byte {
	dst := binary.AppendUvarint(append(make([]byte, 0, len(m.payload)+128), storedFormat), uint64(m.sent))
	dst = appendBytes(binary.AppendUvarint(dst, m.revision), m.from)
	dst = append(binary.AppendUvarint(dst, m.version), m.id.Session[:]...)
	dst = appendBytes(binary.AppendUvarint(dst, m.id.Sequence), m.instance)
	return appendBytes(appendLabels(dst, m.labels), m.payload)
}

// parseMessage reads a message, which aliases b.
func parseMessage(b []byte) (*messageRecord, error) {
	r := &reader{b: b}
	if r.byte() != storedFormat {
		return nil, errMalformed
	}
	m := &messageRecord{sent: r.int63(), revision: r.uvarint(), from: r.string(), version: r.uvarint()}
	m.id = hawser.MessageID{Session: r.session(), Sequence: r.uvarint()}
	m.instance, m.labels, m.payload = r.string(), r.labels(), r.bytes()
	if (m.from == "") == m.id.IsZero() || (m.from == "") != (m.version == 0) {
		r.fail()
	}
	return m, r.end()
}

func (r *reader) session() (id hawser.SessionID) {
	copy(id[:], r.take(uint64(len(id))))
	return id
}

func (m *messageRecord) message(id hawser.AgentID, number uint64) hawser.Message {
	message := hawser.Message{
		Agent: id, Number: number, ID: m.id, Instance: m.instance, Labels: m.labels, Payload: m.payload,
		SentAt: unix(m.sent), Revision: hawser.Revision(m.revision),
	}
	if m.from != "" {
		message.From = hawser.VersionRef{Agent: hawser.AgentID{Namespace: id.Namespace, Name: m.from}, Number: m.version}
	}
	return message
}

func inboxKey(id hawser.AgentID) []byte { return agentKey(nil, prefixInbox, id) }

// inboxFloorKey is that of the number at which new inboxes of a namespace start.
func inboxFloorKey(namespace string) []byte { return append([]byte{prefixInbox}, namespace...) }

func messageKey(id hawser.AgentID, number uint64) []byte {
	return binary.BigEndian.AppendUint64(append(inboxKey(id), 0), number)
}

// splitInboxKey is the reverse of inboxKey, and with a number of messageKey. An
// agent without a name is a namespace's floor.
func splitInboxKey(key []byte) (id hawser.AgentID, number uint64, isMessage, ok bool) {
	namespace, rest, named := bytes.Cut(key[1:], []byte{0})
	id.Namespace = string(namespace)
	if !named {
		return id, 0, false, true
	}
	name, rest, isMessage := bytes.Cut(rest, []byte{0})
	id.Name = string(name)
	if !isMessage {
		return id, 0, false, true
	}
	if len(rest) != 8 {
		return id, 0, true, false
	}
	return id, binary.BigEndian.Uint64(rest), true, true
}

// inbox returns the inbox of an agent; one that never got a message starts at
// the floor of its namespace.
func (c *changes) inbox(id hawser.AgentID) (inboxRecord, error) {
	value, err := c.get(inboxKey(id))
	if err != nil {
		return inboxRecord{}, err
	}
	if value == nil {
		floor, err := c.inboxFloor(id.Namespace)
		return startInbox(floor), err
	}
	rec, err := parseInbox(value)
	if err != nil {
		return inboxRecord{}, damagedKey("inbox", id, 0)
	}
	return rec, nil
}

func (c *changes) putInbox(id hawser.AgentID, rec inboxRecord) { c.put(inboxKey(id), rec.encode()) }

func (c *changes) inboxFloor(namespace string) (uint64, error) {
	value, err := c.get(inboxFloorKey(namespace))
	if err != nil || value == nil {
		return 0, err
	}
	floor, err := parseInboxFloor(value)
	if err != nil {
		err = damaged(fmt.Sprintf("floor of the inboxes of namespace %q", namespace), err)
	}
	return floor, err
}

func parseInboxFloor(b []byte) (uint64, error) {
	r := &reader{b: b}
	if r.byte() != storedFormat {
		r.fail()
	}
	return r.uvarint(), r.end()
}

// message returns a message that is there, nil for none.
func (c *changes) message(id hawser.AgentID, number uint64) (*messageRecord, error) {
	value, err := c.get(messageKey(id, number))
	if err != nil || value == nil {
		return nil, err
	}
	m, err := parseMessage(value)
	if err != nil {
		return nil, damagedKey("message", id, number)
	}
	return m, nil
}

// mayDeliver is why an agent gets no messages of so many bytes together, nil when
// it does. It need not be open to writes.
func (c *changes) mayDeliver(op string, id hawser.AgentID, count, size uint64) (refusal, err error) {
	a, err := c.agent(id)
	if err != nil {
		return nil, err
	}
	if a.live == 0 && !a.busy {
		return notFound(op, id, "there is no such agent, and nobody claims it"), nil
	}
	box, err := c.inbox(id)
	if err != nil {
		return nil, err
	}
	if box.count+count > maxInbox || box.bytes+size > maxInboxBytes {
		return &hawser.Error{
			Code: hawser.CodeOverloaded, Op: op, Key: id.String(),
			Msg: fmt.Sprintf("its inbox is full, with %d messages of %d bytes; repeat it when the agent has caught up", box.count, box.bytes),
		}, nil
	}
	return nil, nil
}

// deliver puts a message into an inbox that has room. The command at hand makes
// a revision.
func (c *changes) deliver(id hawser.AgentID, m *messageRecord) (number uint64, err error) {
	box, err := c.inbox(id)
	if err != nil {
		return 0, err
	}
	box.last++
	box.count++
	box.bytes += m.size()
	m.sent, m.revision = c.state.time, c.state.revision
	c.putListed(messageKey(id, box.last), m.encode())
	c.putInbox(id, box)
	c.emit(hawser.Event{Kind: hawser.EventMessageSent, Name: id, Number: box.last, Size: int64(len(m.payload)), Instance: m.instance})
	return box.last, nil
}

// mayConsume is why an agent cannot consume messages, which are in ascending
// order.
func (c *changes) mayConsume(id hawser.AgentID, numbers []uint64) (refusal, err error) {
	if len(numbers) == 0 {
		return nil, nil
	}
	box, err := c.inbox(id)
	if err != nil {
		return nil, err
	}
	for _, n := range numbers {
		if n > box.last {
			return &hawser.Error{
				Code: hawser.CodeInvalid, Op: "consume", Key: id.String(), Msg: fmt.Sprintf("there is no message %d, the newest is %d", n, box.last),
			}, nil
		}
		m, err := c.message(id, n)
		if err != nil {
			return nil, err
		}
		if m == nil || n <= box.floor {
			return &hawser.Error{
				Code: hawser.CodeMessageGone, Op: "consume", Key: id.String(),
				Msg: fmt.Sprintf("message %d is consumed; restore, and go on from what is in the inbox", n),
			}, nil
		}
	}
	return nil, nil
}

// consume removes messages that are there, in ascending order.
func (c *changes) consume(id hawser.AgentID, numbers []uint64, token uint64) error {
	if len(numbers) == 0 {
		return nil
	}
	box, err := c.inbox(id)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		m, err := c.message(id, n)
		if err != nil || m == nil {
			return damagedOr(err, "message", id, n)
		}
		box.count, box.bytes = box.count-1, box.bytes-m.size()
		c.drop(messageKey(id, n))
	}
	if numbers[0] == box.first {
		if box.first, err = c.oldest(id, box); err != nil {
			return err
		}
	}
	c.putInbox(id, box)
	for len(numbers) > 0 {
		n := 1
		for n < len(numbers) && numbers[n] == numbers[n-1]+1 {
			n++
		}
		c.emit(hawser.Event{Kind: hawser.EventMessageConsumed, Name: id, Number: numbers[0], Last: numbers[n-1], Token: token})
		numbers = numbers[n:]
	}
	return nil
}

func damagedOr(err error, what string, id hawser.AgentID, number uint64) error {
	if err != nil {
		return err
	}
	return damagedKey(what, id, number)
}

// oldest finds the oldest message that is still there, from box.first on.
func (c *changes) oldest(id hawser.AgentID, box inboxRecord) (uint64, error) {
	found := box.last + 1
	if box.count == 0 {
		return found, nil
	}
	err := c.scan(messageKey(id, box.first), messageKey(id, found), func(key, _ []byte) (bool, error) {
		_, n, isMessage, ok := splitInboxKey(key)
		if !ok || !isMessage {
			return false, damagedKey("message", id, 0)
		}
		found = n
		return false, nil
	})
	return found, err
}

// dropInbox empties the inbox of an agent that goes, which costs the same
// however many messages there are. [Reclaim] removes them later.
func (c *changes) dropInbox(id hawser.AgentID) error {
	box, err := c.inbox(id)
	if err != nil || box.count == 0 {
		return err
	}
	box.floor, box.first, box.count, box.bytes = box.last, box.last+1, 0, 0
	c.putInbox(id, box)
	c.markGarbage(id, true)
	return nil
}

// clearInbox removes at most limit messages that went with their agent, and
// reports whether none are left.
func (c *changes) clearInbox(id hawser.AgentID, limit uint64) (done bool, err error) {
	box, err := c.inbox(id)
	if err != nil || box.cleared == box.floor {
		return true, err
	}
	var keys [][]byte
	done = true
	err = c.scan(messageKey(id, box.cleared+1), messageKey(id, box.floor+1), func(key, _ []byte) (bool, error) {
		if done = uint64(len(keys)) < limit; done {
			keys = append(keys, bytes.Clone(key))
		}
		return done, nil
	})
	if err != nil {
		return false, err
	}
	for _, key := range keys {
		c.drop(key)
	}
	switch {
	case done:
		box.cleared = box.floor
	default:
		_, box.cleared, _, _ = splitInboxKey(keys[len(keys)-1])
	}
	c.putInbox(id, box)
	return done, nil
}

// forgetInbox removes the inbox of an agent whose tomb goes, which is empty, and
// raises the number at which new ones start.
func (c *changes) forgetInbox(id hawser.AgentID) error {
	value, err := c.get(inboxKey(id))
	if err != nil || value == nil {
		return err
	}
	box, err := c.inbox(id)
	if err != nil {
		return err
	}
	floor, err := c.inboxFloor(id.Namespace)
	if err != nil {
		return err
	}
	c.drop(inboxKey(id))
	c.put(inboxFloorKey(id.Namespace), binary.AppendUvarint([]byte{storedFormat}, max(floor, box.last)))
	return nil
}
