// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

func sessionID(word string) (id hawser.SessionID) {
	copy(id[:], word)
	return id
}

func sessionName(id hawser.SessionID) string { return strings.TrimRight(string(id[:]), "\x00") }

// messages reads
//
//	session S [instance=I] deadline=SECONDS · endsession S · expiresessions S...
//	send AGENT PAYLOAD session=S seq=N [label=K:V]... [generation=N]
func (p *parser) messages() fsm.Command {
	w := p.words
	switch w[0] {
	case "session":
		return &fsm.OpenSession{
			Namespace: "default", Session: sessionID(w[1]), Instance: p.texts["instance"],
			Deadline: int64(p.values["deadline"]) * int64(time.Second), Generation: p.values["generation"],
		}
	case "endsession":
		return &fsm.CloseSession{Namespace: "default", Session: sessionID(w[1]), Generation: p.values["generation"]}
	case "expiresessions":
		e := &fsm.ExpireSessions{}
		for _, word := range w[1:] {
			e.Sessions = append(e.Sessions, fsm.SessionRef{Namespace: "default", Session: sessionID(word)})
		}
		return e
	case "send":
		return &fsm.SendMessage{
			Agent: agentID(w[1]), ID: hawser.MessageID{Session: sessionID(p.texts["session"]), Sequence: p.values["seq"]},
			Labels: p.labels, Payload: state(w[2]), Generation: p.values["generation"],
		}
	}
	return nil
}

// moved reads consume=N,... and emit=AGENT:PAYLOAD of a save.
func (p *parser) moved(save *fsm.Save) {
	for _, word := range p.words[1:] {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "consume":
			for number := range strings.SplitSeq(value, ",") {
				n, _ := strconv.ParseUint(number, 10, 64)
				save.Consume = append(save.Consume, n)
			}
		case "emit":
			name, payload, _ := strings.Cut(value, ":")
			save.Emit = append(save.Emit, fsm.Emission{Agent: agentID(name), Payload: state(payload)})
		}
	}
}

// describeMessage is a message as a script shows it.
func describeMessage(m hawser.Message) string {
	from := "session " + sessionName(m.ID.Session) + " " + strconv.FormatUint(m.ID.Sequence, 10)
	if !m.From.IsZero() {
		from = m.From.String()
	}
	line := fmt.Sprintf("%d from %s by %q at %s, revision %d", m.Number, from, m.Instance, m.SentAt.Format(time.TimeOnly), m.Revision)
	if len(m.Labels) > 0 {
		line += fmt.Sprintf(", labels %v", m.Labels)
	}
	return line
}

// askInbox answers "inbox AGENT [after=N] [limit=N] [size=N]".
func askInbox(v *fsm.View, id hawser.AgentID, d *datadriven.TestData) string {
	a := args{d}
	in, err := v.Inbox(id, uint64(a.number("after", 0)), int(a.number("limit", 100)), int(a.number("size", 1<<20)))
	var b strings.Builder
	for _, m := range in.Messages {
		fmt.Fprintf(&b, "%s: %s\n", describeMessage(m), brief(m.Payload))
	}
	if in.More {
		b.WriteString("and more\n")
	}
	fmt.Fprintf(&b, "%d messages of %d bytes%s\n", in.Count, in.Bytes, suffix(err))
	return b.String()
}

// askSessions answers "sessions at=SECONDS".
func askSessions(v *fsm.View, d *datadriven.TestData) string {
	refs, err := v.ExpiredSessions(time.Unix(args{d}.number("at", 0), 0), 100)
	var names []string
	for _, ref := range refs {
		names = append(names, sessionName(ref.Session))
	}
	return fmt.Sprintf("%v%s\n", names, suffix(err))
}
