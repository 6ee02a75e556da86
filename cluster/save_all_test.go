// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/hawsertest"
)

// Claim: agents saved together are saved at one revision or not at all, as
// differences where the client has the heads, and what was wrong with one is said
// of it; the handles go on from what was saved.
func TestSaveAll_AllOrNone(t *testing.T) {
	t.Parallel()
	cluster := hawsertest.StartCluster(t, 3)
	c := cluster.Client()
	large := bytes.Repeat([]byte("a line of a long state\n"), 20_000)
	a, b, fresh := c.Agent("a"), c.Agent("b"), c.Agent("fresh")
	own, err := c.Agent("owned").Claim(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		versions, err := c.SaveAll(t.Context(),
			client.SaveOf(a, fmt.Appendf(large, "%d", n), client.Label("n", fmt.Sprint(n))), client.SaveOf(b, fmt.Appendf(nil, "b %d", n)),
			client.SaveOf(own, fmt.Appendf(nil, "owned %d", n)))
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range versions {
			if v.Number != uint64(n+1) || v.Revision != versions[0].Revision {
				t.Errorf("save %d: version %d at %d, want %d at %d", i, v.Number, v.Revision, n+1, versions[0].Revision)
			}
		}
		if versions[2].Epoch != 1 || versions[0].Labels["n"] != fmt.Sprint(n) || n > 0 && versions[0].StoredSize > 1000 {
			t.Errorf("%+v", versions)
		}
	}
	if a.Head() != 3 || own.Agent().Head() != 3 {
		t.Errorf("the handles stand at %d and %d", a.Head(), own.Agent().Head())
	}
	cluster.KillLeader()
	other := c.Agent("b")
	if _, err := other.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Save(t.Context(), []byte("in between")); err != nil {
		t.Fatal(err)
	}
	_, err = c.SaveAll(t.Context(), client.SaveOf(a, []byte("a")), client.SaveOf(b, []byte("b")), client.SaveOf(fresh, []byte("f")))
	if conflict, ok := errors.AsType[*hawser.ConflictError](err); !ok || conflict.Agent != b.ID() || conflict.Head.Number != 4 {
		t.Errorf("conflict: %v", err)
	}
	_, err = c.SaveAll(t.Context(), client.SaveOf(a, []byte("a")), client.SaveOf(own.Agent(), []byte("b")))
	if fenced, ok := errors.AsType[*hawser.FencedError](err); !ok || fenced.Agent != own.Agent().ID() {
		t.Errorf("fenced: %v", err)
	}
	for name, left := range map[*client.Agent]uint64{a: 3, fresh: 0} {
		if v, err := head(t, name); v.Number != left || left == 0 && !errors.Is(err, hawser.ErrNotFound) {
			t.Errorf("%s: version %d, %v", name.ID(), v.Number, err)
		}
	}
	if _, err := b.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SaveAll(t.Context(), client.SaveOf(a, []byte("a")), client.SaveOf(b, []byte("b")), client.SaveOf(fresh, []byte("f"))); err != nil {
		t.Error(err)
	}
	if cp, err := c.Agent("fresh").Restore(t.Context()); err != nil || string(cp.State) != "f" {
		t.Errorf("%q, %v", cp.State, err)
	}
}

// Claim: what no node would take is refused, and repeats are told from others.
func TestSaveAll_BadInputAndRepeats(t *testing.T) {
	t.Parallel()
	c := hawsertest.Start(t)
	random := make([]byte, hawser.MaxSavesSize/2+1)
	if _, err := rand.Read(random); err != nil {
		t.Fatal(err)
	}
	most := make([]client.Saving, hawser.MaxSaves)
	for i := range most {
		most[i] = client.SaveOf(c.Agent(fmt.Sprintf("most/%d", i)), []byte("m"))
	}
	a := c.Agent("a")
	for name, test := range map[string]struct {
		saves []client.Saving
		want  error
	}{
		"none":       {nil, hawser.ErrInvalid},
		"nothing":    {make([]client.Saving, 1), hawser.ErrInvalid},
		"too many":   {append(slices.Clip(most), client.SaveOf(a, nil)), hawser.ErrInvalid},
		"twice":      {[]client.Saving{client.SaveOf(a, nil), client.SaveOf(c.Agent("a"), nil)}, hawser.ErrInvalid},
		"bad name":   {[]client.Saving{client.SaveOf(c.Agent("a//b"), nil)}, hawser.ErrInvalid},
		"too large":  {[]client.Saving{client.SaveOf(a, random), client.SaveOf(c.Agent("b"), random)}, hawser.ErrTooLarge},
		"very large": {[]client.Saving{client.SaveOf(a, make([]byte, 5<<20))}, hawser.ErrTooLarge},
		"conflict":   {[]client.Saving{client.SaveOf(a, nil, client.ExpectVersion(7))}, hawser.ErrConflict},
	} {
		if v, err := c.SaveAll(t.Context(), test.saves...); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
	if _, err := c.SaveAll(t.Context(), most...); err != nil {
		t.Fatal(err)
	}
	id := func(name string) hawser.RequestID {
		return hawser.RequestID{
			Nonce: hawser.NewNonce(), Kind: hawser.RequestSave, Agent: hawser.AgentID{Namespace: "default", Name: name}, Expect: new(uint64),
		}
	}
	x, y := id("x"), id("y")
	both := func(state string) ([]hawser.Version, error) {
		return c.SaveAll(t.Context(),
			client.SaveOf(c.Agent("x"), []byte("x"), client.WithRequestID(x)), client.SaveOf(c.Agent("y"), []byte(state), client.WithRequestID(y)))
	}
	first, err := both("y")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Agent("x").Save(t.Context(), []byte("later"), client.Overwrite()); err != nil {
		t.Fatal(err)
	}
	again, err := both("y")
	if err != nil || again[0].Number != 1 || again[1].Revision != first[0].Revision {
		t.Errorf("%+v, %v", again, err)
	}
	if _, err := both("z"); !errors.Is(err, hawser.ErrRequestMismatch) {
		t.Errorf("with another content: %v", err)
	}
	if out, err := c.Outcome(t.Context(), y); err != nil || out.State != client.OutcomeDone || out.Number != 1 {
		t.Errorf("%+v, %v", out, err)
	}
	if _, err := c.SaveAll(t.Context(), client.SaveOf(c.Agent("x"), nil, client.WithRequestID(x)), client.SaveOf(a, nil)); !errors.Is(err, hawser.ErrInvalid) {
		t.Errorf("with one id of two: %v", err)
	}
}

// Claim: handles that have seen nothing save many agents unconditionally, however
// many versions those have. Each of them needs a request id of its own for that.
func TestSaveAll_OverwritesWhatItHasNotSeen(t *testing.T) {
	c := hawsertest.Start(t)
	saves := func() (saves []client.Saving) {
		for i := range 8 {
			saves = append(saves, client.SaveOf(c.Agent(fmt.Sprintf("a%d", i)), []byte("state"), client.Overwrite()))
		}
		return saves
	}
	known := saves()
	for range hawser.IdempotencyWindow + 1 {
		if _, err := c.SaveAll(t.Context(), known...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.SaveAll(t.Context(), saves()...); err != nil {
		t.Error(err)
	}
}
