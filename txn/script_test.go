// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package txn_test

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/txn"
)

// TestScripts plays the scenarios in testdata: each directive is an input, with
// the state, the actions and the refusal below it. After a wanted change of
// behaviour run "go test -run TestScripts -rewrite" and read the difference.
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			s := &script{txns: map[string]txn.Txn{}}
			datadriven.RunTest(t, path, s.run)
		})
	}
}

type script struct {
	now  int64
	txns map[string]txn.Txn
}

// Directives, of a transaction T and an agent A; reasons are in parentheses:
//
//	tick SECONDS                                      the time, which only this changes
//	begin T A... deadline=SECONDS [manual]
//	vote T A yes [content=TEXT] [epoch=N] [quiet]
//	vote T A no [reason=(TEXT)] [epoch=N]
//	decide T commit|abort [reason=(TEXT)]
//	expire T
//	ack T A
//	resolve T A [reason=(TEXT)]
//	show T
func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	words, options := arguments(d)
	switch d.Cmd {
	case "tick":
		s.now = seconds(t, words[0])
		return "ok\n"
	case "begin":
		_, manual := options["manual"]
		x, err := txn.Begin(hawser.TxnID{Namespace: hawser.DefaultNamespace, ID: words[0]}, names(words[1:]), manual, seconds(t, options["deadline"]), s.now)
		if err != nil {
			return refusal(err)
		}
		s.txns[words[0]] = x
		return x.State.String() + "\n"
	}
	x, ok := s.txns[words[0]]
	if !ok {
		t.Fatalf("%s: no transaction %q", d.Pos, words[0])
	}
	if d.Cmd == "show" {
		return show(x)
	}
	x, actions, err := txn.Step(x, parse(t, d, words, options), s.now)
	s.txns[words[0]] = x
	var b strings.Builder
	fmt.Fprintln(&b, x.State)
	for _, a := range actions {
		fmt.Fprintf(&b, "  %s\n", strings.TrimSpace(a.Kind.String()+" "+a.Agent.Name))
	}
	return b.String() + refusal(err)
}

// arguments splits those of a directive into words and options. The words
// "manual" and "quiet" are options.
func arguments(d *datadriven.TestData) (words []string, options map[string]string) {
	options = map[string]string{}
	for _, arg := range d.CmdArgs {
		if len(arg.Vals) == 0 && arg.Key != "manual" && arg.Key != "quiet" {
			words = append(words, arg.Key)
		} else {
			options[arg.Key] = strings.Join(arg.Vals, ", ")
		}
	}
	return words, options
}

func parse(t *testing.T, d *datadriven.TestData, words []string, options map[string]string) txn.Input {
	t.Helper()
	var agent hawser.AgentID
	if len(words) > 1 {
		agent = id(words[1])
	}
	last, reason := words[len(words)-1], options["reason"]
	switch d.Cmd {
	case "vote":
		b := txn.Ballot{Agent: agent, Yes: last == "yes", Epoch: 1, Reason: reason}
		if options["epoch"] != "" {
			b.Epoch, _ = strconv.ParseUint(options["epoch"], 10, 64)
		}
		if content := options["content"]; content != "" {
			b.Digest = sha256.Sum256([]byte(content))
		}
		_, b.Quiet = options["quiet"]
		return b
	case "decide":
		return txn.Decide{Commit: last == "commit", Reason: reason}
	case "expire":
		return txn.Expire{}
	case "ack":
		return txn.Acknowledge{Agent: agent, Committed: last == "committed"}
	case "resolve":
		return txn.Resolve{Agent: agent, Reason: reason}
	}
	t.Fatalf("%s: %q is no directive", d.Pos, d.Cmd)
	return nil
}

func show(x txn.Txn) string {
	var b strings.Builder
	fmt.Fprint(&b, x.State)
	if x.Reason != "" {
		fmt.Fprintf(&b, " (%s)", x.Reason)
	}
	if x.State.Decided() {
		fmt.Fprintf(&b, " at %d", x.Decided/1e9)
	}
	if x.Done() {
		b.WriteString(", done")
	}
	if x.Kept() {
		b.WriteString(", kept")
	}
	b.WriteByte('\n')
	for _, p := range x.Participants {
		fmt.Fprintf(&b, "  %s: %s", p.Agent.Name, p.Vote)
		if p.Vote != hawser.VoteNone {
			fmt.Fprintf(&b, " under epoch %d", p.Epoch)
		}
		for _, fact := range []struct {
			holds bool
			words string
		}{{p.Quiet, "quiet"}, {p.Acknowledged && !p.Resolved, "acknowledged"}, {p.Resolved, "resolved"}, {p.Reason != "", "(" + p.Reason + ")"}} {
			if fact.holds {
				fmt.Fprint(&b, " ", fact.words)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func refusal(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf("%s: %v\n", hawser.CodeOf(err), err)
}

func names(words []string) (agents []hawser.AgentID) {
	for _, w := range words {
		agents = append(agents, id(w))
	}
	return agents
}

func seconds(t *testing.T, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n * 1e9
}
