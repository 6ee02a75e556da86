// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"sync"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/record"
)

// maxStaging is how many parts of one content are on their way into the log at
// a time: enough to fill it while the next ones come.
const maxStaging = 4

// stager stages the parts of one content, a few at a time. put, wait and close
// are for one goroutine.
type stager struct {
	b      *Backend
	upload [16]byte
	// again says that an earlier attempt may have staged some of them.
	again bool
	next  uint32
	// ctx ends with the first failure, which is its cause.
	ctx     context.Context //nolint:containedctx // of the goroutines, which close joins
	fail    context.CancelCauseFunc
	places  chan struct{}
	running sync.WaitGroup
}

func newStager(ctx context.Context, b *Backend, upload [16]byte, again bool) *stager {
	ctx, fail := context.WithCancelCause(ctx)
	return &stager{b: b, upload: upload, again: again, ctx: ctx, fail: fail, places: make(chan struct{}, maxStaging)}
}

// put stages the next part. It waits for a place, keeps part until wait or
// close, and returns an earlier part's failure if there is one.
func (s *stager) put(part []byte) error {
	select {
	case s.places <- struct{}{}:
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
	index := s.next
	s.next++
	s.running.Go(func() {
		defer func() { <-s.places }()
		if s.again && s.b.holds(s.upload, index, part) {
			return
		}
		if err := s.b.stage(s.ctx, &fsm.Part{Upload: s.upload, Index: index, CRC32C: record.Checksum(part), Data: part}); err != nil {
			s.fail(err)
		}
	})
	return nil
}

// wait returns when all parts are staged, or one cannot be.
func (s *stager) wait() error {
	s.running.Wait()
	return context.Cause(s.ctx)
}

// close ends and joins what is under way.
func (s *stager) close() {
	s.fail(context.Canceled)
	s.running.Wait()
}

// stage stages one part. A part can be sent again, and it would be a pity to
// lose all of them for one.
func (b *Backend) stage(ctx context.Context, part *fsm.Part) error {
	_, err := b.insist(ctx, part)
	if errors.Is(err, hawser.ErrRequestMismatch) {
		// Not what the code means to who sent the save.
		return &hawser.Error{Code: hawser.CodeInvalid, Op: "save", Msg: "a part is not what an earlier attempt of the same request sent", Err: err}
	}
	return err
}
