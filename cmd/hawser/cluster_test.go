// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var value T
	if err := json.Unmarshal([]byte(text), &value); text != "" && err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return value
}

// randomState returns bytes that do not compress and are no UTF-8.
func randomState(seed uint64, size int) string {
	source := rand.NewChaCha8([32]byte{byte(seed)})
	b := make([]byte, size)
	_, _ = source.Read(b) // documented never to fail
	return string(b)
}

// Claim: a state that was saved through one node is restored byte for byte
// through another after the leader was killed with SIGKILL; the killed node
// comes back and answers by itself; after all were stopped gracefully and
// started again everything is still there.
func TestProcesses_StateSurvivesTheLeader(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 3)
	states := []string{randomState(1, 100_000), "", `{"step":3}`, randomState(4, 1_000_000)}
	save := func(i int, endpoints ...string) {
		t.Helper()
		got := f.want(t, codeOK, states[i], append([]string{"state", "save", "crew/a", "-o", "json", "--timeout", "30s"}, endpoints...)...)
		v := decode[versionView](t, got.stdout)
		if sum := hawser.Hash(sha256.Sum256([]byte(states[i]))); v.Version != uint64(i+1) || v.SHA256 != sum.String() || v.Size != int64(len(states[i])) {
			t.Fatalf("state %d saved as %+v", i, v)
		}
	}
	check := func(until int, args ...string) {
		t.Helper()
		for i := range until {
			got := f.want(t, codeOK, "", append([]string{"state", "restore", "crew/a", "--version", strconv.Itoa(i + 1), "--timeout", "30s"}, args...)...)
			if got.stdout != states[i] {
				t.Fatalf("version %d %v: restored %d bytes that are not the %d saved", i+1, args, len(got.stdout), len(states[i]))
			}
		}
	}
	for i := range 3 {
		save(i, "--endpoints", f.Nodes()[i].Client) // any node takes any request
	}
	killed := f.leader(t)
	if err := f.Process(killed).Kill(); err != nil {
		t.Fatal(err)
	}
	check(3)
	save(3)
	for i, n := range f.Nodes() {
		if i != killed {
			check(4, "--endpoints", n.Client)
		}
	}
	if err := f.Start(killed); err != nil {
		t.Fatal(err)
	}
	f.waitReady(t)
	check(4, "--endpoints", f.Nodes()[killed].Client)

	ctx, cancel := context.WithTimeout(t.Context(), commandLimit)
	defer cancel()
	if err := f.StopAll(ctx); err != nil {
		t.Fatal(err)
	}
	for i, n := range f.Nodes() {
		if code := f.Process(i).ExitCode(); code != codeOK {
			t.Errorf("%s ended with %d after a graceful stop:\n%s", n.Name, code, f.Process(i).Tail(2000))
		}
	}
	if err := f.StartAll(); err != nil {
		t.Fatal(err)
	}
	f.waitReady(t)
	check(4)
	if got := decode[[]versionView](t, f.want(t, codeOK, "", "state", "versions", "crew/a", "-o", "json").stdout); len(got) != 4 || got[0].Version != 4 {
		t.Errorf("versions: %+v", got)
	}
}

// Claim: the exit codes and conditions of the state commands are the
// documented ones. Method: one node, one command line after the other.
func TestProcesses_ConditionsAndExitCodes(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 1)
	f.want(t, codeNotFound, "", "state", "restore", "a")
	f.want(t, codeNotFound, "", "agent", "show", "a")
	f.want(t, codeOK, "one", "state", "save", "a")
	f.want(t, codeOK, "two", "state", "save", "a", "--label", "step=2,b", "--content-type", "text/plain", "--schema", "s1")
	f.want(t, codeConflict, "x", "state", "save", "a", "--expect-version", "1")
	f.want(t, codeConflict, "x", "state", "save", "--expect-version=0", "a")
	f.want(t, codeOK, "three", "state", "save", "a", "--expect-version", "2")
	f.want(t, codeOK, "four", "state", "save", "--overwrite", "a")
	f.want(t, codeNotFound, "", "state", "restore", "a", "--version", "9")
	f.want(t, codeNotFound, "", "state", "show", "a", "--namespace", "other")
	f.want(t, codeUsage, "x", "state", "save", "a//b")
	f.want(t, codeUsage, "x", "state", "save", "a", "surplus")

	if got := f.want(t, codeOK, "", "state", "restore", "a", "--version", "2"); got.stdout != "two" || got.stderr != "" {
		t.Errorf("restored %+v", got)
	}
	v := decode[versionView](t, f.want(t, codeOK, "", "state", "show", "a", "--version", "2", "-o", "json").stdout)
	if v.Labels["step"] != "2,b" || v.ContentType != "text/plain" || v.Schema != "s1" || v.Parent != 1 {
		t.Errorf("version 2: %+v", v)
	}
	path := filepath.Join(f.dir, "restored")
	f.want(t, codeOK, "", "state", "restore", "a", "-f", path)
	wantFile(t, path, "four", 0o600)
	f.want(t, codeNotFound, "", "state", "restore", "none", "-f", path)
	wantFile(t, path, "four", 0o600)

	f.want(t, codeConflict, "", "agent", "delete", "a", "--expect-version", "2")
	f.want(t, codeOK, "", "agent", "delete", "a")
	f.want(t, codeNotFound, "", "state", "restore", "a")
	again := decode[versionView](t, f.want(t, codeOK, "anew", "state", "save", "a", "-o", "json").stdout)
	if again.Version <= 4 {
		t.Errorf("the agent made anew has version %d: a number was given twice", again.Version)
	}
}

// Claim: a save that is repeated with its request id is executed once and has
// its first outcome; the id with other content is refused.
func TestProcesses_RequestIDRepeats(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 1)
	status := decode[statusView](t, f.want(t, codeOK, "", "cluster", "status", "-o", "json").stdout)
	expect := uint64(0)
	id := hawser.RequestID{
		Nonce: hawser.NewNonce(), Kind: hawser.RequestSave, Agent: hawser.AgentID{Namespace: "default", Name: "a"},
		Generation: hawser.Generation(status.Generation), Expect: &expect,
	}.String()
	first := f.want(t, codeOK, "one", "state", "save", "a", "--request-id", id, "-o", "json")
	f.want(t, codeOK, "two", "state", "save", "a")
	second := f.want(t, codeOK, "one", "state", "save", "a", "--request-id", id, "-o", "json")
	if a, b := decode[versionView](t, first.stdout), decode[versionView](t, second.stdout); a.Version != 1 || a.Revision != b.Revision || a.SHA256 != b.SHA256 {
		t.Errorf("first %+v, repeated %+v", a, b)
	}
	if got := decode[[]versionView](t, f.want(t, codeOK, "", "state", "versions", "a", "-o", "json").stdout); len(got) != 2 {
		t.Errorf("%d versions after a repeat, want 2", len(got))
	}
	f.want(t, codeError, "other", "state", "save", "a", "--request-id", id)
}

// Claim: every example of the help of the commands that need a cluster works
// as printed. Method: in the order of the help, in one directory, against
// three nodes. Server, dev, demo and watch have tests of their own, and so have
// the ends of effects and messages that are consumed; to resolve and to forget a
// transaction takes a participant that is gone, of which the machine's scripts
// tell (fsm/testdata/scripts/txns_owners).
func TestProcesses_EveryExampleRuns(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 3)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "state.json"), []byte(`{"step":2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, leaf := range leaves((&program{}).app().Commands) {
		switch leaf.HelpName {
		case "hawser server", "hawser dev", "hawser demo", "hawser watch", "hawser txn resolve", "hawser txn forget",
			"hawser effect show", "hawser effect resolve", "hawser effect forget":
			continue
		case "hawser txn show":
			f.beginOrder(t)
		case "hawser message send", "hawser cut create":
			f.makeExampleAgents(t, dir)
		case "hawser agent handover":
			f.instance(t, "worker-a", "researcher-7", "sleep 60")
			c := f.dial(t, "test")
			owner(t, c, "researcher-7", "")
			f.instance(t, "worker-b", "researcher-7", "sleep 60")
			for h, err := range c.Agent("researcher-7").Observe(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				if h.Waiting == 1 {
					break
				}
			}
		}
		for _, example := range examplesOf(leaf) {
			if strings.HasPrefix(example, "snapshot ") || strings.Contains(example, "--consume") {
				continue // they want archives and a second cluster, or those very messages
			}
			f.runExample(t, dir, example)
		}
	}
	wantFile(t, filepath.Join(dir, "state.json"), `{"step":1}`, 0o600)
}

// beginOrder begins the transaction that the examples name, of agents that nobody
// owns, so that it stays undecided.
func (f *fleet) beginOrder(t *testing.T) {
	t.Helper()
	c := f.dial(t, "shop")
	for _, name := range []string{"customer", "warehouse"} {
		if _, err := c.Agent(name).Save(t.Context(), []byte("1")); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	txn := client.Txn{ID: "order-4711", Timeout: time.Minute, Participants: []client.TxnTask{{Agent: "customer"}, {Agent: "warehouse"}}}
	if _, err := c.Transact(ctx, txn); !errors.Is(err, hawser.ErrOutcomeUnknown) {
		t.Fatal(err)
	}
}

// makeExampleAgents makes the agents and the file that the examples of messages
// and cuts name, whatever became of them in earlier ones.
func (f *fleet) makeExampleAgents(t *testing.T, dir string) {
	t.Helper()
	c := f.dial(t, "test")
	for _, name := range []string{"researcher-7", "planner", "crew/a"} {
		if _, err := c.Agent(name).Save(t.Context(), []byte("1"), client.Overwrite(), client.Force()); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "task.json"), []byte(`{"task":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Claim: every example of the help of the snapshot commands works as printed.
// Method: with the agents and archives that they name; what restores, restores
// into a new cluster.
func TestProcesses_EverySnapshotExampleRuns(t *testing.T) {
	t.Parallel()
	source, target := startFleet(t, 1), startFleet(t, 1)
	dir := t.TempDir()
	for i := range 12 {
		source.want(t, codeOK, fmt.Sprint("step ", i), "state", "save", "researcher-7")
	}
	source.want(t, codeOK, "plan", "state", "save", "crew/planner")
	source.want(t, codeOK, "notes", "state", "save", "reader", "--namespace", "research")
	source.runExample(t, dir, "snapshot save monday.hawser")
	source.want(t, codeOK, "a better plan", "state", "save", "crew/planner")
	source.runExample(t, dir, "snapshot save tuesday.hawser")
	ran := 0
	for _, leaf := range leaves((&program{}).app().Commands) {
		for _, example := range examplesOf(leaf) {
			switch {
			case strings.HasPrefix(example, "snapshot restore "):
				target.runExample(t, dir, example)
			case strings.HasPrefix(example, "snapshot "):
				source.runExample(t, dir, example)
			default:
				continue
			}
			ran++
		}
	}
	if ran < 12 {
		t.Errorf("%d examples ran", ran)
	}
	wantFile(t, filepath.Join(dir, "state.json"), "step 11", 0o600)
	if got := target.want(t, codeOK, "", "state", "restore", "researcher-7-old", "-f", "-").stdout; got != "step 11" {
		t.Errorf("restored under another name: %q", got)
	}
}

// runExample runs one line of the help in dir.
func (f *fleet) runExample(t *testing.T, dir, example string) {
	t.Helper()
	env := []string{"HAWSER_ENDPOINTS=" + strings.Join(f.Endpoints(), ","), "HAWSER_TIMEOUT=30s"}
	got := executeIn(t, dir, f.bin, `{"step":1}`, env, shellWords(example)...)
	for deadline := time.Now().Add(commandLimit); got.code == codeError && time.Now().Before(deadline) && strings.Contains(got.stderr, "refused"); {
		got = executeIn(t, dir, f.bin, "", env, shellWords(example)...) // a new leader does not know yet who lives
	}
	if got.code != codeOK {
		t.Errorf("hawser %s: exit code %d\n%s", example, got.code, got.stderr)
	}
}

// Claim: whichever node is asked, status tells what the leader has to say about
// the members, once, and lists the members in one order.
func TestProcesses_StatusTellsTheLeadersNotes(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 2)
	f.leader(t)
	deadline := time.Now().Add(commandLimit)
	for i, n := range f.Nodes() {
		status := statusView{}
		for len(status.Notes) == 0 && time.Now().Before(deadline) { // the leader looks at the members once a second
			status = decode[statusView](t, f.want(t, codeOK, "", "cluster", "status", "-o", "json", "--endpoints", n.Client).stdout)
		}
		if len(status.Notes) != 1 || !strings.Contains(status.Notes[0], "the leader is new") {
			t.Errorf("node %d: notes %q", i, status.Notes)
		}
		if len(status.Members) != 2 || status.Members[0].ID > status.Members[1].ID {
			t.Errorf("node %d: members %+v", i, status.Members)
		}
	}
}
