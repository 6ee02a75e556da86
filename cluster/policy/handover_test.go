// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strings"
	"testing"
	"time"
)

func TestHandOver(t *testing.T) {
	const slow = 2 * time.Second
	well := func(id string, last uint64) Successor {
		return Successor{ID: id, LastIndex: last, Append: time.Millisecond, Contact: 300 * time.Millisecond}
	}
	bad := func(id string, change func(*Successor)) Successor {
		s := well(id, 9)
		change(&s)
		return s
	}
	slowDisk := bad("c", func(s *Successor) { s.Append = slow })
	silent := bad("c", func(s *Successor) { s.Contact = 20 * time.Second })
	gossiped := bad("c", func(s *Successor) { s.Contact, s.Alive = 20*time.Second, true })
	for _, c := range []struct {
		name       string
		in         Tenure
		to, reason string
	}{
		{"all is well", Tenure{Leading: time.Hour, Voters: 3, Others: []Successor{well("b", 9), well("c", 9)}}, "", ""},
		{"a slow disk", Tenure{Leading: time.Hour, Waiting: slow, Append: slow, Voters: 3, Others: []Successor{well("b", 8), well("c", 9)}}, "c", "2s for an entry"},
		{"a slow disk, nothing waits", Tenure{Leading: time.Hour, Append: slow, Voters: 3, Others: []Successor{well("b", 8), well("c", 9)}}, "", ""},
		{"a slow network", Tenure{Leading: time.Hour, Waiting: slow, Append: time.Millisecond, Voters: 3, Others: []Successor{well("b", 9), well("c", 8)}}, "b", "network"},
		{"a disk that stalls for a second", Tenure{Leading: time.Hour, Waiting: time.Second, Append: time.Second, Voters: 3, Others: []Successor{well("b", 9), well("c", 9)}}, "", ""},
		{"it has only begun", Tenure{Leading: time.Second, Waiting: slow, Append: slow, Voters: 3, Others: []Successor{well("b", 9), well("c", 9)}}, "", ""},
		{"one other has a slow disk too", Tenure{Leading: time.Hour, Waiting: slow, Append: slow, Voters: 3, Others: []Successor{well("b", 9), slowDisk}}, "", ""},
		{"one other is silent", Tenure{Leading: time.Hour, Waiting: slow, Append: slow, Voters: 3, Others: []Successor{well("b", 9), silent}}, "", ""},
		{"one other is known by gossip only", Tenure{Leading: time.Hour, Waiting: slow, Voters: 3, Others: []Successor{well("b", 10), gossiped}}, "b", "network"},
		{"three of five are well", Tenure{Leading: time.Hour, Waiting: slow, Append: slow, Voters: 5, Others: []Successor{well("a", 7), well("b", 9), slowDisk, well("d", 8)}}, "b", "entry"},
		{"two voters", Tenure{Leading: time.Hour, Waiting: slow, Append: slow, Voters: 2, Others: []Successor{well("b", 9)}}, "", ""},
		{"alone", Tenure{Leading: time.Hour, Waiting: slow, Append: slow, Voters: 1}, "", ""},
	} {
		to, reason := HandOver(c.in)
		if to != c.to || !strings.Contains(reason, c.reason) || (reason == "") != (c.reason == "") {
			t.Errorf("%s: to %q because %q; want %q because %q", c.name, to, reason, c.to, c.reason)
		}
	}
}
