// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// several reads commands about several agents:
//
//	cut NAME AGENT... [label=L] · cut NAME prefix=P · uncut NAME revision=N
//	back NAME revision=N [seen=N] [generation=N] req=R [leaveout=1] [reason=R]
//	all SAVE | SAVE...                   each as for save or delta
//	vote TXN AGENT yes|no [fence=N] [quiet=1] [state=WORD expect=N]
func (p *parser) several() fsm.Command {
	var names []string
	for _, word := range p.words[1:] {
		if !strings.Contains(word, "=") {
			names = append(names, word)
		}
	}
	switch p.words[0] {
	case "cut":
		_, byPrefix := p.texts["prefix"]
		return &fsm.MakeCut{
			Name: agentID(names[0]), Agents: names[1:], ByPrefix: byPrefix, Prefix: p.texts["prefix"], Label: p.texts["label"], Generation: p.values["generation"],
		}
	case "uncut":
		return &fsm.DeleteCut{Cut: agentID(names[0]), Revision: p.values["revision"], Generation: p.values["generation"]}
	case "back":
		return &fsm.RollbackCut{
			Cut: agentID(names[0]), Revision: p.values["revision"], Request: p.request, LeaveOut: p.values["leaveout"] > 0,
			Instance: "i", Reason: p.texts["reason"],
		}
	case "all":
		all := &fsm.SaveAll{}
		for line := range strings.SplitSeq(strings.Join(p.words[1:], " "), " | ") {
			all.Saves = append(all.Saves, p.s.parse(line).(*fsm.Save))
		}
		return all
	case "vote":
		v := &fsm.VoteTxn{ID: txnID(names[0]), Agent: agentID(names[1]), Yes: names[2] == "yes", Fence: p.fence(), Quiet: p.values["quiet"] > 0}
		if word := p.texts["state"]; word != "" {
			v.State = newSave(v.Agent, word, "vote "+word)
			v.State.Expect = p.expect
		}
		return v
	}
	return nil
}

// describeSeveral describes the result of a command about several agents.
func describeSeveral(res fsm.Result) (string, bool) {
	var b strings.Builder
	switch {
	case res.Cut != nil:
		fmt.Fprintf(&b, "cut %s", describeCut(*res.Cut))
	case res.Rollback != nil:
		b.WriteString(describeReport(*res.Rollback))
	case len(res.Saves) > 0:
		for i, saved := range res.Saves {
			if i > 0 {
				b.WriteString("\n")
			}
			b.WriteString(saved.Version.Agent.Name + " " + describe(saved))
		}
		b.WriteString("\n all")
	default:
		return "", false
	}
	return b.String(), true
}

func describeCut(c hawser.Cut) string {
	s := fmt.Sprintf("%s of revision %d at %s", c.Name.Name, c.Revision, c.CreatedAt.Format(time.TimeOnly))
	if c.ByPrefix {
		s += fmt.Sprintf(" of prefix %q", c.Prefix)
	}
	if c.Label != "" {
		s += " for " + c.Label
	}
	s += fmt.Sprintf(", %d agents", c.Size)
	for _, a := range c.Agents {
		s += fmt.Sprintf(", %s@%d", a.Agent.Name, a.Number)
		if a.Problem != "" {
			s += fmt.Sprintf(" (%s)", a.Problem)
		}
	}
	if c.RolledBack > 0 {
		s += fmt.Sprintf(", rolled back %d times", c.RolledBack)
	}
	for _, b := range c.Rollbacks {
		s += fmt.Sprintf("\n  revision %d at %s by %q: %d agents, %d left out", b.Revision, b.Time.Format(time.TimeOnly), b.Instance, b.Size, b.LeftOut)
		if b.Reason != "" {
			s += ", for " + b.Reason
		}
	}
	return s
}

func describeReport(r hawser.RollbackReport) string {
	s := "rolled back to " + r.Cut.Name
	if r.DryRun {
		s = "would roll back to " + r.Cut.Name
	}
	if r.Problem != "" {
		s += "\n  " + r.Problem
	}
	for _, a := range r.Agents {
		s += fmt.Sprintf("\n  %s: from %d to %d", a.Agent.Name, a.Head, a.Number)
		if a.Made != 0 {
			s += fmt.Sprintf(" as %d", a.Made)
		}
		s += fmt.Sprintf(", epoch %d", a.Epoch)
		if a.Owner != "" {
			s += ", from " + a.Owner
		}
		if len(a.Txns) > 0 {
			s += fmt.Sprintf(", aborts %v", a.Txns)
		}
		if a.Problem != "" {
			s += fmt.Sprintf(", not because %s", a.Problem)
		}
	}
	return s + "\n "
}

func askCuts(v *fsm.View, after string) string {
	cuts, err := v.Cuts("default", after, 0)
	var b strings.Builder
	for _, c := range cuts {
		fmt.Fprintln(&b, describeCut(c))
	}
	return b.String() + suffix(err)
}

func askCut(v *fsm.View, name hawser.AgentID) string {
	cut, err := v.Cut(name)
	if err != nil {
		return suffix(err) + "\n"
	}
	return describeCut(cut) + "\n"
}

func askPlan(v *fsm.View, name hawser.AgentID) string {
	plan, err := v.CutPlan(name)
	if err != nil {
		return suffix(err) + "\n"
	}
	return describeReport(plan) + fmt.Sprintf("revision %d\n", plan.Revision)
}
