// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/hawserdb/hawser"
)

// Names are 1 to 48 bytes of a-z, 0-9 and '-', and ids a name with 8 hex digits.
func TestCheckNodeName(t *testing.T) {
	for name, ok := range map[string]bool{
		"n1": true, "a": true, "rack-7-node-12": true, strings.Repeat("x", 48): true, "n1-deadbeef": true,
		"": false, strings.Repeat("x", 49): false, "N1": false, "n_1": false, "n1.example": false, "-n": false, "n-": false, "a b": false,
		"n/1": false, "né": false, "n\x00": false, "a_b": false,
	} {
		err := CheckNodeName(name)
		if (err == nil) != ok || err != nil && !errors.Is(err, hawser.ErrInvalid) {
			t.Errorf("CheckNodeName(%q) = %v, want ok %v", name, err, ok)
		}
		id := newNodeID(name)
		if ok && (CheckNodeID(id) != nil || NodeName(id) != name) {
			t.Errorf("id %q of name %q is not recognised (name %q)", id, name, NodeName(id))
		}
	}
	for _, id := range []string{"", "n1", "n1-", "n1-1234567", "n1-123456789", "n1-DEADBEEF", "-deadbeef", "n1_deadbeef", "-n-deadbeef", "N-deadbeef"} {
		if CheckNodeID(id) == nil {
			t.Errorf("CheckNodeID(%q) = nil", id)
		}
	}
}

// One address has one spelling; what nobody can dial is refused.
func TestCanonicalAddress(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.1:7421": "127.0.0.1:7421", "Host-A.Example:07421": "host-a.example:7421", "[::1]:7421": "[::1]:7421",
		"[0:0:0::1]:7421": "[::1]:7421", "[::ffff:10.0.0.1]:1": "10.0.0.1:1", " a:1 ": "a:1",
		"": "", "a": "", ":7421": "", "0.0.0.0:7421": "", "[::]:7421": "", "a:0": "", "a:65536": "", "a:http": "", "a b:1": "", "a:-1": "", "http://a:1": "", "-a:1": "",
		strings.Repeat("a", 300) + ":1": "",
	} {
		got, err := CanonicalAddress(in)
		if got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, hawser.ErrInvalid) {
			t.Errorf("CanonicalAddress(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

// A start line holds the node's own address whether listed or not, and its
// length is the number of founders expected.
func TestNewStartLine(t *testing.T) {
	for _, tc := range []struct {
		expect int
		self   string
		peers  []string
		want   string // or the error
	}{
		{1, "a:1", nil, "a:1"},
		{3, "b:1", []string{"c:1", "a:1"}, "a:1,b:1,c:1"},
		{3, "b:1", []string{"c:1", "B:01", "a:1", "a:1"}, "a:1,b:1,c:1"},
		{3, "b:1", []string{"c:1"}, "is 3, but 2 different peer addresses are given, this node's own included: b:1,c:1"},
		{2, "b:1", []string{"c:1", "a:1"}, "is 2, but 3"},
		{0, "b:1", nil, "from 1 to 15"},
		{16, "b:1", nil, "from 1 to 15"},
		{2, "0.0.0.0:1", []string{"a:1"}, "stands for every address"},
		{2, "a:1", []string{"b"}, "is not host:port"},
	} {
		line, err := NewStartLine(tc.expect, tc.self, tc.peers)
		got := line.String()
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, tc.want) || err != nil && !errors.Is(err, hawser.ErrInvalid) {
			t.Errorf("NewStartLine(%d, %s, %s) = %s, want %s", tc.expect, tc.self, tc.peers, got, tc.want)
		}
	}
}

// A new cluster id is above the floor even if the clock is behind it, and none
// is minted where there is no room.
func TestMintClusterID(t *testing.T) {
	early, late := time.Unix(1000, 0), time.Unix(2000000000, 0)
	first, err := mintClusterID(late, ClusterID{})
	if err != nil || first.IsZero() || first.Compare(ClusterID{}) <= 0 {
		t.Fatal(first, err)
	}
	second, err := mintClusterID(early, first)
	if err != nil || second.Compare(first) <= 0 || first.Compare(second) >= 0 || second.Compare(second) != 0 {
		t.Fatal(first, second, err)
	}
	var last ClusterID
	for i := range last {
		last[i] = math.MaxUint8
	}
	if id, err := mintClusterID(late, last); err == nil {
		t.Fatal("minted above the last id:", id)
	}
	if first.Short() != first.String()[:8] {
		t.Fatal(first.Short(), first)
	}
}
