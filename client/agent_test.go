// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/internal/fakecluster"
)

// A state comes back byte for byte, with everything that was recorded with it.
func TestAgent_RestoreReturnsWhatWasSaved(t *testing.T) {
	_, c := start(t, 3)
	for _, state := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte("hawser "), 100_000)} {
		a := c.Agent(fmt.Sprintf("agent-%d", len(state)))
		v, err := a.Save(t.Context(), state, client.Label("step", "1"), client.Labels(map[string]string{"k": "v"}),
			client.ContentType("text/plain"), client.Schema("s1"))
		wantNumber(t, v, err, 1)
		cp, err := c.Agent(a.ID().Name).Restore(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(cp.State, state) {
			t.Errorf("restored %d bytes, saved %d", len(cp.State), len(state))
		}
		got := cp.Version
		if got.Instance != "test" || got.Labels["step"] != "1" || got.Labels["k"] != "v" ||
			got.ContentType != "text/plain" || got.Schema != "s1" || got.Size != int64(len(state)) || got.SHA256 != v.SHA256 {
			t.Errorf("restored version %+v, saved %+v", got, v)
		}
	}
}

// A save is conditional on what the same handle last saw; a conflict does not
// move the handle; options say otherwise.
func TestAgent_SaveIsConditionalOnTheHandlesHead(t *testing.T) {
	ctx := t.Context()
	_, c := start(t, 3)
	a, b := c.Agent("a"), c.Agent("a")
	v, err := a.Save(ctx, []byte("1"))
	wantNumber(t, v, err, 1)
	v, err = a.Save(ctx, []byte("2"))
	wantNumber(t, v, err, 2)

	for range 2 { // the second time shows that the handle did not adopt the head
		_, err = b.Save(ctx, []byte("b"))
		conflict, ok := errors.AsType[*hawser.ConflictError](err)
		if !ok || conflict.Head.Number != 2 || conflict.Expected == nil || *conflict.Expected != 0 {
			t.Fatalf("a handle that has seen nothing: %v", err)
		}
	}
	if _, err = b.Restore(ctx, client.AtVersion(2)); err != nil || b.Head() != 0 {
		t.Fatalf("restoring a version by number: %v, head %d", err, b.Head())
	}
	if _, err = b.Restore(ctx); err != nil || b.Head() != 2 {
		t.Fatalf("restoring the head: %v, head %d", err, b.Head())
	}
	v, err = b.Save(ctx, []byte("3"))
	wantNumber(t, v, err, 3)
	_, err = a.Save(ctx, []byte("lost"))
	wantError(t, err, hawser.ErrConflict)
	_, err = a.Save(ctx, []byte("lost"), client.ExpectVersion(2))
	wantError(t, err, hawser.ErrConflict)
	v, err = a.Save(ctx, []byte("4"), client.ExpectVersion(3))
	wantNumber(t, v, err, 4)
	v, err = b.Save(ctx, []byte("5"), client.Overwrite())
	wantNumber(t, v, err, 5)
	v, err = b.Save(ctx, []byte("6"))
	wantNumber(t, v, err, 6)
	_, err = b.Save(ctx, []byte("7"), client.ExpectVersion(0))
	wantError(t, err, hawser.ErrConflict)
}

// A deleted agent is gone for everybody, its handle may create it anew, and
// the numbers go on.
func TestAgent_Delete(t *testing.T) {
	ctx := t.Context()
	_, c := start(t, 3)
	a, old := c.Agent("a"), c.Agent("a")
	wantError(t, a.Delete(ctx), hawser.ErrNotFound)
	v, err := a.Save(ctx, []byte("1"))
	wantNumber(t, v, err, 1)
	if _, err := old.Restore(ctx); err != nil {
		t.Fatal(err)
	}
	v, err = a.Save(ctx, []byte("2"))
	wantNumber(t, v, err, 2)
	wantError(t, old.Delete(ctx), hawser.ErrConflict)
	wantError(t, old.Delete(ctx, client.ExpectVersion(1)), hawser.ErrConflict)
	if err := a.Delete(ctx); err != nil {
		t.Fatal(err)
	}
	_, err = a.Restore(ctx)
	wantError(t, err, hawser.ErrNotFound)
	_, err = a.Restore(ctx, client.AtVersion(1))
	wantError(t, err, hawser.ErrVersionGone)
	wantError(t, a.Delete(ctx), hawser.ErrNotFound)
	wantError(t, c.Agent("a").Delete(ctx, client.Overwrite()), hawser.ErrNotFound)
	_, err = old.Save(ctx, []byte("x"))
	wantError(t, err, hawser.ErrConflict)
	v, err = a.Save(ctx, []byte("4"))
	wantNumber(t, v, err, 4)
	if err := c.Agent("a").Delete(ctx); err != nil {
		t.Fatalf("a handle that has seen nothing deletes what it finds: %v", err)
	}
}

// Whatever happened to the chain since the handle last looked, it meets a
// conflict or goes on; the idempotency window is the client's business.
func TestAgent_FarBehind(t *testing.T) {
	ctx := t.Context()
	_, c := start(t, 1)
	writer, behind := c.Agent("a"), c.Agent("a")
	v, err := writer.Save(ctx, []byte("0"))
	wantNumber(t, v, err, 1)
	if _, err := behind.Restore(ctx); err != nil {
		t.Fatal(err)
	}
	for i := range 2 * hawser.IdempotencyWindow {
		v, err = writer.Save(ctx, fmt.Append(nil, i))
		wantNumber(t, v, err, uint64(i+2))
	}
	_, err = behind.Save(ctx, []byte("x"))
	wantError(t, err, hawser.ErrConflict)
	wantError(t, behind.Delete(ctx), hawser.ErrConflict)
	if err := c.Agent("a").Delete(ctx, client.ExpectVersion(1)); !errors.Is(err, hawser.ErrConflict) {
		t.Fatalf("delete of version 1: %v", err)
	}
	v, err = c.Agent("a").Save(ctx, []byte("y"), client.Overwrite())
	wantNumber(t, v, err, 2*hawser.IdempotencyWindow+2)
	if err := c.Agent("a").Delete(ctx); err != nil {
		t.Fatal(err)
	}
	v, err = c.Agent("a").Save(ctx, []byte("anew"))
	wantNumber(t, v, err, 2*hawser.IdempotencyWindow+4)
}

// What no node would take is refused without a round trip.
func TestAgent_RefusesBeforeSending(t *testing.T) {
	ctx := t.Context()
	cluster, c := start(t, 1)
	var calls atomic.Int64
	cluster.SetFault(func(_ context.Context, call fakecluster.Call) (any, error) {
		calls.Add(1)
		return call.Execute()
	})
	other := hawser.RequestID{Kind: hawser.RequestSave, Agent: hawser.AgentID{Namespace: "default", Name: "other"}}
	tooMany := map[string]string{}
	for i := range hawser.MaxLabels + 1 {
		tooMany[fmt.Sprint(i)] = ""
	}
	a := c.Agent("a")
	for name, tc := range map[string]struct {
		state []byte
		opt   client.SaveOption
		want  error
	}{
		"oversize":      {make([]byte, hawser.MaxStateSize+1), client.Overwrite(), hawser.ErrTooLarge},
		"labels":        {nil, client.Labels(tooMany), hawser.ErrInvalid},
		"label key":     {nil, client.Label("", "v"), hawser.ErrInvalid},
		"label value":   {nil, client.Label("k", strings.Repeat("v", hawser.MaxLabelValue+1)), hawser.ErrInvalid},
		"content type":  {nil, client.ContentType(strings.Repeat("c", hawser.MaxContentType+1)), hawser.ErrInvalid},
		"schema":        {nil, client.Schema(strings.Repeat("s", hawser.MaxSchema+1)), hawser.ErrInvalid},
		"foreign id":    {nil, client.WithRequestID(other), hawser.ErrInvalid},
		"id of a blank": {nil, client.WithRequestID(hawser.RequestID{}), hawser.ErrInvalid},
	} {
		if _, err := a.Save(ctx, tc.state, tc.opt); !errors.Is(err, tc.want) {
			t.Errorf("%s: error %v, want %v", name, err, tc.want)
		}
	}
	wantError(t, a.Delete(ctx, client.WithRequestID(other)), hawser.ErrInvalid)
	_, err := c.Outcome(ctx, hawser.RequestID{})
	wantError(t, err, hawser.ErrInvalid)
	_, err = client.SaveJSON(ctx, a, func() {})
	wantError(t, err, hawser.ErrInvalid)
	for _, name := range []string{"", "/a", "a//b", "..", "a\x00", strings.Repeat("a", 513), "\xff"} {
		bad := c.Agent(name)
		_, err := bad.Save(ctx, nil)
		wantError(t, err, hawser.ErrInvalid)
		_, err = bad.Restore(ctx)
		wantError(t, err, hawser.ErrInvalid)
		wantError(t, bad.Delete(ctx), hawser.ErrInvalid)
		_, err = bad.Show(ctx)
		wantError(t, err, hawser.ErrInvalid)
		_, err = bad.ShowVersion(ctx, 1)
		wantError(t, err, hawser.ErrInvalid)
		for _, err := range bad.Versions(ctx) {
			wantError(t, err, hawser.ErrInvalid)
		}
	}
	for _, err := range c.Agents(ctx, "a//b") {
		wantError(t, err, hawser.ErrInvalid)
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("%d calls were sent", n)
	}
	if v, err := a.Save(ctx, make([]byte, hawser.MaxStateSize)); err != nil {
		t.Errorf("the largest state: %v, %v", v, err)
	}
}

// Concurrent saves through one handle take turns, so all of them succeed and
// each follows another.
func TestAgent_ConcurrentSavesOfOneHandleTakeTurns(t *testing.T) {
	_, c := start(t, 3)
	a := c.Agent("a")
	var wg sync.WaitGroup
	var seen sync.Map
	const saves = 50
	for i := range saves {
		wg.Go(func() {
			v, err := a.Save(t.Context(), fmt.Append(nil, i))
			if err != nil {
				t.Error(err)
				return
			}
			if _, twice := seen.LoadOrStore(v.Number, i); twice || v.Parent != v.Number-1 {
				t.Errorf("version %d after %d, twice: %v", v.Number, v.Parent, twice)
			}
		})
	}
	wg.Wait()
	if a.Head() != saves {
		t.Errorf("head %d, want %d", a.Head(), saves)
	}
}

// Of concurrent handles at one head exactly one wins.
func TestAgent_ConcurrentHandlesConflict(t *testing.T) {
	_, c := start(t, 3)
	var wins atomic.Int64
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			_, err := c.Agent("a").Save(t.Context(), fmt.Append(nil, i))
			switch {
			case err == nil:
				wins.Add(1)
			case !errors.Is(err, hawser.ErrConflict):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if wins.Load() != 1 {
		t.Errorf("%d handles created the agent", wins.Load())
	}
}

// A call that waits for its turn gives up with its context, and was not sent.
func TestAgent_WaitingForTheTurnEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, c := start(t, 1)
		cluster.SetFault(fakecluster.Always("Save", fakecluster.Hang))
		a := c.Agent("a")
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := a.Save(ctx, nil)
			wantUnknown(t, err)
		})
		synctest.Wait()
		waiting, stop := context.WithCancel(t.Context())
		stop()
		_, err := a.Save(waiting, nil)
		wantError(t, err, hawser.ErrCanceled)
		wantError(t, err, context.Canceled)
		if errors.Is(err, hawser.ErrOutcomeUnknown) {
			t.Errorf("a save that was never sent is unknown: %v", err)
		}
		cancel()
		wg.Wait()
	})
}

// The caller may reuse its buffer as soon as Save returns.
func TestAgent_SaveRetainsNothing(t *testing.T) {
	_, c := start(t, 1)
	a := c.Agent("a")
	state := []byte("before")
	v, err := a.Save(t.Context(), state)
	wantNumber(t, v, err, 1)
	copy(state, "behind")
	cp, err := a.Restore(t.Context())
	if err != nil || string(cp.State) != "before" {
		t.Errorf("restored %q, %v", cp.State, err)
	}
}

func TestJSON_RoundTrip(t *testing.T) {
	type plan struct{ Step int }
	_, c := start(t, 1)
	a := c.Agent("a")
	v, err := client.SaveJSON(t.Context(), a, plan{Step: 3})
	wantNumber(t, v, err, 1)
	if v.ContentType != "application/json" {
		t.Errorf("content type %q", v.ContentType)
	}
	got, err := client.RestoreJSON[plan](t.Context(), a)
	if err != nil || got.Step != 3 {
		t.Errorf("restored %+v, %v", got, err)
	}
	if _, err := a.Save(t.Context(), []byte("{")); err != nil {
		t.Fatal(err)
	}
	_, err = client.RestoreJSON[plan](t.Context(), a)
	wantError(t, err, hawser.ErrInvalid)
}
