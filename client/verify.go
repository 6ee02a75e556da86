// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"iter"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// Verification is what was found out about one agent.
type Verification struct {
	Agent hawser.AgentID
	// Versions were rebuilt and compared with their SHA-256; Bytes is their
	// size.
	Versions uint64
	Bytes    int64
	// Bad are those that do not match.
	Bad []BadVersion
}

// BadVersion is a version that cannot be restored.
type BadVersion struct {
	Number uint64
	Reason string
}

// Verify makes one node rebuild every version of the agents that
// [Client.Agents] would list, and compare it with its SHA-256. It yields one
// item an agent; an error ends it. It reads everything that it verifies, so it
// takes its time: only ctx bounds it.
func (c *Client) Verify(ctx context.Context, prefix string, opts ...ReadOption) iter.Seq2[Verification, error] {
	prefix, err := hawser.NewPrefix(prefix)
	if err != nil {
		return failed[Verification](err)
	}
	o := showOptions(opts)
	return func(yield func(Verification, error) bool) {
		req := &hawserv1.VerifyRequest{Namespace: c.cfg.Namespace, Prefix: prefix, Read: o.proto()}
		complete, left := false, false
		err := follow(ctx, c, &call{op: "verify", key: prefix},
			func(ctx context.Context, s sending) (grpc.ServerStreamingClient[hawserv1.VerifyResponse], error) {
				return hawserv1.NewStateClient(s.conn).Verify(ctx, req, s.options...)
			},
			func(m *hawserv1.VerifyResponse) bool {
				if complete = m.GetAgent() == nil; complete {
					return true // the sum
				}
				left = !yield(verificationFromProto(m), nil)
				return !left
			})
		if err == nil && !complete {
			err = &hawser.Error{Code: hawser.CodeUnavailable, Op: "verify", Key: prefix, Msg: "the node stopped before the end"}
		}
		if err != nil && !left {
			yield(Verification{}, err)
		}
	}
}

func verificationFromProto(m *hawserv1.VerifyResponse) Verification {
	return Verification{
		Agent:    hawser.AgentID{Namespace: m.GetAgent().GetNamespace(), Name: m.GetAgent().GetName()},
		Versions: m.GetVersions(), Bytes: int64(m.GetBytes()),
		Bad: convert(m.GetBad(), func(b *hawserv1.BadVersion) BadVersion {
			return BadVersion{Number: b.GetNumber(), Reason: b.GetReason()}
		}),
	}
}
