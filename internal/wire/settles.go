// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"

	"github.com/hawserdb/hawser"
)

// Settles reports whether err, met by a repetition of a request of this kind
// that the state machine knows by its id, says what became of every attempt before:
// each of these means that the request was not executed and cannot be any
// more: the machine looks for the first outcome before it checks anything that
// leads to these, and numbers, epochs, ids and consumed messages never come back. Other refusals
// come from before the state machine, or cannot tell: what a fork or a rollback
// did not find may come to be. It says nothing of calls
// without such an id: a node that is not found may just have been removed by
// the attempt before. Nodes that forward and clients that retry judge by it.
func Settles(kind hawser.RequestKind, err error) bool {
	switch hawser.CodeOf(err) { //nolint:exhaustive // few of many
	case hawser.CodeConflict:
		// A transaction's vote that was taken is found before its condition is
		// looked at.
		conflict, ok := errors.AsType[*hawser.ConflictError](err)
		return ok && (kind == hawser.RequestTxn || conflict.Permanent())
	case hawser.CodeNotFound:
		return kind == hawser.RequestDelete
	case hawser.CodeVersionGone:
		return kind == hawser.RequestRollback || kind == hawser.RequestFork
	case hawser.CodeMessageGone:
		return kind == hawser.RequestSave
	case hawser.CodeFenced, hawser.CodeRequestMismatch:
		return true
	default:
		return false
	}
}
