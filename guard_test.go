// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawser_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/hawserdb/hawser"
)

// A guard lets equal and newer fences of a resource through, refuses older
// ones, and keeps resources apart.
func TestGuard_Check(t *testing.T) {
	var g hawser.Guard
	for i, step := range []struct {
		resource string
		token    uint64
		want     error
	}{
		{"lock:default/a", 5, nil},
		{"lock:default/a", 5, nil},
		{"lock:default/a", 4, hawser.ErrFenced},
		{"lock:default/b", 1, nil},
		{"lock:default/a", 7, nil},
		{"lock:default/a", 5, hawser.ErrFenced},
		{"lock:default/a", 0, hawser.ErrInvalid},
		{"", 9, hawser.ErrInvalid},
	} {
		if err := g.Check(hawser.Fence{Resource: step.resource, Token: step.token}); !errors.Is(err, step.want) {
			t.Errorf("step %d: %v, expected %v", i, err, step.want)
		}
	}
}

// A guard that begins anew knows what the one before has stored; one that
// cannot store or load lets nobody through.
func TestGuard_Durable(t *testing.T) {
	kept := map[string]uint64{}
	broken := errors.New("disk")
	var fail error
	open := func() *hawser.Guard {
		return &hawser.Guard{
			Load: func(r string) (uint64, error) { return kept[r], fail },
			Store: func(r string, token uint64) error {
				if fail == nil {
					kept[r] = token
				}
				return fail
			},
		}
	}
	f := func(token uint64) hawser.Fence { return hawser.Fence{Resource: "lock:default/a", Token: token} }
	g := open()
	if err := g.Check(f(5)); err != nil {
		t.Fatal(err)
	}
	fail = broken
	if err := g.Check(f(6)); !errors.Is(err, broken) {
		t.Error(err)
	}
	if err := open().Check(f(6)); !errors.Is(err, broken) {
		t.Error(err)
	}
	fail = nil
	if err := open().Check(f(4)); !errors.Is(err, hawser.ErrFenced) {
		t.Error(err)
	}
}

// The system that is written to asks the guard: a writer that stood still while
// somebody else was granted the lock comes too late.
func ExampleGuard() {
	var guard hawser.Guard // beside the resource, not in the writer
	write := func(f hawser.Fence, what string) {
		if err := guard.Check(f); err != nil {
			fmt.Println("refused:", errors.Is(err, hawser.ErrFenced))
			return
		}
		fmt.Println("written:", what)
	}
	write(hawser.Fence{Resource: "lock:default/report", Token: 33}, "page 1")
	write(hawser.Fence{Resource: "lock:default/report", Token: 34}, "page 1 of the next holder")
	write(hawser.Fence{Resource: "lock:default/report", Token: 33}, "page 2")
	// Output:
	// written: page 1
	// written: page 1 of the next holder
	// refused: true
}
