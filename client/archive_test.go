// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/internal/fakecluster"
)

var errCallee = errors.New("the callee's own")

// An export hands out every item once, in order, and is complete or an error.
func TestClient_Export(t *testing.T) {
	ctx := t.Context()
	cluster, c := start(t, 3)
	for _, name := range []string{"a", "b", "c"} {
		save(t, c.Agent(name))
	}
	var begun client.ExportStart
	var items []string
	export := func(ctx context.Context, fail bool) error {
		items = nil
		return c.Export(ctx, "", "",
			func(s client.ExportStart) error { begun = s; return nil },
			func(batch [][]byte) error {
				for _, item := range batch {
					items = append(items, string(item))
				}
				if fail {
					return errCallee
				}
				return nil
			})
	}
	want := []string{"agent default/a", "head 1", "agent default/b", "head 1", "agent default/c", "head 1"}
	cluster.SetFault(fakecluster.Script("Export", fakecluster.Break, fakecluster.Refuse(hawser.CodeUnavailable)))
	if err := export(ctx, false); err != nil || !slices.Equal(items, want) {
		t.Errorf("%q: %v", items, err)
	}
	if begun.Agents != 3 || begun.Revision != 3 || begun.Generation == 0 || begun.Time.IsZero() || len(begun.Cluster) != 16 {
		t.Errorf("began with %+v", begun)
	}
	if err := export(ctx, true); err != errCallee || len(items) != 2 { //nolint:errorlint // it is returned as it is
		t.Errorf("%q: %v", items, err)
	}
	for n := 1; n <= 3; n++ {
		cluster.SetFault(fakecluster.Always("Export", fakecluster.Cut(n)))
		wantError(t, export(ctx, false), hawser.ErrUnavailable)
	}
	cluster.SetFault(fakecluster.Always("Export", func(_ context.Context, call fakecluster.Call) (any, error) {
		resp, err := call.Execute()
		return resp.(fakecluster.Messages)[:2], err
	}))
	wantError(t, export(ctx, false), hawser.ErrUnavailable)
	err := c.Export(ctx, "", "", func(client.ExportStart) error { return errCallee }, nil)
	if err != errCallee { //nolint:errorlint // it is returned as it is
		t.Error(err)
	}
}

func itemsOf(n int, last error) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for i := range n {
			if !yield(fmt.Appendf(nil, "item %d", i), nil) {
				return
			}
		}
		if last != nil {
			yield(nil, last)
		}
	}
}

// An import sends every item once, in order; it is repeated only while nothing
// was taken.
func TestClient_Import(t *testing.T) {
	ctx := t.Context()
	cluster, c := start(t, 3)
	begin := client.ImportStart{Archive: hawser.Hash{1}, Generation: 2, Revision: 3, Agents: 4, Versions: 5}
	var got []string
	var first *hawserv1.ImportStart
	cluster.SetFault(fakecluster.Always("Import", func(_ context.Context, call fakecluster.Call) (any, error) {
		got, first = nil, call.Request.(*hawserv1.ImportRequest).GetStart()
		for {
			m, err := call.Receive()
			if err != nil {
				return nil, err
			}
			for _, item := range m.(*hawserv1.ImportRequest).GetItems() {
				got = append(got, string(item))
			}
			if m.(*hawserv1.ImportRequest).GetEnd() != nil {
				return call.Execute()
			}
		}
	}))
	const many = 2500
	made, err := c.Import(ctx, begin, itemsOf(many, nil))
	if err != nil || made.Agents != 4 || made.Versions != many {
		t.Errorf("%+v: %v", made, err)
	}
	if len(got) != many || got[0] != "item 0" || got[many-1] != fmt.Sprint("item ", many-1) {
		t.Errorf("%d items arrived", len(got))
	}
	if first.GetArchive()[0] != 1 || first.GetGeneration() != 2 || first.GetRevision() != 3 {
		t.Errorf("began with %v", first)
	}
	for name, fault := range map[string]fakecluster.Fault{
		"refused at once": fakecluster.Refuse(hawser.CodeRefused), "refused midway": func(ctx context.Context, call fakecluster.Call) (any, error) {
			if _, err := call.Receive(); err != nil {
				return nil, err
			}
			return fakecluster.Refuse(hawser.CodeRefused)(ctx, call)
		},
	} {
		calls := 0
		cluster.SetFault(fakecluster.Always("Import", func(ctx context.Context, call fakecluster.Call) (any, error) {
			calls++
			return fault(ctx, call)
		}))
		if _, err := c.Import(ctx, begin, itemsOf(100_000, nil)); !errors.Is(err, hawser.ErrRefused) || calls != 1 {
			t.Errorf("%s: %d calls: %v", name, calls, err)
		}
	}
	for name, tt := range map[string]struct {
		fault fakecluster.Fault
		want  error
	}{
		"broken after the end":  {fakecluster.Break, hawser.ErrOutcomeUnknown},
		"unknown after the end": {fakecluster.Refuse(hawser.CodeOutcomeUnknown), hawser.ErrOutcomeUnknown},
		"not executed":          {fakecluster.Refuse(hawser.CodeUnavailable), hawser.ErrUnavailable},
	} {
		cluster.SetFault(fakecluster.Always("Import", func(ctx context.Context, call fakecluster.Call) (any, error) {
			for {
				if m, err := call.Receive(); err != nil || m.(*hawserv1.ImportRequest).GetEnd() != nil {
					return tt.fault(ctx, call)
				}
			}
		}))
		if _, err := c.Import(ctx, begin, itemsOf(3, nil)); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	cluster.SetFault(fakecluster.Always("Import", fakecluster.CutRequests(2)))
	_, err = c.Import(ctx, begin, itemsOf(100_000, nil))
	wantError(t, err, hawser.ErrUnavailable)
	if _, err = c.Import(ctx, begin, itemsOf(3, errCallee)); err != errCallee { //nolint:errorlint // it is returned as it is
		t.Error(err)
	}
}
