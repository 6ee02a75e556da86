// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fakecluster

import (
	"fmt"

	"google.golang.org/grpc"

	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// archive is the Archive service of one node. Its items are texts: the name of
// an agent and the number of its head.
type archive struct {
	hawserv1.UnimplementedArchiveServer
	node *node
}

// Export implements hawserv1.ArchiveServer.
func (a *archive) Export(r *hawserv1.ExportRequest, stream grpc.ServerStreamingServer[hawserv1.ExportResponse]) error {
	c := a.node.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	messages := []*hawserv1.ExportResponse{{Header: a.node.headerLocked()}}
	for _, id := range c.idsLocked() {
		if r.GetNamespace() == "" || inside(id, r.GetNamespace(), r.GetPrefix()) {
			messages[0].Agents++
			messages = append(messages, &hawserv1.ExportResponse{Items: [][]byte{
				fmt.Appendf(nil, "agent %s", id), fmt.Appendf(nil, "head %d", c.agents[id].live),
			}})
		}
	}
	messages[len(messages)-1].Complete = true
	for _, m := range messages {
		if err := stream.Send(m); err != nil {
			return err
		}
	}
	return nil
}

// Import implements hawserv1.ArchiveServer. It counts, and keeps nothing.
func (a *archive) Import(stream grpc.ClientStreamingServer[hawserv1.ImportRequest, hawserv1.ImportResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if first.GetStart() == nil || len(first.GetStart().GetArchive()) != 32 {
		return fmt.Errorf("the import does not start: %v", first)
	}
	for items := uint64(0); ; {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		items += uint64(len(m.GetItems()))
		if end := m.GetEnd(); end != nil {
			return stream.SendAndClose(&hawserv1.ImportResponse{Header: (&state{node: a.node}).header(), Agents: end.GetAgents(), Versions: items})
		}
	}
}
