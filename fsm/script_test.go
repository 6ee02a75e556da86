// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/halt"
	"github.com/hawserdb/hawser/internal/record"
)

// TestScripts runs the protocols in testdata: each directive is one log entry
// or one question, with the recorded answer below it. After a wanted change of
// behaviour run "go test -run TestScripts -rewrite" and read the difference.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		t.Helper()
		s := &script{t: t, dir: t.TempDir()}
		s.m = open(t, s.dir, fsm.Options{})
		datadriven.RunTest(t, path, s.run)
	})
}

type script struct {
	t     *testing.T
	dir   string
	m     *fsm.Machine
	index uint64
	time  int64
}

// Directives:
//
//	apply [time=SECONDS]      one entry with one command a line
//	fill AGENT n=N            N conditional saves, an entry each
//	agent|versions|version|content|agents|outcome|info|garbage
//	claim|lock NAME, events [after=N], leases
//	txn TXN, txns [after=TXN] [limit=N], work AGENT, duetxns now=SECONDS
//	inbox AGENT [after=N] [limit=N] [size=N], sessions at=SECONDS
//	cut|plan NAME, cuts [after=NAME]
//	effects AGENT [after=ID] [limit=N], effect AGENT id=ID, restored AGENT [number=N]
//	path|impact AGENT [number=N], segment N, uploads, check
//	reopen [max-level=N]
func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	switch d.Cmd {
	case "apply":
		return s.apply(d)
	case "fill":
		return s.fill(d)
	case "reopen":
		return s.reopen(t, d)
	case "info":
		info := s.m.Info()
		return fmt.Sprintf("cluster %x generation %d revision %d time %s level %d agents %d leader %q of term %d\n", info.ClusterID[:2],
			info.Generation, info.Revision, info.Time.Format(time.TimeOnly), info.Level, info.Agents, info.LeaderNode, info.LeaderTerm)
	case "garbage":
		ids, err := s.m.Garbage(0)
		return fmt.Sprintf("%v%s\n", ids, suffix(err))
	}
	return s.ask(d)
}

func (s *script) apply(d *datadriven.TestData) string {
	if d.HasArg("time") {
		s.time = args{d}.number("time", 0) * int64(time.Second)
	}
	var encoded [][]byte
	for line := range strings.SplitSeq(strings.TrimSpace(d.Input), "\n") {
		encoded = append(encoded, fsm.AppendCommand(nil, s.parse(line)))
	}
	s.index++
	out, err := s.m.Apply([]fsm.Entry{{Index: s.index, Term: 1, Kind: fsm.EntryCommand, Data: fsm.AppendBatch(nil, fsm.BatchID{}, s.time, encoded)}})
	if err != nil {
		return fmt.Sprintf("STOP: %v\n", err)
	}
	var b strings.Builder
	for _, res := range out[0].Results {
		fmt.Fprintln(&b, describe(res))
	}
	return b.String()
}

func describe(res fsm.Result) string {
	line := "done"
	several, about := describeSeveral(res)
	switch {
	case res.Err != nil && res.Txn != nil:
		return fmt.Sprintf("%s: %v\n  %s, revision %d", hawser.CodeOf(res.Err), res.Err, describeTxn(*res.Txn), res.Revision)
	case res.Err != nil:
		return fmt.Sprintf("%s: %v", hawser.CodeOf(res.Err), res.Err)
	case res.Txn != nil:
		line = describeTxn(*res.Txn)
		if res.Released {
			line += ", now"
		}
	case about:
		line = several
	case res.Version.Number != 0 && res.Number == 0:
		line = version(res.Version)
	case res.Version.Number != 0:
		line = "saved " + version(res.Version)
	case res.Grant != nil && res.Grant.Granted:
		line = fmt.Sprintf("granted %d", res.Grant.Token&(1<<32-1))
		if res.Grant.Head != nil {
			line += fmt.Sprintf(" at version %d", res.Grant.Head.Number)
		}
	case res.Grant != nil:
		line = fmt.Sprintf("queued after %d", res.Grant.Position)
	case res.Claims != nil:
		line = "claims" + claims(res.Claims)
	case res.Message != nil:
		line = "sent " + describeMessage(*res.Message)
	case res.Effect != nil:
		line = effectLine(*res.Effect)
		if res.Begun {
			line = "RUN " + line
		}
	case res.Released:
		line = "released"
	case res.Pruned != 0:
		line = fmt.Sprintf("pruned %d", res.Pruned)
	case res.Number != 0:
		line = fmt.Sprintf("took number %d", res.Number)
	}
	if res.Repeated {
		line += " (repeated)"
	}
	return fmt.Sprintf("%s, revision %d", line, res.Revision)
}

func version(v hawser.Version) string {
	s := fmt.Sprintf("version %d: %s, %d bytes in %d, %s, parent %d, at %s, revision %d",
		v.Number, v.State, v.Size, v.StoredSize, v.SHA256.String()[:8], v.Parent, v.CreatedAt.Format(time.TimeOnly), v.Revision)
	if !v.Origin.IsZero() {
		s += fmt.Sprintf(", repeats %s", v.Origin)
	}
	if len(v.DerivedFrom) > 0 {
		s += fmt.Sprintf(", from %v", v.DerivedFrom)
	}
	if v.Pinned {
		s += ", pinned"
	}
	if v.Txn != "" {
		s += ", by " + v.Txn
	}
	if len(v.Labels) > 0 {
		s += fmt.Sprintf(", labels %v", v.Labels)
	}
	return s
}

func (s *script) fill(d *datadriven.TestData) string {
	id := agentID(d.CmdArgs[0].Key)
	var last fsm.Result
	for n := range (args{d}).number("n", 1) {
		v := s.view()
		a, err := v.Agent(id)
		v.Close()
		if err != nil && !errors.Is(err, hawser.ErrNotFound) {
			return err.Error()
		}
		s.index++
		save := newSave(id, fmt.Sprintf("fill %d", n), fmt.Sprintf("fill-%d-%d", s.index, n))
		save.Request.Seen = a.Head
		out, err := s.m.Apply([]fsm.Entry{command(s.index, s.time, save)})
		if err != nil || out[0].Results[0].Err != nil {
			return fmt.Sprintf("STOP: %v %v\n", err, out)
		}
		last = out[0].Results[0]
	}
	return describe(last) + "\n"
}

func (s *script) reopen(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	if err := s.m.Close(); err != nil {
		t.Fatal(err)
	}
	var opts fsm.Options
	opts.MaxLevel = uint32(args{d}.number("max-level", 0))
	m, err := fsm.Open(s.dir, opts)
	if err != nil {
		return fmt.Sprintf("STOP: %v\n", strings.ReplaceAll(err.Error(), s.dir, "DIR"))
	}
	t.Cleanup(func() { m.Close() })
	s.m = m
	index, _ := m.Applied()
	return fmt.Sprintf("applied %d\n", index)
}

func (s *script) view() *fsm.View {
	s.t.Helper()
	v, err := s.m.View()
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

func (s *script) ask(d *datadriven.TestData) string {
	v := s.view()
	defer v.Close()
	a := args{d}
	var id hawser.AgentID
	if len(d.CmdArgs) > 0 && len(d.CmdArgs[0].Vals) == 0 {
		id = agentID(d.CmdArgs[0].Key)
	}
	switch d.Cmd {
	case "agent":
		found, err := v.Agent(id)
		return agentLine(found) + suffix(err) + "\n"
	case "version":
		found, err := v.Version(id, uint64(a.number("number", 0)))
		return version(found) + suffix(err) + "\n"
	case "content":
		_, state, err := v.Materialise(id, uint64(a.number("number", 0)))
		if err != nil {
			return suffix(err) + "\n"
		}
		return brief(state) + "\n"
	case "path":
		return describePath(v, id, uint64(a.number("number", 0)))
	case "impact":
		return describeImpact(v.Impact(s.t.Context(), hawser.VersionRef{Agent: id, Number: uint64(a.number("number", 0))}, int(a.number("limit", 0))))
	case "segment":
		n, _ := strconv.ParseUint(d.CmdArgs[0].Key, 10, 64)
		return describeSegment(v.Segment(n))
	case "uploads":
		return describeUploads(v.Uploads(0))
	case "claim", "lock":
		return s.askHolding(v, d.Cmd+":"+id.Name)
	case "events":
		return askEvents(v, uint64(a.number("after", 0)))
	case "leases":
		return askLeases(v)
	case "free":
		return askFree(v, a)
	case "inbox":
		return askInbox(v, id, d)
	case "sessions":
		return askSessions(v, d)
	case "cuts":
		return askCuts(v, a.text("after"))
	case "cut":
		return askCut(v, id)
	case "plan":
		return askPlan(v, id)
	case "effects", "effect", "restored":
		return askEffects(v, d.Cmd, id, a)
	case "check":
		fsm.CheckStore(s.t, s.m)
		return "ok\n"
	case "versions":
		found, err := v.Versions(id, uint64(a.number("before", 0)), int(a.number("limit", 0)))
		var b strings.Builder
		for _, v := range found {
			fmt.Fprintln(&b, version(v))
		}
		return b.String() + suffix(err)
	case "agents":
		found, err := v.Agents("default", a.text("prefix"), a.text("after"), int(a.number("limit", 0)))
		var b strings.Builder
		for _, a := range found {
			fmt.Fprintln(&b, agentLine(a))
		}
		return b.String() + suffix(err)
	case "outcome":
		kind := map[string]hawser.RequestKind{
			"": hawser.RequestSave, "delete": hawser.RequestDelete, "rollback": hawser.RequestRollback, "fork": hawser.RequestFork,
		}[a.text("kind")]
		q := fsm.Request{Nonce: nonce(a.text("req")), Seen: uint64(a.number("seen", 0)), Generation: uint64(a.number("generation", 0))}
		out, err := v.Outcome(id, kind, q, a.optional("expect"))
		return fmt.Sprintf("%s, number %d, revision %d%s\n", out.State, out.Number, out.Revision, suffix(err))
	}
	return s.askTxn(d, v)
}

func agentLine(a hawser.Agent) string {
	s := fmt.Sprintf("%s: head %d, %d versions in %d bytes, since %s", a.ID, a.Head, a.Versions, a.StoredSize, a.CreatedAt.Format(time.TimeOnly))
	if a.Version == nil {
		return s + ", nothing live"
	}
	return s + fmt.Sprintf(", live %d", a.Version.Number)
}

func suffix(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf(" [%s: %v]", hawser.CodeOf(err), err)
}

// args reads the arguments of a directive.
type args struct{ d *datadriven.TestData }

func (a args) text(key string) string {
	for _, arg := range a.d.CmdArgs {
		if arg.Key == key && len(arg.Vals) == 1 {
			return arg.Vals[0]
		}
	}
	return ""
}

func (a args) number(key string, missing int64) int64 {
	if n, err := strconv.ParseInt(a.text(key), 10, 64); err == nil {
		return n
	}
	return missing
}

func (a args) optional(key string) *uint64 {
	if a.text(key) == "" {
		return nil
	}
	n := uint64(a.number(key, 0))
	return &n
}

func agentID(name string) hawser.AgentID {
	return hawser.AgentID{Namespace: "default", Name: name}
}

func nonce(s string) (n hawser.Nonce) {
	sum := sha256.Sum256([]byte(s))
	copy(n[:], sum[:])
	return n
}

func newSave(id hawser.AgentID, state, req string) *fsm.Save {
	return &fsm.Save{
		Agent: id, Request: fsm.Request{Nonce: nonce(req)}, SHA256: sha256.Sum256([]byte(state)), Content: record.EncodeKeyframe([]byte(state)),
	}
}

// command is an entry with one batch of commands.
func command(index uint64, stamp int64, commands ...fsm.Command) fsm.Entry {
	var encoded [][]byte
	for _, c := range commands {
		encoded = append(encoded, fsm.AppendCommand(nil, c))
	}
	return fsm.Entry{Index: index, Term: 1, Kind: fsm.EntryCommand, Data: fsm.AppendBatch(nil, fsm.BatchID{byte(index)}, stamp, encoded)}
}

// reasonOf returns why err stops a node, 0 for an error that does not.
func reasonOf(err error) halt.Reason {
	if e, ok := errors.AsType[*halt.Error](err); ok {
		return e.Reason
	}
	return 0
}
