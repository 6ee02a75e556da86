// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// statusCodes is the one table from Hawser's codes to gRPC's.
var statusCodes = map[hawser.Code]codes.Code{
	hawser.CodeOK:               codes.OK,
	hawser.CodeInternal:         codes.Internal,
	hawser.CodeInvalid:          codes.InvalidArgument,
	hawser.CodeNotFound:         codes.NotFound,
	hawser.CodeVersionGone:      codes.OutOfRange,
	hawser.CodeConflict:         codes.Aborted,
	hawser.CodeFenced:           codes.FailedPrecondition,
	hawser.CodeTooLarge:         codes.InvalidArgument,
	hawser.CodeOverloaded:       codes.ResourceExhausted,
	hawser.CodeStorageFull:      codes.ResourceExhausted,
	hawser.CodeUnavailable:      codes.Unavailable,
	hawser.CodeNotLeader:        codes.Unavailable,
	hawser.CodeOutcomeUnknown:   codes.Unknown,
	hawser.CodeRequestExpired:   codes.FailedPrecondition,
	hawser.CodeRequestMismatch:  codes.AlreadyExists,
	hawser.CodeWrongGeneration:  codes.FailedPrecondition,
	hawser.CodeCorrupt:          codes.DataLoss,
	hawser.CodeUnauthenticated:  codes.Unauthenticated,
	hawser.CodePermissionDenied: codes.PermissionDenied,
	hawser.CodeUnimplemented:    codes.Unimplemented,
	hawser.CodeDeadline:         codes.DeadlineExceeded,
	hawser.CodeCanceled:         codes.Canceled,
	hawser.CodeRefused:          codes.FailedPrecondition,
	hawser.CodeKeyframeNeeded:   codes.FailedPrecondition,
	hawser.CodeCompacted:        codes.OutOfRange,
	hawser.CodeLeaseExpired:     codes.FailedPrecondition,
	hawser.CodeOwnershipLost:    codes.FailedPrecondition,
	hawser.CodeBusy:             codes.FailedPrecondition,
	hawser.CodeTxnLocked:        codes.FailedPrecondition,
	hawser.CodeTxnAborted:       codes.Aborted,
	hawser.CodeMessageGone:      codes.FailedPrecondition,
	hawser.CodeEffectUnknown:    codes.FailedPrecondition,
	hawser.CodeEffectSkipped:    codes.FailedPrecondition,
	hawser.CodeEffectFailed:     codes.FailedPrecondition,
}

// bareCodes is what a status without detail means, which is one that the
// transport made.
var bareCodes = map[codes.Code]hawser.Code{
	codes.OK:                 hawser.CodeOK,
	codes.Canceled:           hawser.CodeCanceled,
	codes.Unknown:            hawser.CodeInternal,
	codes.InvalidArgument:    hawser.CodeInvalid,
	codes.DeadlineExceeded:   hawser.CodeDeadline,
	codes.NotFound:           hawser.CodeNotFound,
	codes.AlreadyExists:      hawser.CodeConflict,
	codes.PermissionDenied:   hawser.CodePermissionDenied,
	codes.ResourceExhausted:  hawser.CodeTooLarge, // the transport's message limit
	codes.FailedPrecondition: hawser.CodeRefused,
	codes.Aborted:            hawser.CodeConflict,
	codes.OutOfRange:         hawser.CodeVersionGone,
	codes.Unimplemented:      hawser.CodeUnimplemented,
	codes.Internal:           hawser.CodeInternal,
	codes.Unavailable:        hawser.CodeUnavailable,
	codes.DataLoss:           hawser.CodeCorrupt,
	codes.Unauthenticated:    hawser.CodeUnauthenticated,
}

// Leader says where the leader is; it travels with errors that send the
// caller there.
type Leader struct {
	ID      string
	Address string
}

// ToStatus returns err as a gRPC status error with an ErrorDetail. It returns
// nil for nil. Errors that are not Hawser's become internal, except the ends
// of a context. The hint goes out with errors that advise to try the leader.
func ToStatus(err error, hint Leader) error {
	if err == nil {
		return nil
	}
	code := CodeOf(err)
	detail := &hawserv1.ErrorDetail{Code: uint32(code)}
	switch e, _ := errors.AsType[*hawser.Error](err); {
	case e != nil && e.Code == code:
		detail.Op, detail.Key, detail.Message = e.Op, e.Key, messageOf(e)
	default:
		detail.Message = err.Error()
	}
	if e, ok := errors.AsType[*hawser.ConflictError](err); ok {
		detail.Head = VersionToProto(e.Head)
		detail.Head.Agent = AgentToProto(e.Agent)
		detail.ExpectVersion = e.Expected
	}
	if e, ok := errors.AsType[*hawser.UnknownOutcomeError](err); ok {
		detail.RequestId = e.RequestID.String()
	}
	if e, ok := errors.AsType[*hawser.FencedError](err); ok {
		detail.Key, detail.Epoch, detail.Owner = e.Agent.String(), e.Epoch, e.Owner
		detail.Head = &hawserv1.Version{Agent: AgentToProto(e.Agent)}
	}
	if e, ok := errors.AsType[*hawser.CompactedError](err); ok {
		detail.OldestCursor = e.Oldest.String()
	}
	if e, ok := errors.AsType[*hawser.TxnLockedError](err); ok {
		detail.Head = &hawserv1.Version{Agent: AgentToProto(e.Agent)}
		detail.Key, detail.Txn, detail.TxnDeadline = e.Agent.String(), e.Txn.ID, timestamppb.New(e.Deadline)
	}
	if e, ok := errors.AsType[*hawser.UnknownTxnError](err); ok {
		detail.Key, detail.Txn = e.ID.Namespace, e.ID.ID
	}
	if code.Retry() == hawser.RetryElsewhere || code == hawser.CodeUnavailable {
		detail.Leader, detail.LeaderAddress = hint.ID, hint.Address
	}
	s, detailErr := status.New(statusCodes[code], err.Error()).WithDetails(detail)
	if detailErr != nil { // only for codes.OK, which a non-nil error never has
		return status.Error(codes.Internal, err.Error())
	}
	return s.Err()
}

// CodeOf is the code that ToStatus gives an error: hawser.CodeOf, but that the
// end of a context has the code of that.
func CodeOf(err error) hawser.Code {
	code := hawser.CodeOf(err)
	if _, known := statusCodes[code]; !known || code == hawser.CodeOK {
		return hawser.CodeInternal
	}
	if code == hawser.CodeInternal {
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return hawser.CodeDeadline
		case errors.Is(err, context.Canceled):
			return hawser.CodeCanceled
		}
	}
	return code
}

// messageOf returns what e says beyond its code, operation and key.
func messageOf(e *hawser.Error) string {
	switch {
	case e.Err == nil:
		return e.Msg
	case e.Msg == "":
		return e.Err.Error()
	default:
		return e.Msg + ": " + e.Err.Error()
	}
}

// FromStatus returns the Hawser error that ToStatus was given, as far as it
// crosses the network: same code, same typed error, same text, without the
// chain of causes. A status without detail is translated by its code and
// keeps the status as cause. It returns nil for nil.
func FromStatus(err error) error {
	if err == nil {
		return nil
	}
	s, ok := status.FromError(err)
	if !ok {
		return err
	}
	detail := detailOf(s)
	if detail == nil {
		return bare(s)
	}
	code := hawser.Code(detail.GetCode())
	switch {
	case code == hawser.CodeConflict && detail.GetHead() != nil:
		head := VersionFromProto(detail.GetHead())
		return &hawser.ConflictError{Agent: head.Agent, Expected: detail.ExpectVersion, Head: head}
	case code == hawser.CodeFenced && detail.GetHead() != nil:
		return &hawser.FencedError{Agent: agentFromNode(detail.GetHead().GetAgent()), Epoch: detail.GetEpoch(), Owner: detail.GetOwner()}
	case code == hawser.CodeTxnLocked && detail.GetHead() != nil:
		agent := agentFromNode(detail.GetHead().GetAgent())
		return &hawser.TxnLockedError{
			Agent: agent, Txn: hawser.TxnID{Namespace: agent.Namespace, ID: detail.GetTxn()}, Deadline: timeFromProto(detail.GetTxnDeadline()),
		}
	case code == hawser.CodeOutcomeUnknown && detail.GetTxn() != "":
		return &hawser.UnknownTxnError{ID: hawser.TxnID{Namespace: detail.GetKey(), ID: detail.GetTxn()}}
	case code == hawser.CodeCompacted && detail.GetOldestCursor() != "":
		if oldest, err := hawser.ParseCursor(detail.GetOldestCursor()); err == nil {
			return &hawser.CompactedError{Oldest: oldest}
		}
	case code == hawser.CodeOutcomeUnknown && detail.GetRequestId() != "":
		id, err := hawser.ParseRequestID(detail.GetRequestId())
		if err == nil {
			return &hawser.UnknownOutcomeError{RequestID: id}
		}
	}
	return &hawser.Error{
		Code: code, Op: detail.GetOp(), Key: detail.GetKey(), Msg: detail.GetMessage(), Err: contextCause(code),
	}
}

func bare(s *status.Status) error {
	code, ok := bareCodes[s.Code()]
	if !ok {
		code = hawser.CodeInternal
	}
	e := &hawser.Error{Code: code, Msg: s.Message()}
	if e.Err = contextCause(code); e.Err != nil {
		e.Msg = ""
	}
	return e
}

// contextCause makes errors.Is(err, context.DeadlineExceeded) work for an end
// of time that a node or the transport noticed first.
func contextCause(code hawser.Code) error {
	switch code { //nolint:exhaustive // two of many
	case hawser.CodeDeadline:
		return context.DeadlineExceeded
	case hawser.CodeCanceled:
		return context.Canceled
	default:
		return nil
	}
}

// Detailed reports whether err is a status that Hawser's own code made, so
// that its code can be trusted to say what was executed.
func Detailed(err error) bool {
	s, ok := status.FromError(err)
	return ok && detailOf(s) != nil
}

// HintOf returns where the status err says the leader is.
func HintOf(err error) Leader {
	s, ok := status.FromError(err)
	if !ok {
		return Leader{}
	}
	d := detailOf(s)
	return Leader{ID: d.GetLeader(), Address: d.GetLeaderAddress()}
}

// Open reports whether err is a status that says that an attempt before may be
// executed, whatever else it says: it names the request whose outcome is unknown.
func Open(err error) bool {
	s, ok := status.FromError(err)
	return ok && detailOf(s).GetRequestId() != ""
}

func detailOf(s *status.Status) *hawserv1.ErrorDetail {
	for _, d := range s.Details() {
		if detail, ok := d.(*hawserv1.ErrorDetail); ok {
			return detail
		}
	}
	return nil
}
