// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

func (k *checker) messageValue(key, value []byte) (err error) {
	if key[0] == prefixSession {
		ref, ok := splitSessionKey(key)
		switch {
		case !ok:
			return errMalformed
		case ref.Session.IsZero():
			k.counted[ref.Namespace], err = parseInboxFloor(value)
		default:
			_, err = parseSession(value)
			k.sessions[ref.Namespace]++
		}
		return err
	}
	id, number, isMessage, ok := splitInboxKey(key)
	switch {
	case !ok:
		return errMalformed
	case id.Name == "":
		_, err = parseInboxFloor(value)
	case !isMessage:
		k.inboxes[id], err = parseInbox(value)
	default:
		if k.messages[id] == nil {
			k.messages[id] = map[uint64]*messageRecord{}
		}
		k.messages[id][number], err = parseMessage(value)
	}
	return err
}

// checkMessages: inboxes count what they have, and sessions are counted.
func (k *checker) checkMessages() {
	k.t.Helper()
	for id, box := range k.inboxes {
		var count, bytes uint64
		first := box.last + 1
		for number, m := range k.messages[id] {
			k.equal(number > box.cleared && number <= box.last, true, "%s: message %d between %d and %d", id, number, box.cleared, box.last)
			if number <= box.floor {
				continue
			}
			count, bytes, first = count+1, bytes+m.size(), min(first, number)
		}
		k.equal([]uint64{box.count, box.bytes, box.first}, []uint64{count, bytes, first}, "%s: messages, bytes, first", id)
		_, known := k.agents[id]
		k.equal(known || box.count == 0, true, "%s has messages and is no agent", id)
	}
	for id := range k.messages {
		if _, ok := k.inboxes[id]; !ok {
			k.t.Errorf("%s has messages and no inbox", id)
		}
	}
	k.equal(k.counted, k.sessions, "sessions")
}
