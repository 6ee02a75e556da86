// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"strings"
	"testing"
	"time"

	"github.com/hawserdb/hawser/jepsen/history"
)

// at is an operation from one second to another.
func at(call, end int, op history.Op) history.Op {
	op.Agent, op.Call, op.Return = "a", time.Duration(call)*time.Second, time.Duration(end)*time.Second
	if op.Outcome == "" {
		op.Outcome = history.OK
	}
	return op
}

func save(value string, version uint64) history.Op {
	return history.Op{Kind: history.Save, Value: value, Version: version, Revision: version}
}

func restore(value string, version uint64) history.Op {
	return history.Op{Kind: history.Restore, Value: value, Version: version, Revision: version}
}

func expecting(expect uint64, op history.Op) history.Op {
	op.Expect = &expect
	return op
}

func unknown(op history.Op) history.Op {
	op.Outcome, op.Version, op.Revision = history.Unknown, 0, 0
	return op
}

func refused(head uint64, op history.Op) history.Op {
	op.Outcome, op.Conflict, op.Version = history.Failed, true, head
	return op
}

// Claim: histories that the promise allows pass, others do not.
func TestLinearizable(t *testing.T) {
	for name, tt := range map[string]struct {
		ops  []history.Op
		good bool
	}{
		"one after the other":           {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, save("y", 2)), at(4, 5, restore("y", 2))}, true},
		"nothing there":                 {[]history.Op{at(0, 1, restore("", 0)), at(2, 3, save("x", 1))}, true},
		"old read":                      {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, save("y", 2)), at(4, 5, restore("x", 1))}, false},
		"old read, allowed to be":       {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, save("y", 2)), at(4, 5, func() history.Op { o := restore("x", 1); o.Stale = true; return o }())}, true},
		"overlapping":                   {[]history.Op{at(0, 9, save("x", 2)), at(1, 8, save("y", 1)), at(2, 3, restore("y", 1)), at(4, 5, restore("x", 2))}, true},
		"overlapping, read backwards":   {[]history.Op{at(0, 9, save("x", 2)), at(1, 8, save("y", 1)), at(2, 3, restore("x", 2)), at(4, 5, restore("y", 1))}, false},
		"lost":                          {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, restore("", 0))}, false},
		"number given twice":            {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, save("y", 1))}, false},
		"gap":                           {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, save("y", 3))}, false},
		"condition holds":               {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, expecting(1, save("y", 2)))}, true},
		"condition ignored":             {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, save("y", 2)), at(4, 5, expecting(1, save("z", 3)))}, false},
		"rightly refused":               {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, refused(1, expecting(0, save("y", 0)))), at(4, 5, restore("x", 1))}, true},
		"wrongly refused":               {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, refused(1, expecting(1, save("y", 0))))}, false},
		"refused and done":              {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, refused(1, expecting(0, save("y", 0)))), at(4, 5, restore("y", 2))}, false},
		"unknown and done":              {[]history.Op{at(0, 1, unknown(save("x", 0))), at(2, 3, restore("x", 1))}, true},
		"unknown and never done":        {[]history.Op{at(0, 1, unknown(save("x", 0))), at(2, 3, restore("", 0)), at(4, 5, save("y", 1))}, true},
		"unknown and done much later":   {[]history.Op{at(0, 1, unknown(save("x", 0))), at(2, 3, restore("", 0)), at(4, 5, restore("x", 1))}, true},
		"unknown and undone":            {[]history.Op{at(0, 1, unknown(save("x", 0))), at(2, 3, restore("x", 1)), at(4, 5, restore("", 0))}, false},
		"unknown, done before its call": {[]history.Op{at(0, 1, restore("x", 1)), at(2, 3, unknown(save("x", 0)))}, false},
	} {
		if v := Linearizable(tt.ops, time.Minute); v.Good() != tt.good || v.Checked == 0 {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestRevisions(t *testing.T) {
	stale := restore("x", 1)
	stale.Stale = true
	for name, tt := range map[string]struct {
		ops  []history.Op
		good bool
	}{
		"in order":                 {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, save("y", 2)), at(4, 5, restore("y", 2))}, true},
		"overlapping writes":       {[]history.Op{at(0, 3, save("x", 2)), at(1, 2, save("y", 1))}, true},
		"write out of order":       {[]history.Op{at(0, 1, save("x", 2)), at(2, 3, save("y", 1))}, false},
		"one revision, two writes": {[]history.Op{at(0, 1, save("x", 1)), at(2, 3, save("y", 1))}, false},
		"read behind a write":      {[]history.Op{at(0, 1, save("x", 2)), at(2, 3, restore("w", 1))}, false},
		"read behind a read":       {[]history.Op{at(0, 1, restore("x", 2)), at(2, 3, restore("w", 1))}, false},
		"stale read":               {[]history.Op{at(0, 1, save("x", 2)), at(2, 3, stale)}, true},
	} {
		if v := Revisions(tt.ops); v.Good() != tt.good || v.Checked == 0 {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestVersions(t *testing.T) {
	ops := []history.Op{at(0, 1, save("x", 1)), at(2, 3, unknown(save("y", 0))), at(4, 5, refused(2, expecting(0, save("z", 0)))), at(6, 7, save("w", 3))}
	for name, tt := range map[string]struct {
		chain Chain
		want  string
	}{
		"as told":         {Chain{"x", "y", "w"}, ""},
		"lost":            {Chain{"x", "y"}, "has 2 versions"},
		"another content": {Chain{"y", "x", "w"}, `has "y" as version 1`},
		"doubled":         {Chain{"x", "x", "w"}, "twice"},
		"made up":         {Chain{"x", "v", "w"}, "nobody saved"},
		"refused":         {Chain{"x", "z", "w"}, "refused"},
		"a hole":          {Chain{"x", "", "w"}, "nobody saved"},
	} {
		v := Versions(ops, Final{"n1": {"a": tt.chain}})
		if text := strings.Join(v.Violations, "\n"); v.Checked == 0 || v.Good() != (tt.want == "") || !strings.Contains(text, tt.want) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestReplicas(t *testing.T) {
	same := map[string]Chain{"a": {"x", "y"}}
	for name, tt := range map[string]struct {
		final Final
		good  bool
	}{
		"equal":           {Final{"n1": same, "n2": same, "n3": same}, true},
		"one node":        {Final{"n1": same}, false},
		"another version": {Final{"n1": same, "n2": {"a": {"x", "z"}}}, false},
		"another length":  {Final{"n1": same, "n2": {"a": {"x"}}}, false},
		"one more agent":  {Final{"n1": same, "n2": {"a": {"x", "y"}, "b": {"z"}}}, false},
	} {
		if v := Replicas(tt.final); v.Good() != tt.good {
			t.Errorf("%s: %+v", name, v)
		}
	}
}
