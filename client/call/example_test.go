// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package call_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hawserdb/hawser/client/call"
)

// A model that is busy at first.
func ExampleDo() {
	p, err := call.New(call.Config{Delay: time.Millisecond})
	if err != nil {
		panic(err)
	}
	tries := 0
	answer, err := call.Do(context.Background(), p, "model", func(context.Context) (string, error) {
		if tries++; tries < 3 {
			return "", call.Transient(errors.New("busy"))
		}
		return "42", nil
	})
	fmt.Println(answer, err, "after", tries, "attempts")
	_, err = call.Do(context.Background(), p, "tool", func(context.Context) (string, error) {
		return "", call.Permanent(errors.New("no such tool"))
	})
	fmt.Println(err)
	for _, t := range p.Targets() {
		fmt.Println(t.Name, t.State, t.Calls, t.Attempts, t.Failed)
	}
	// Output:
	// 42 <nil> after 3 attempts
	// call "tool", attempt 1: no such tool
	// model closed 1 3 0
	// tool closed 1 1 1
}
