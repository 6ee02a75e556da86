// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"cmp"
	"context"
	"errors"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/throttle"
	"github.com/hawserdb/hawser/internal/wire"
	"github.com/hawserdb/hawser/snapshot"
)

const (
	// maxExports bounds the exports under way: each holds a snapshot of the
	// engine, which keeps what is removed meanwhile on disk.
	maxExports = 2
	// itemsMessage and maxItems close a message of items.
	itemsMessage = 128 << 10
	maxItems     = 1000
)

// Export implements hawserv1.ArchiveServer. It is about the state of this
// node, as of one moment.
func (s *Service) Export(r *hawserv1.ExportRequest, stream grpc.ServerStreamingServer[hawserv1.ExportResponse]) error {
	namespace, prefix := r.GetNamespace(), r.GetPrefix()
	if namespace == "" && prefix != "" {
		return &hawser.Error{Code: hawser.CodeInvalid, Op: "export", Key: prefix, Msg: "a prefix needs a namespace"}
	}
	if namespace != "" {
		var err error
		if namespace, prefix, err = scopeOf(namespace, prefix); err != nil {
			return err
		}
	}
	release, err := occupy(s.exporting, "export")
	if err != nil {
		return err
	}
	defer release()
	ctx := stream.Context()
	b, view, err := s.view(ctx, r.GetRead())
	if err != nil {
		return err
	}
	defer closeView(view)
	agents, err := view.CountAgents(ctx, namespace, prefix)
	if err != nil {
		return unexecuted(err)
	}
	info := view.Info()
	out := exported{send: stream.Send, reading: throttle.New(readRate), m: &hawserv1.ExportResponse{Header: b.header(info, info.Revision), Agents: agents}}
	err = view.Export(ctx, namespace, prefix, func(item snapshot.Item) error { return out.add(ctx, item) })
	if err != nil {
		return unexecuted(err)
	}
	out.m.Complete = true
	return stream.Send(out.m)
}

// exported gathers items into messages.
type exported struct {
	send    func(*hawserv1.ExportResponse) error
	reading *throttle.Throttle
	m       *hawserv1.ExportResponse
	size    int
}

func (e *exported) add(ctx context.Context, item snapshot.Item) error {
	encoded := snapshot.AppendItem(nil, item)
	e.m.Items = append(e.m.Items, encoded)
	if e.size += len(encoded); e.size < itemsMessage && len(e.m.GetItems()) < maxItems {
		return nil
	}
	if err := e.reading.Wait(ctx, int64(e.size)); err != nil {
		return err
	}
	m := e.m
	e.m, e.size = &hawserv1.ExportResponse{}, 0
	return e.send(m)
}

// Import implements hawserv1.ArchiveServer. It runs at the leader, and this
// node relays what it cannot take itself. After any error it can be repeated
// from the beginning; what is there already is not restored again.
func (s *Service) Import(stream grpc.ClientStreamingServer[hawserv1.ImportRequest, hawserv1.ImportResponse]) error {
	b, err := s.ready()
	if err != nil {
		return err
	}
	release, err := occupy(s.importing, "import")
	if err != nil {
		return err
	}
	defer release()
	first, err := stream.Recv()
	if err != nil {
		return cut(err)
	}
	if first.GetStart() == nil || len(first.GetStart().GetArchive()) != len(hawser.Hash{}) {
		return badImport("it begins with a start and the SHA-256 of the archive, 32 bytes")
	}
	resp, err := b.importArchive(stream.Context(), first, stream.Recv)
	if err != nil {
		return err
	}
	return stream.SendAndClose(resp)
}

func badImport(msg string) error {
	return &hawser.Error{Code: hawser.CodeInvalid, Op: "import", Msg: msg}
}

// importArchive runs an import here, or relays it to the leader.
func (b *Backend) importArchive(
	ctx context.Context, first *hawserv1.ImportRequest, next func() (*hawserv1.ImportRequest, error),
) (*hawserv1.ImportResponse, error) {
	conn, err := b.toLeader(ctx)
	switch {
	case err != nil:
		return nil, unexecuted(err)
	case conn == nil:
		return b.restoreArchive(ctx, first, next)
	}
	ctx, cancel := context.WithCancel(ctx) // ends the stream to the leader
	defer cancel()
	out, err := hawserv1.NewArchiveClient(conn).Import(ctx)
	if err != nil {
		return nil, notRelayed(err)
	}
	r := relay(out, first, next, func(m *hawserv1.ImportRequest) bool { return m.GetEnd() != nil })
	switch {
	case r.in != nil:
		return nil, unexecuted(cut(r.in))
	case r.out == nil:
		return r.resp, nil
	case r.ended && (!wire.Detailed(r.out) || errors.Is(wire.FromStatus(r.out), hawser.ErrOutcomeUnknown)):
		return nil, unknownImport(wire.FromStatus(r.out))
	default:
		return nil, notRelayed(r.out)
	}
}

// unknownImport is for an import whose end was sent and not answered.
func unknownImport(cause error) error {
	return &hawser.Error{
		Code: hawser.CodeOutcomeUnknown, Op: "import", Msg: "it may be complete; repeat it with the same archive, that tells", Err: cause,
	}
}

// restoreArchive runs an import at the leader.
func (b *Backend) restoreArchive(
	ctx context.Context, m *hawserv1.ImportRequest, next func() (*hawserv1.ImportRequest, error),
) (*hawserv1.ImportResponse, error) {
	im, err := b.startImport(ctx, m.GetStart())
	for {
		if err == nil {
			err = im.take(ctx, m.GetItems())
		}
		if err != nil {
			return nil, unexecuted(err)
		}
		if end := m.GetEnd(); end != nil {
			return im.end(ctx, end)
		}
		if m, err = next(); err != nil {
			return nil, unexecuted(cut(err))
		}
		if m.GetStart() != nil {
			return nil, badImport("a second start in one stream")
		}
	}
}

// startImport begins an import or goes on with it. One that has failed is of no
// use to anybody, and is given up for the next.
func (b *Backend) startImport(ctx context.Context, start *hawserv1.ImportStart) (*restoration, error) {
	command := &fsm.ImportStart{
		Archive: hawser.Hash(start.GetArchive()), Generation: start.GetGeneration(), Revision: start.GetRevision(),
	}
	result, err := b.insist(ctx, command)
	if err != nil {
		failed, there, lookErr := b.failedImport()
		if lookErr != nil || !there {
			return nil, cmp.Or(lookErr, err)
		}
		if _, err := b.insist(ctx, &fsm.ImportAbort{Archive: failed}); err != nil {
			return nil, err
		}
		if result, err = b.insist(ctx, command); err != nil {
			return nil, err
		}
	}
	return &restoration{b: b, archive: command.Archive, done: result.Number}, nil
}

// failedImport returns the archive of an import that failed and was not given
// up, if there is one.
func (b *Backend) failedImport() (archive hawser.Hash, there bool, err error) {
	view, err := b.Machine.View()
	if err != nil {
		return hawser.Hash{}, false, err
	}
	defer closeView(view)
	progress, _, err := view.Import()
	return progress.Archive, progress.Failure != "" && !progress.Done, err
}

// insist submits a command that may be repeated until its outcome is known, for
// as long as this node leads and the routing budget allows. The error is
// hawser.ErrOutcomeUnknown if any attempt may have been executed.
func (b *Backend) insist(ctx context.Context, c fsm.Command) (fsm.Result, error) {
	budget, cancel := withBudget(ctx, routeBudget)
	defer cancel()
	for open := false; ; {
		result, err := b.Proposer.Submit(ctx, c)
		if err == nil {
			return result, result.Err
		}
		retry, mayHaveRun := judge(err)
		open = open || mayHaveRun
		if retry && !errors.Is(err, hawser.ErrNotLeader) && b.Leader().ID == b.Self && pause(budget) == nil {
			continue
		}
		if open {
			err = &hawser.Error{Code: hawser.CodeOutcomeUnknown, Err: err}
		}
		return result, err
	}
}
