// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawsertest

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
)

// StartExample starts a cluster of one node for an example, which has no test to
// fail: it panics instead. Stop ends it.
func StartExample() (endpoint string, stop func()) {
	t := &exampleTB{}
	cluster := StartCluster(t, 1)
	return cluster.Endpoint(0), func() {
		for _, f := range slices.Backward(t.cleanups) {
			f()
		}
	}
}

// exampleTB lets an example use what tests use.
type exampleTB struct {
	testing.TB

	cleanups []func()
}

func (e *exampleTB) Helper()                           {}
func (e *exampleTB) Name() string                      { return "Example" }
func (e *exampleTB) Failed() bool                      { return false }
func (e *exampleTB) Log(...any)                        {}
func (e *exampleTB) Logf(string, ...any)               {}
func (e *exampleTB) Cleanup(f func())                  { e.cleanups = append(e.cleanups, f) }
func (e *exampleTB) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (e *exampleTB) Error(args ...any)                 { panic(fmt.Sprint(args...)) }
func (e *exampleTB) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (e *exampleTB) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (e *exampleTB) Output() io.Writer                 { return io.Discard }
func (e *exampleTB) Context() context.Context          { return context.Background() }

func (e *exampleTB) TempDir() string {
	dir, err := os.MkdirTemp("", "hawser-example")
	if err != nil {
		panic(err)
	}
	e.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
