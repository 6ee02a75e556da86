// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/internal/wire"
)

// verdict is what the error of one attempt means.
type verdict struct {
	err error
	// executed is true when the attempt, or one that a node made for it, may have
	// been, or may still be.
	executed bool
	retry    hawser.Retry
	// answered is true when a node gave the answer, not the transport.
	answered bool
}

// judge says what the error of an attempt means. sent is false when the
// attempt never reached a connection.
func judge(err error, sent bool) verdict {
	v := verdict{err: wire.FromStatus(err), answered: wire.Detailed(err), executed: wire.Open(err)}
	if v.answered {
		return judgeAnswer(v)
	}
	switch status.Code(err) { //nolint:exhaustive // the others share one meaning
	case codes.Unimplemented, codes.Unauthenticated, codes.PermissionDenied, codes.InvalidArgument:
		// Refused before any handler ran.
		v.retry = hawser.RetryNever
	case codes.ResourceExhausted:
		// Mostly a message limit, which the next attempt meets too.
		v.retry, v.executed = hawser.RetryNever, sent
	default:
		v.retry, v.executed = hawser.RetrySameID, sent
	}
	return v
}

func judgeAnswer(v verdict) verdict {
	code := hawser.CodeOf(v.err)
	v.retry = code.Retry()
	switch code { //nolint:exhaustive // the others say themselves that nothing was executed
	case hawser.CodeOutcomeUnknown:
		v.executed = true
	case hawser.CodeInternal:
		// A defect may have struck before or after.
		v.executed = true
	case hawser.CodeDeadline, hawser.CodeCanceled:
		// The attempt's time, not the call's.
		v.retry = hawser.RetryBackoff
	}
	return v
}
