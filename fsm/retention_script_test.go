// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

// parsePolicyCommand reads one command of a script, nil if it is another:
//
//	retention NS PREFIX|. [last=N] [within=SECONDS] [hourly=N] [daily=N] [weekly=N] | remove
//	tombs AGENT before=SECONDS
//	and those of parseImportCommand
func parsePolicyCommand(words []string, values map[string]uint64) fsm.Command {
	switch words[0] {
	case "retention":
		s := &fsm.SetRetention{Namespace: words[1], Prefix: strings.TrimPrefix(words[2], ".")}
		if words[len(words)-1] != "remove" {
			s.Rules = &hawser.Retention{
				KeepLast: values["last"], KeepWithin: time.Duration(values["within"]) * time.Second,
				KeepHourly: values["hourly"], KeepDaily: values["daily"], KeepWeekly: values["weekly"],
			}
		}
		return s
	case "tombs":
		return &fsm.PruneTombs{Agents: []hawser.AgentID{agentID(words[1])}, Before: int64(values["before"]) * int64(time.Second)}
	}
	return parseImportCommand(words, values)
}

// askPolicies answers:
//
//	policies · retention AGENT · due AGENT now=SECONDS · scan now=SECONDS · tombs before=SECONDS
//	and what askImport answers
func (s *script) askPolicies(d *datadriven.TestData, v *fsm.View) string {
	a := args{d}
	now := time.Unix(a.number("now", 0), 0)
	switch d.Cmd {
	case "policies":
		policies, err := v.Policies("")
		var b strings.Builder
		for _, p := range policies {
			fmt.Fprintf(&b, "%s %q: %s\n", p.Namespace, p.Prefix, rules(p.Retention))
		}
		return b.String() + fmt.Sprintf("stamp %d%s\n", v.RetentionStamp(), suffix(err))
	case "retention":
		found, source, err := v.RetentionOf(agentID(d.CmdArgs[0].Key))
		from := "the default"
		if source != nil {
			from = fmt.Sprintf("policy %s %q", source.Namespace, source.Prefix)
		}
		return fmt.Sprintf("%s, by %s%s\n", rules(found), from, suffix(err))
	case "due":
		item, err := v.Prunable(agentID(d.CmdArgs[0].Key), now)
		return fmt.Sprintf("%v, %d versions, %d bytes%s\n", item.Ranges, item.Versions, item.Bytes, suffix(err))
	case "scan":
		items, last, more, err := v.PruneScan(hawser.AgentID{}, 0, now)
		var b strings.Builder
		for _, item := range items {
			fmt.Fprintf(&b, "%s: %v, %d versions, %d bytes\n", item.Agent, item.Ranges, item.Versions, item.Bytes)
		}
		return b.String() + fmt.Sprintf("last %s, more %t%s\n", last, more, suffix(err))
	case "tombs":
		ids, err := v.Tombs(time.Unix(a.number("before", 0), 0), 0)
		return fmt.Sprintf("%v%s\n", ids, suffix(err))
	}
	return askImport(d, v)
}

func rules(r hawser.Retention) string {
	if r.KeepsAll() {
		return "keep all"
	}
	return fmt.Sprintf("last %d, within %s, hourly %d, daily %d, weekly %d", r.KeepLast, r.KeepWithin, r.KeepHourly, r.KeepDaily, r.KeepWeekly)
}
