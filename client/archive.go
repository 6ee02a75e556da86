// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// ExportStart is what a node says before the items of an export.
type ExportStart struct {
	// Generation and Revision are what the export reflects, Time is the
	// cluster's clock then.
	Generation hawser.Generation
	Revision   hawser.Revision
	Time       time.Time
	// Cluster is the id of the cluster.
	Cluster []byte
	// Agents is how many follow.
	Agents uint64
}

// Export streams whole histories out of the cluster, as of one revision: those
// of all namespaces for "", else of the agents of one below prefix. It calls
// start once and then items with encoded items of an archive, in order, which
// are the callee's own; an error of either ends it and is returned. It is a
// part of archives, not an archive, and is incomplete unless it returns nil.
// Until start is called other nodes are tried; from then on only ctx bounds it,
// and an error is final.
func (c *Client) Export(ctx context.Context, namespace, prefix string, start func(ExportStart) error, items func([][]byte) error, opts ...ReadOption) error {
	o := showOptions(opts)
	req := &hawserv1.ExportRequest{Namespace: namespace, Prefix: prefix, Read: o.proto()}
	key := namespace + "/" + prefix
	started, complete := false, false
	var refused error // by start or items
	err := follow(ctx, c, &call{op: "export", key: key},
		func(ctx context.Context, s sending) (grpc.ServerStreamingClient[hawserv1.ExportResponse], error) {
			return hawserv1.NewArchiveClient(s.conn).Export(ctx, req, s.options...)
		},
		func(m *hawserv1.ExportResponse) bool {
			if !started {
				started = true
				refused = start(exportStart(m))
			}
			if refused == nil && len(m.GetItems()) > 0 {
				refused = items(m.GetItems())
			}
			complete = m.GetComplete()
			return refused == nil
		})
	switch {
	case refused != nil:
		return refused
	case err == nil && !complete:
		return &hawser.Error{Code: hawser.CodeUnavailable, Op: "export", Key: key, Msg: "the node stopped before the end"}
	}
	return err
}

func exportStart(m *hawserv1.ExportResponse) ExportStart {
	h := m.GetHeader()
	return ExportStart{
		Generation: hawser.Generation(h.GetGeneration()), Revision: hawser.Revision(h.GetRevision()),
		Time: h.GetMachineTime().AsTime(), Cluster: h.GetClusterId(), Agents: m.GetAgents(),
	}
}

// ImportStart names an archive and says what is in it.
type ImportStart struct {
	// Archive is the SHA-256 of the archive, which names the import.
	Archive hawser.Hash
	// Generation and Revision are the archive's; the cluster goes on above them.
	Generation hawser.Generation
	Revision   hawser.Revision
	// Agents and Versions are how many the items hold.
	Agents, Versions uint64
}

// Imported is what an import made.
type Imported struct {
	Agents, Versions uint64
}

// Import fills an empty cluster with the encoded items of an archive, in
// order, which may not be changed after they were yielded. Until it is complete, the cluster refuses all other reads and writes.
// An error of items ends it and is returned. Nothing is repeated once items
// were taken, and only ctx bounds it: after any other error call it again with
// the same archive; it goes on. It is hawser.ErrOutcomeUnknown when the import
// may be complete, which the same call tells too, whatever was written since.
func (c *Client) Import(ctx context.Context, start ImportStart, items iter.Seq2[[]byte, error]) (Imported, error) {
	var resp *hawserv1.ImportResponse
	var broken, refused error // by the node, by items
	var ended bool            // the node may have all
	err := c.do(ctx, &call{
		op: "import", write: true, harmless: true, leader: true, streams: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			stream, err := hawserv1.NewArchiveClient(s.conn).Import(ctx, s.options...)
			if err != nil {
				return nil, err
			}
			s.begun(-1)
			i := importing{stream: stream}
			resp, broken = i.run(start, items)
			if broken != nil && !i.taken {
				return nil, broken
			}
			refused, ended = i.refused, i.ended
			return resp.GetHeader(), nil
		},
	})
	switch {
	case err != nil:
		return Imported{}, err
	case refused != nil:
		return Imported{}, refused
	case broken != nil && ended && judge(broken, true).executed:
		return Imported{}, &hawser.Error{
			Code: hawser.CodeOutcomeUnknown, Op: "import",
			Msg: "it may be complete; repeat it with the same archive, that tells", Err: joinCause(ctx.Err(), wire.FromStatus(broken)),
		}
	case errors.Is(wire.FromStatus(broken), hawser.ErrRefused):
		return Imported{}, wire.FromStatus(broken) // repeating it is refused again
	case broken != nil:
		return Imported{}, &hawser.Error{
			Code: hawser.CodeOf(wire.FromStatus(broken)), Op: "import",
			Msg: "it is not complete; repeat it with the same archive", Err: joinCause(ctx.Err(), wire.FromStatus(broken)),
		}
	}
	return Imported{Agents: resp.GetAgents(), Versions: resp.GetVersions()}, nil
}

// importing is the stream of an import.
type importing struct {
	stream grpc.ClientStreamingClient[hawserv1.ImportRequest, hawserv1.ImportResponse]
	// taken: items were asked for one, and cannot begin again.
	taken bool
	// ended: the end was sent, or may have been.
	ended bool
	// refused is the error of items.
	refused error
}

const (
	// batchBytes and batchItems close a message of items.
	batchBytes = 128 << 10
	batchItems = 1000
)

func (i *importing) run(start ImportStart, items iter.Seq2[[]byte, error]) (*hawserv1.ImportResponse, error) {
	err := i.send(&hawserv1.ImportRequest{Start: &hawserv1.ImportStart{
		Archive: start.Archive[:], Generation: uint64(start.Generation), Revision: uint64(start.Revision),
	}})
	if err != nil {
		return nil, err
	}
	i.taken = true
	var batch [][]byte
	size := 0
	for item, err := range items {
		if err != nil {
			i.refused = err
			return nil, err
		}
		batch, size = append(batch, item), size+len(item)
		if size < batchBytes && len(batch) < batchItems {
			continue
		}
		if err := i.send(&hawserv1.ImportRequest{Items: batch}); err != nil {
			return nil, err
		}
		batch, size = batch[:0], 0
	}
	i.ended = true
	end := &hawserv1.ImportEnd{Agents: start.Agents, Versions: start.Versions}
	if err := i.send(&hawserv1.ImportRequest{Items: batch, End: end}); err != nil {
		return nil, err
	}
	return i.stream.CloseAndRecv()
}

// send sends one message. When the stream has ended, the error is the answer.
func (i *importing) send(m *hawserv1.ImportRequest) error {
	err := i.stream.Send(m)
	if errors.Is(err, io.EOF) {
		if _, err = i.stream.CloseAndRecv(); err == nil {
			err = errors.New("the node answered before the end of the archive")
		}
	}
	return err
}
