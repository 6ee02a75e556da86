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

func txnID(id string) hawser.TxnID { return hawser.TxnID{Namespace: "default", ID: id} }

// transaction reads
//
//	begin TXN AGENT[:PAYLOAD]... [until=SECONDS] [manual=1] [ns=NAMESPACE] [many=N] [generation=N]
//	yes TXN AGENT [STATE] [expect=N] [base=N [of=AGENT] [sha=wrong]] [quiet=1] [fence=N] [upload=U parts=N] [generation=N]
//	no TXN AGENT [reason=R] [fence=N] · commit TXN · cancel TXN [reason=R]
//	ack|undone TXN AGENT [fence=N] · resolve TXN AGENT [reason=R] · forget TXN · sweep TXN...
//
// It is until 10 seconds after the last apply, when nothing else is said. A state
// is made from the head that is there, when nothing else is said. A payload or
// reason may be word/N, many adds N participants.
func (p *parser) transaction() fsm.Command {
	p.s.t.Helper()
	w, generation := p.plain(), p.values["generation"]
	if len(w) < 2 {
		return nil
	}
	id, reason := txnID(w[1]), string(state(p.texts["reason"]))
	if p.texts["ns"] != "" {
		id.Namespace = p.texts["ns"]
	}
	switch w[0] {
	case "begin":
		return p.begin(id, w[2:])
	case "yes":
		return p.yes(id, w[2:])
	case "no":
		return &fsm.VoteTxn{ID: id, Agent: agentID(w[2]), Reason: reason, Fence: p.fence(), Generation: generation}
	case "commit", "cancel":
		return &fsm.DecideTxn{ID: id, Commit: w[0] == "commit", Reason: reason, Generation: generation}
	case "ack", "undone":
		return &fsm.AcknowledgeTxn{ID: id, Agent: agentID(w[2]), Committed: w[0] == "ack", Fence: p.fence(), Generation: generation}
	case "resolve":
		return &fsm.ResolveTxn{ID: id, Agent: agentID(w[2]), Reason: reason, Generation: generation}
	case "forget":
		return &fsm.ForgetTxn{ID: id, Generation: generation}
	case "sweep":
		sweep := &fsm.SweepTxns{}
		for _, word := range w[1:] {
			sweep.IDs = append(sweep.IDs, txnID(word))
		}
		return sweep
	}
	return nil
}

// plain returns the words without an equals sign.
func (p *parser) plain() (words []string) {
	for _, word := range p.words {
		if !strings.Contains(word, "=") {
			words = append(words, word)
		}
	}
	return words
}

func (p *parser) begin(id hawser.TxnID, participants []string) fsm.Command {
	b := &fsm.BeginTxn{ID: id, Manual: p.values["manual"] > 0, Deadline: p.s.time + int64(10*time.Second), Generation: p.values["generation"]}
	if p.texts["until"] != "" {
		seconds, err := strconv.ParseInt(p.texts["until"], 10, 64)
		if err != nil {
			p.s.t.Fatal(err)
		}
		b.Deadline = seconds * int64(time.Second)
	}
	for n := range p.values["many"] {
		participants = append(participants, fmt.Sprintf("many%d", n))
	}
	for _, word := range participants {
		name, payload, _ := strings.Cut(word, ":")
		task := fsm.TxnTask{Agent: agentID(name)}
		if payload != "" {
			task.Payload = state(payload)
		}
		b.Participants = append(b.Participants, task)
	}
	return b
}

func (p *parser) yes(id hawser.TxnID, w []string) fsm.Command {
	p.s.t.Helper()
	v := &fsm.VoteTxn{ID: id, Agent: agentID(w[0]), Yes: true, Quiet: p.values["quiet"] > 0, Fence: p.fence(), Generation: p.values["generation"]}
	if len(w) == 1 {
		return v
	}
	p.words = []string{"save", w[0], w[1]}
	if p.texts["base"] != "" {
		p.words[0] = "delta"
	}
	v.State = p.save().(*fsm.Save)
	v.State.Instance, v.State.Fence = "voter", 0
	if v.State.Expect == nil {
		view := p.s.view()
		defer view.Close()
		head := uint64(0)
		if a, err := view.Agent(v.Agent); err == nil && a.Version != nil {
			head = a.Version.Number
		}
		v.State.Expect = &head
	}
	return v
}

// describeTxn tells how a transaction stands in a line.
func describeTxn(info hawser.TxnInfo) string {
	s := fmt.Sprintf("%s is %s", info.ID.ID, info.State)
	if info.Manual {
		s += ", manual"
	}
	if info.Reason != "" {
		s += fmt.Sprintf(" (%s)", info.Reason)
	}
	if info.Revision != 0 {
		s += fmt.Sprintf(" at revision %d", info.Revision)
	}
	for _, p := range info.Participants {
		s += fmt.Sprintf("; %s", p.Agent.Name)
		if p.Vote != hawser.VoteNone {
			s += " " + p.Vote.String()
		}
		if p.Reason != "" {
			s += fmt.Sprintf(" (%s)", p.Reason)
		}
		if p.Epoch != 0 {
			s += fmt.Sprintf(" under %d", p.Epoch)
		}
		if p.Version != 0 {
			s += fmt.Sprintf(" made version %d", p.Version)
		}
		switch {
		case p.Resolved:
			s += ", resolved"
		case p.Acknowledged:
			s += ", acknowledged"
		}
		if !p.Waiting.IsZero() {
			s += ", waits for " + p.Waiting.ID
		}
	}
	if info.Done {
		s += "; done"
	}
	if info.Kept {
		s += ", kept"
	}
	return s
}

// askTxn answers: txn TXN · txns [after=TXN] [limit=N] · work AGENT · duetxns now=SECONDS
func (s *script) askTxn(d *datadriven.TestData, v *fsm.View) string {
	a := args{d}
	switch d.Cmd {
	case "txn":
		info, err := v.Txn(txnID(d.CmdArgs[0].Key))
		if err != nil {
			return suffix(err) + "\n"
		}
		return fmt.Sprintf("%s; from %s to %s\n", describeTxn(info), info.BegunAt.Format(time.TimeOnly), info.DeadlineAt.Format(time.TimeOnly))
	case "txns":
		infos, err := v.Txns("default", a.text("after"), int(a.number("limit", 0)))
		var b strings.Builder
		for _, info := range infos {
			fmt.Fprintln(&b, describeTxn(info))
		}
		return b.String() + fmt.Sprintf("%d%s\n", len(infos), suffix(err))
	case "work":
		work, err := v.TxnWork(agentID(d.CmdArgs[0].Key))
		var b strings.Builder
		for _, info := range work.Open {
			fmt.Fprintf(&b, "open: %s\n", describeTxn(info))
		}
		if work.Turn != nil {
			fmt.Fprintf(&b, "turn: %s, asks for %q\n", describeTxn(*work.Turn), work.Payload)
		}
		head := uint64(0)
		if work.Head != nil {
			head = work.Head.Number
		}
		return b.String() + fmt.Sprintf("head %d%s\n", head, suffix(err))
	case "duetxns":
		ids, err := v.DueTxns(time.Time{}, time.Unix(a.number("now", 0), 0))
		return fmt.Sprintf("%v%s\n", ids, suffix(err))
	}
	return s.askPolicies(d, v)
}
