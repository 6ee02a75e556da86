// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawser_test

import (
	"errors"
	"fmt"

	"github.com/hawserdb/hawser"
)

func ExampleNewAgentID() {
	id, err := hawser.NewAgentID("", "crew/researcher-7")
	fmt.Println(id, err)

	_, err = hawser.NewAgentID("", "crew/../admin")
	fmt.Println(err)
	// Output:
	// default/crew/researcher-7 <nil>
	// agent name "crew/../admin": has a segment "." or ".."
}

// A program that lost the answer to a save finds the request id in the error,
// keeps its printed form, and can ask or repeat after a restart.
func ExampleParseRequestID() {
	lost := &hawser.UnknownOutcomeError{RequestID: hawser.RequestID{
		Kind:  hawser.RequestSave,
		Agent: hawser.AgentID{Namespace: "default", Name: "a"},
		Seen:  41,
	}}
	note := lost.RequestID.String()

	id, err := hawser.ParseRequestID(note)
	fmt.Println(id.Kind, id.Agent, id.Seen, err)

	_, err = hawser.ParseRequestID(note[1:])
	fmt.Println(errors.Is(err, hawser.ErrInvalid))
	// Output:
	// save default/a 41 <nil>
	// true
}

func ExampleConflictError() {
	expected := uint64(12)
	err := fmt.Errorf("step 13: %w", &hawser.ConflictError{
		Agent:    hawser.AgentID{Namespace: "default", Name: "a"},
		Expected: &expected,
		Head:     hawser.Version{Number: 14},
	})

	if conflict, ok := errors.AsType[*hawser.ConflictError](err); ok {
		fmt.Println("somebody saved version", conflict.Head.Number)
	}
	fmt.Println(errors.Is(err, hawser.ErrConflict))
	// Output:
	// somebody saved version 14
	// true
}

func ExampleCode_Retry() {
	for _, code := range []hawser.Code{hawser.CodeConflict, hawser.CodeOverloaded, hawser.CodeOutcomeUnknown} {
		fmt.Printf("%s: %s\n", code, code.Retry())
	}
	// Output:
	// conflict: never
	// overloaded: after backoff
	// outcome unknown: with the same request id
}
