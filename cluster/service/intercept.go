// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/halt"
	"github.com/hawserdb/hawser/internal/wire"
)

type forwardedKey struct{}

// Forwarded marks the calls of a server as forwarded by another node: they
// are answered here or sent back, never forwarded again.
func Forwarded(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	return handler(context.WithValue(ctx, forwardedKey{}, true), req)
}

// ForwardedStream is Forwarded for streaming calls.
func ForwardedStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	return handler(srv, within{ServerStream: stream, ctx: context.WithValue(stream.Context(), forwardedKey{}, true)})
}

// within is a stream with another context.
type within struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // what grpc.ServerStream is made for
}

// Context implements grpc.ServerStream.
func (w within) Context() context.Context { return w.ctx }

func isForwarded(ctx context.Context) bool { return ctx.Value(forwardedKey{}) != nil }

// Observer is told of every finished call.
type Observer func(method string, code hawser.Code, took time.Duration)

// Unary returns the interceptor that every server of s needs: it bounds the
// call's time, turns errors into statuses, keeps a defect in one call from
// ending the process and logs what operators change.
func (s *Service) Unary(log *slog.Logger, observe Observer) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
		begin := time.Now()
		defer func() {
			if p := recover(); p != nil {
				err = panicked(ctx, log, info.FullMethod, p)
			}
			err = elsewhere(err)
			observe(info.FullMethod, wire.CodeOf(err), time.Since(begin))
			if member, by := byHand(req); by {
				log.InfoContext(ctx, "change of members by hand", "method", path.Base(info.FullMethod), "member", member,
					"code", hawser.CodeOf(err).String())
			}
			if r, sets := req.(*hawserv1.SetRetentionRequest); sets && !r.GetDryRun() {
				log.InfoContext(ctx, "change of a retention policy", "namespace", r.GetNamespace(), "prefix", r.GetPrefix(),
					"rules", r.GetRules().String(), "code", hawser.CodeOf(err).String())
			}
			err = wire.ToStatus(err, s.hint())
		}()
		if _, bounded := ctx.Deadline(); !bounded {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, maxCall)
			defer cancel()
		}
		return handler(ctx, req)
	}
}

// Stream is Unary for streaming calls. How long one lasts depends on what it
// moves: it is ended when its other side keeps it waiting too long; see [Tap].
func (s *Service) Stream(log *slog.Logger, observe Observer) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
		begin := time.Now()
		defer func() {
			if p := recover(); p != nil {
				err = panicked(stream.Context(), log, info.FullMethod, p)
			}
			err = elsewhere(err)
			observe(info.FullMethod, wire.CodeOf(err), time.Since(begin))
			err = wire.ToStatus(err, s.hint())
		}()
		return handler(srv, newPaced(stream))
	}
}

// panicked logs a defect and returns what the caller learns of it.
func panicked(ctx context.Context, log *slog.Logger, method string, p any) error {
	log.ErrorContext(ctx, "call panicked", "method", method, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	return &hawser.Error{Code: hawser.CodeInternal, Op: method, Msg: "a defect; the node's log has more"}
}

// byHand returns the member that an operator's call is to change, "" where the
// call leaves the choice to the leader.
func byHand(req any) (member string, ok bool) {
	switch r := req.(type) {
	case *hawserv1.PromoteRequest:
		return r.GetNode(), true
	case *hawserv1.RemoveRequest:
		return r.GetNode(), true
	case *hawserv1.TransferLeadershipRequest:
		return r.GetNode(), true
	}
	return "", false
}

// elsewhere sends a call that met the failure of this node to another one. The
// node stops itself; its failure is no defect and no answer to the caller. An
// error with a code of its own, such as an unknown outcome, keeps it.
func elsewhere(err error) error {
	if _, stops := errors.AsType[*halt.Error](err); !stops || hawser.CodeOf(err) != hawser.CodeInternal {
		return err
	}
	return &hawser.Error{Code: hawser.CodeUnavailable, Msg: "this node stops itself; ask another one", Err: err}
}
