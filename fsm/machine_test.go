// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/halt"
	"github.com/hawserdb/hawser/internal/record"
)

// Waiters wake when their index is applied and not before, in any order of
// waiting; a context ends a wait; Close ends all.
func TestMachine_Wait(t *testing.T) {
	m, err := fsm.Open("state", smallEngine(vfs.NewMem()))
	if err != nil {
		t.Fatal(err)
	}
	applied := func() uint64 { index, _ := m.Applied(); return index }
	const last = 200
	var wg sync.WaitGroup
	for i := range uint64(2000) {
		index := (i*7919)%last + 1
		wg.Go(func() {
			if err := m.Wait(t.Context(), index); err != nil || applied() < index {
				t.Errorf("wait for %d: %v at %d", index, err, applied())
			}
		})
	}
	cut, cancel := context.WithCancelCause(t.Context())
	because := errors.New("given up")
	gaveUp, closed := make(chan error), make(chan error)
	go func() { gaveUp <- m.Wait(cut, last+1) }()
	go func() { closed <- m.Wait(t.Context(), last+1) }()
	for i := range uint64(last) {
		if _, err := m.Apply([]fsm.Entry{command(i+1, 1, newSave(agentID("a"), "x", fmt.Sprint(i)))}); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	cancel(because)
	if err := <-gaveUp; !errors.Is(err, because) {
		t.Errorf("given up: %v", err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-closed; !errors.Is(err, hawser.ErrUnavailable) {
		t.Errorf("closed: %v", err)
	}
	if err := m.Wait(t.Context(), last+1); !errors.Is(err, hawser.ErrUnavailable) {
		t.Errorf("after close: %v", err)
	}
	if err := m.Wait(t.Context(), 1); err != nil {
		t.Errorf("what was applied, after close: %v", err)
	}
	if _, err := m.View(); !errors.Is(err, hawser.ErrUnavailable) {
		t.Errorf("view after close: %v", err)
	}
	if err := m.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

// A deadline ends a wait at its time, on a machine that stands still.
func TestMachine_WaitDeadline(t *testing.T) {
	m := open(t, "state", smallEngine(vfs.NewMem()))
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := m.Wait(ctx, 1); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}

// Readers of every kind beside Apply and Swap see whole states only: the
// number of versions, the head and the revision of a view belong together.
func TestMachine_ReadersBesideApply(t *testing.T) {
	fs := vfs.NewMem()
	m := open(t, "state", smallEngine(fs))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	read := func() error {
		v, err := m.View()
		if err != nil {
			return err
		}
		defer v.Close()
		revision := uint64(v.Info().Revision)
		a, err := v.Agent(agentID("a"))
		if revision == 0 && errors.Is(err, hawser.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		versions, err := v.Versions(a.ID, 0, 3)
		if err != nil || a.Head != revision || a.Versions != revision || versions[0].Number != revision || a.Version.Number != revision {
			return fmt.Errorf("revision %d: %+v, %w", revision, a, err)
		}
		if _, state, err := v.Materialise(a.ID, 0); err != nil || string(state) != fmt.Sprint(revision) {
			return fmt.Errorf("revision %d: content %q, %w", revision, state, err)
		}
		_, err = m.Durable()
		return err
	}
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := read(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := uint64(1); i <= 150; i++ {
		s := newSave(agentID("a"), fmt.Sprint(i), fmt.Sprint(i))
		if _, err := m.Apply([]fsm.Entry{command(i, 1, s)}); err != nil {
			t.Fatal(err)
		}
		if i%50 == 0 {
			meta, err := m.Checkpoint("checkpoint")
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Swap("checkpoint", meta); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(stop)
	wg.Wait()
}

// An entry that this binary does not understand stops the machine, and no
// part of the batch that it came in is applied.
func TestMachine_StopsAtWhatItDoesNotKnow(t *testing.T) {
	good := command(1, 1, newSave(agentID("a"), "x", "1"))
	later := command(2, 1, &fsm.RaiseLevel{Level: 1})
	later.Data[27]++ // the level of the command
	unknown := command(2, 1, &fsm.RaiseLevel{Level: 1})
	unknown.Data[26] = 99 // its kind
	format := command(2, 1)
	format.Data[0] = 99
	earlier := command(2, 1)
	earlier.Data[0] = 1
	cut := command(2, 1, newSave(agentID("a"), "x", "1"))
	cut.Data = cut.Data[:len(cut.Data)-1]
	for name, tc := range map[string]struct {
		entry fsm.Entry
		want  halt.Reason
	}{
		"later level": {later, halt.Level}, "unknown command": {unknown, halt.Level}, "unknown format": {format, halt.Level}, "earlier build": {earlier, halt.Level},
		"unknown entry": {fsm.Entry{Index: 2, Term: 1, Kind: 9}, halt.Level}, "cut": {cut, halt.Entry}, "empty": {fsm.Entry{Index: 2, Kind: fsm.EntryCommand}, halt.Entry},
	} {
		m := open(t, "state", smallEngine(vfs.NewMem()))
		_, err := m.Apply([]fsm.Entry{good, tc.entry})
		if reasonOf(err) != tc.want || !strings.Contains(err.Error(), "log entry 2 of term") {
			t.Errorf("%s: %v", name, err)
		}
		if index, _ := m.Applied(); index != 0 || m.Info().Revision != 0 {
			t.Errorf("%s: applied %d", name, index)
		}
		if _, again := m.Apply([]fsm.Entry{good}); !errors.Is(again, err) {
			t.Errorf("%s: then %v", name, again)
		}
		if err := m.Wait(t.Context(), 1); !errors.Is(err, again(m)) {
			t.Errorf("%s: wait: %v", name, err)
		}
	}
}

func again(m *fsm.Machine) error {
	_, err := m.Meta()
	return err
}

// What no node proposes is refused the same way everywhere, and stops nobody.
func TestMachine_RefusesInvalidCommands(t *testing.T) {
	m := open(t, "state", smallEngine(vfs.NewMem()))
	bad := func(change func(*fsm.Save)) fsm.Command {
		s := newSave(agentID("a"), "x", "1")
		change(s)
		return s
	}
	for i, c := range []fsm.Command{
		bad(func(s *fsm.Save) { s.Agent.Name = "" }),
		bad(func(s *fsm.Save) { s.Agent.Name = "a\x00b" }),
		bad(func(s *fsm.Save) { s.Agent.Namespace = strings.Repeat("x", 5000) }),
		bad(func(s *fsm.Save) { s.Content.Kind = record.Delta }),
		bad(func(s *fsm.Save) { s.Content.Encoding = 9 }),
		&fsm.Delete{Agent: hawser.AgentID{Namespace: "n", Name: "\n"}},
		&fsm.Reclaim{},
	} {
		out, err := m.Apply([]fsm.Entry{command(uint64(i+1), 1, c)})
		if err != nil {
			t.Fatal(err)
		}
		if err := out[0].Results[0].Err; !errors.Is(err, hawser.ErrInvalid) {
			t.Errorf("command %d: %v", i, err)
		}
	}
	if m.Info().Revision != 0 || m.Info().Agents != 0 {
		t.Errorf("something changed: %+v", m.Info())
	}
}

// Deleting an agent with many versions frees all that it occupied once it is
// reclaimed: only the counters and the newest 64 records stay, and no event is
// left once they are trimmed.
func TestMachine_ReclaimFreesEverything(t *testing.T) {
	m := open(t, "state", smallEngine(vfs.NewMem()))
	index := uint64(0)
	apply := func(c fsm.Command) fsm.Result {
		t.Helper()
		index++
		out, err := m.Apply([]fsm.Entry{command(index, 1, c)})
		if err != nil || out[0].Results[0].Err != nil {
			t.Fatal(err, out)
		}
		return out[0].Results[0]
	}
	const versions = 150
	for i := range uint64(versions) {
		s := newSave(agentID("a"), fmt.Sprint("state ", i), fmt.Sprint(i))
		s.Request.Seen = i
		apply(s)
	}
	apply(&fsm.Delete{Agent: agentID("a"), Request: fsm.Request{Nonce: nonce("d"), Seen: versions}})
	rounds := 0
	for {
		ids, err := m.Garbage(10)
		if err != nil {
			t.Fatal(err)
		}
		if len(ids) == 0 {
			break
		}
		rounds++
		apply(&fsm.Reclaim{Agent: ids[0], Limit: 50})
	}
	apply(&fsm.TrimEvents{Before: m.Info().Revision + 1})
	if rounds != 4 {
		t.Errorf("%d rounds of 50 for %d numbers", rounds, versions+1)
	}
	if got, want := fsm.CountKeys(t, m), (map[byte]int{'m': 2, 't': 1, 'c': 64}); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("keys by family: %v, want %v", got, want)
	}
}

// The machine knows neither raft nor grpc nor the network, and its code uses
// no randomness; see the depguard rules of the linter for the clock.
func TestDependencies(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.Lines(string(out)) {
		for _, bad := range []string{"github.com/hashicorp/", "google.golang.org/grpc", "hawserdb/hawser/cluster", "hawserdb/hawser/client", "hawserdb/hawser/api"} {
			if strings.Contains(dep, bad) {
				t.Errorf("fsm depends on %s", dep)
			}
		}
	}
	out, err = exec.CommandContext(t.Context(), "go", "list", "-f", `{{join .Imports "\n"}}`, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for imported := range strings.Lines(string(out)) {
		switch strings.TrimSpace(imported) {
		case "math/rand", "math/rand/v2", "crypto/rand", "net", "os", "github.com/cockroachdb/pebble/v2":
			t.Errorf("fsm imports %s", imported)
		}
	}
}
