// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/cluster/service"
)

// Claim: what an operator changes about the members is in the log of the nodes
// that took the call, with its outcome; other calls are not.
func TestUnary_LogsChangesByHand(t *testing.T) {
	var log bytes.Buffer
	call := service.New(func() string { return "" }).Unary(slog.New(slog.NewTextHandler(&log, nil)), func(string, hawser.Code, time.Duration) {})
	for _, req := range []any{&hawserv1.RemoveRequest{Node: "n2"}, &hawserv1.StatusRequest{}} {
		refuse := func(context.Context, any) (any, error) { return nil, &hawser.Error{Code: hawser.CodeRefused} }
		_, err := call(t.Context(), req, &grpc.UnaryServerInfo{FullMethod: "/hawser.v1.Cluster/Remove"}, refuse)
		if err == nil {
			t.Fatal("the refusal is lost")
		}
	}
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "method=Remove member=n2 code=refused") {
		t.Errorf("logged %q", got)
	}
}
