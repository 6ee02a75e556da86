// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package propose

import (
	"context"
	"errors"
	"fmt"

	"github.com/hawserdb/hawser"
)

const op = "propose"

func newError(code hawser.Code, msg string) error {
	return &hawser.Error{Code: code, Op: op, Msg: msg}
}

func notLeader() error { return newError(hawser.CodeNotLeader, "this node does not lead") }

func closing() error {
	return newError(hawser.CodeUnavailable, "this node is stopping; ask another one")
}

func unknown(why string) error { return newError(hawser.CodeOutcomeUnknown, why) }

func tooLarge(size int) error {
	return newError(hawser.CodeTooLarge, fmt.Sprintf("the command takes %d bytes, at most %d fit", size, maxCommandBytes))
}

// ended makes the error of a command that was withdrawn before hand-over.
func ended(cause error) error {
	code := hawser.CodeDeadline
	if errors.Is(cause, context.Canceled) {
		code = hawser.CodeCanceled
	}
	return &hawser.Error{Code: code, Op: op, Msg: "not executed", Err: cause}
}

// refused makes the error of a batch that raft did not take.
func refused(err error, leads bool) error {
	switch {
	case errors.Is(err, hawser.ErrOutcomeUnknown):
		return err
	case errors.Is(err, hawser.ErrNotLeader), !leads:
		return &hawser.Error{Code: hawser.CodeNotLeader, Op: op, Msg: "not executed", Err: err}
	}
	return &hawser.Error{Code: hawser.CodeUnavailable, Op: op, Msg: "not executed", Err: err}
}
