// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hawserdb/hawser/internal/halt"
)

func exampleState() State {
	id, other := ClusterID{1, 15: 2}, ClusterID{9, 15: 1}
	members := []Address{{ID: "n1-00000001", Peer: "a:1"}, {ID: "n2-00000002", Peer: "b:1"}}
	return State{
		Format: format, Node: "n1-00000001", ClusterID: id, Generation: 1700000000, Started: true,
		Promise: &Promise{ClusterID: id, Generation: 1700000000, StartLine: []string{"a:1", "b:1"}, Members: members, Coordinator: members[0]},
		Refused: []ClusterID{other}, Book: members,
	}
}

// What is written is read back, and every bit that flips and every byte that is
// cut off or added is found.
func TestNodeFile_FindsEveryChangedBit(t *testing.T) {
	s := exampleState()
	data, err := encodeState(s)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decodeState(data); err != nil || !reflect.DeepEqual(got, s) {
		t.Fatalf("read back %+v, %v", got, err)
	}
	for i := range data {
		for bit := range 8 {
			bad := slices.Clone(data)
			bad[i] ^= 1 << bit
			if got, err := decodeState(bad); err == nil {
				t.Fatalf("bit %d of byte %d (%q) flipped: read %+v", bit, i, data[i], got)
			}
		}
		if _, err := decodeState(data[:i]); err == nil {
			t.Fatalf("cut to %d bytes: read without an error", i)
		}
	}
	if _, err := decodeState(append(slices.Clone(data), '\n')); err == nil {
		t.Fatal("a byte added: read without an error")
	}
}

// A state that breaks a rule is neither written nor, with a right checksum, read.
func TestState_Rules(t *testing.T) {
	for name, breakIt := range map[string]func(*State){
		"format":             func(s *State) { s.Format = 0 },
		"node":               func(s *State) { s.Node = "n1" },
		"no generation":      func(s *State) { s.Generation = 0 },
		"started in none":    func(s *State) { s.ClusterID, s.Generation = ClusterID{}, 0 },
		"promise of none":    func(s *State) { s.Promise.ClusterID = ClusterID{} },
		"members missing":    func(s *State) { s.Promise.Members = s.Promise.Members[:1] },
		"members twice":      func(s *State) { s.Promise.Members[1].ID = s.Promise.Members[0].ID },
		"members elsewhere":  func(s *State) { s.Promise.Members[1].Peer = "c:1" },
		"line not in order":  func(s *State) { slices.Reverse(s.Promise.StartLine); slices.Reverse(s.Promise.Members) },
		"wrong coordinator":  func(s *State) { s.Promise.Coordinator = s.Promise.Members[1] },
		"refused unordered":  func(s *State) { s.Refused = append(s.Refused, ClusterID{}) },
		"refused too many":   func(s *State) { s.Refused = make([]ClusterID, maxRefused+1) },
		"book unordered":     func(s *State) { slices.Reverse(s.Book) },
		"book address":       func(s *State) { s.Book[0].Peer = "A:01" },
		"book address empty": func(s *State) { s.Book[0].Peer = "" },
	} {
		s := exampleState()
		s = s.clone()
		breakIt(&s)
		if _, err := encodeState(s); err == nil {
			t.Errorf("%s: was written", name)
		}
	}
}

func FuzzNodeFile(f *testing.F) {
	data, err := encodeState(exampleState())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	first, err := encodeState(State{Format: format, Node: "n1-00000001"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(first)
	f.Add([]byte(`{"format":1,"node":"n1-00000001"}`))
	f.Add([]byte(`{"format":99}`))
	f.Add([]byte(`{"format":1,"refused":["zz"],"book":[{"id":""}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		// As it is, and as a body with a right checksum.
		body := append([]byte(checksumPrefix+checksum(data)+checksumSuffix), data...)
		for _, in := range [][]byte{data, append(body, "}\n"...)} {
			s, err := decodeState(in)
			if err != nil {
				continue
			}
			out, err := encodeState(s)
			if err != nil {
				t.Fatalf("read %+v from %q and cannot write it: %v", s, in, err)
			}
			if again, err := decodeState(out); err != nil || !reflect.DeepEqual(again, s) && !bytes.Equal(mustEncode(t, again), out) {
				t.Fatalf("%+v became %+v, %v", s, again, err)
			}
		}
	})
}

func mustEncode(t *testing.T, s State) []byte {
	t.Helper()
	data, err := encodeState(s)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Cluster ids that a node refuses are bounded, the lowest go first, and what
// is forgotten stays below the floor.
func TestState_RefusedIsBounded(t *testing.T) {
	s := State{Format: format, Node: "n1-00000001"}
	for i := range 3 * maxRefused {
		s.refuse(ClusterID{14: byte(i >> 8), 15: byte(i)})
		s.refuse(ClusterID{14: byte(i >> 8), 15: byte(i)})
	}
	if err := s.check(); err != nil || len(s.Refused) != maxRefused {
		t.Fatal(len(s.Refused), err)
	}
	if want := (ClusterID{15: 3*maxRefused - 1}); s.floor() != want {
		t.Fatalf("floor is %s, want %s", s.floor(), want)
	}
}

// Updates are durable when they return, an update that changes nothing writes
// nothing, one that fails changes nothing, and after a failed write the file
// takes no other: the node is told to stop.
func TestNodeFile_Update(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	var halted []error
	d, err := OpenDirectory(dir, "n1", DirectoryOptions{Halt: func(err error) { halted = append(halted, err) }})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	path := filepath.Join(dir, nodeFileName)
	before, _ := os.Stat(path)
	if err := d.Node().Update(func(*State) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.Stat(path); !os.SameFile(before, after) {
		t.Error("an update that changed nothing replaced the file")
	}
	sentinel := errors.New("no")
	if err := d.Node().Update(func(s *State) error { s.Book = []Address{{ID: "n2-00000002", Peer: "b:1"}}; return sentinel }); !errors.Is(err, sentinel) {
		t.Error(err)
	}
	if err := d.Node().Update(func(s *State) error { s.Node = "bad"; return nil }); err == nil {
		t.Error("a bad state was taken")
	}
	if got := d.Node().State(); len(got.Book) != 0 || NodeName(got.Node) != "n1" || len(halted) != 0 {
		t.Errorf("failed updates left %+v, %v", got, halted)
	}
	got := d.Node().State()
	if err := d.Node().Update(func(s *State) error { s.learn(Address{ID: "n2-00000002", Peer: "b:1"}); return nil }); err != nil {
		t.Fatal(err)
	}
	got.Book = append(got.Book, Address{ID: "n9-00000009", Peer: "x:1"}) // a caller's copy is its own
	if s, err := readState(path); err != nil || !reflect.DeepEqual(s, d.Node().State()) || len(s.Book) != 1 {
		t.Fatalf("the file holds %+v, %v", s, err)
	}
	// Something that cannot be replaced by a file.
	if err := os.Mkdir(path+".tmp", 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		err = d.Node().Update(func(s *State) error { s.Book = nil; return nil })
		if he, ok := errors.AsType[*halt.Error](err); !ok || he.Reason != halt.Directory || !strings.Contains(err.Error(), path) {
			t.Fatalf("a write that fails gives %v", err)
		}
		_ = os.Remove(path + ".tmp") // too late
	}
	if len(halted) != 1 || len(d.Node().State().Book) != 1 {
		t.Fatalf("halted %v, state %+v", halted, d.Node().State())
	}
}
