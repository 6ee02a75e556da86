// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package catchup

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/throttle"
)

// maxCheckpoints is how many checkpoints a source keeps at once.
const maxCheckpoints = 2

// SourceConfig configures a [Source]. Zero values mean the defaults.
type SourceConfig struct {
	// Dir is for the checkpoints, on the file system of the state. The source
	// owns all that is in it, and removes it when it is made.
	Dir string
	// Checkpoint makes a checkpoint in a directory that does not exist.
	Checkpoint func(dir string) (fsm.Meta, error)
	// BytesPerSecond bounds what is sent; hashing may read four times as much.
	// Default 64 MiB.
	BytesPerSecond int64
	// Share is the age up to which a checkpoint serves others who ask (default
	// 1 min), Busy the time since its last read after which it may give way to
	// a new one (30 s), Expire that after which it is removed (10 min).
	Share, Busy, Expire time.Duration
	Logger              *slog.Logger
}

func (c SourceConfig) withDefaults() SourceConfig {
	if c.BytesPerSecond <= 0 {
		c.BytesPerSecond = 64 << 20
	}
	c.Share, c.Busy, c.Expire = orDefault(c.Share, time.Minute), orDefault(c.Busy, 30*time.Second), orDefault(c.Expire, 10*time.Minute)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func orDefault(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}

// Source lets other members fetch the node's state. It is safe for concurrent
// use.
type Source struct {
	cfg           SourceConfig
	sending, hash *throttle.Throttle
	stop          context.CancelFunc
	stopping      <-chan struct{} // closed by stop
	// preparing begins the making of an offer in a goroutine of running.
	preparing func(*offer)
	running   sync.WaitGroup
	sent      atomic.Int64

	mu      sync.Mutex
	closed  bool
	offered map[string]*offer
}

// offer is one checkpoint, in the making or ready.
type offer struct {
	id, dir string
	// done is closed when it is ready or err is set; before that nothing else
	// may be read.
	done     chan struct{}
	err      error
	manifest *Manifest
	infos    []os.FileInfo // of manifest.Files

	// prepared and total are bytes hashed so far, and of all files.
	prepared, total atomic.Int64

	// Guarded by Source.mu.
	made, read time.Time
}

// NewSource returns a source, having removed what an earlier one left.
func NewSource(cfg SourceConfig) (*Source, error) {
	cfg = cfg.withDefaults()
	if err := os.RemoveAll(cfg.Dir); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Source{
		cfg: cfg, sending: throttle.New(cfg.BytesPerSecond), hash: throttle.New(4 * cfg.BytesPerSecond), stop: stop, stopping: ctx.Done(),
		offered: map[string]*offer{},
	}
	s.preparing = func(o *offer) { s.running.Go(func() { s.prepare(ctx, o) }) }
	s.running.Go(func() { s.expire(ctx) })
	return s, nil
}

// Sent returns the bytes sent since the start.
func (s *Source) Sent() int64 { return s.sent.Load() }

// Close ends what is being prepared and sent, and removes all checkpoints.
func (s *Source) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.running.Wait()
	return os.RemoveAll(s.cfg.Dir)
}

// tellEvery is how often Manifest tells how far the preparation is.
const tellEvery = time.Second

// Manifest returns the checkpoint id if it is still there, else one at minIndex
// at least: a recent one, or a new one. While it is prepared, telling is called
// with how far that is; an error of it ends the call. Errors match
// hawser.ErrOverloaded while others fetch as many as there may be, and
// hawser.ErrUnavailable for a state that has not come as far as minIndex.
func (s *Source) Manifest(ctx context.Context, id string, minIndex uint64, telling func(prepared, total int64) error) (*Manifest, error) {
	o, err := s.find(id, minIndex)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		select {
		case <-o.done:
			if o.err == nil && o.manifest.Meta.Index < minIndex && o.id != id {
				return nil, &hawser.Error{Code: hawser.CodeUnavailable, Op: "checkpoint", Msg: fmt.Sprintf("the state here is at %d, before %d", o.manifest.Meta.Index, minIndex)}
			}
			return o.manifest, o.err
		case <-tick.C:
			s.touch(o)
			if err := telling(o.prepared.Load(), o.total.Load()); err != nil {
				return nil, err
			}
		case <-s.stopping:
			return nil, errStopping
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

var errStopping = &hawser.Error{Code: hawser.CodeUnavailable, Op: "checkpoint", Msg: "this node is stopping"}

// find returns the offer to answer with.
func (s *Source) find(id string, minIndex uint64) (*offer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.closed {
		return nil, errStopping
	}
	if o := s.offered[id]; o != nil {
		o.read = now
		return o, nil
	}
	for _, o := range s.offered {
		if now.Sub(o.made) <= s.cfg.Share && o.mayServe(minIndex) {
			o.read = now
			return o, nil
		}
	}
	if err := s.makeRoomLocked(now); err != nil {
		return nil, err
	}
	o := &offer{id: newID(), done: make(chan struct{}), made: now, read: now}
	o.dir = filepath.Join(s.cfg.Dir, o.id)
	s.offered[o.id] = o
	s.preparing(o)
	return o, nil
}

// mayServe reports whether the offer is at index at least, or may become so.
func (o *offer) mayServe(index uint64) bool {
	select {
	case <-o.done:
		return o.err == nil && o.manifest.Meta.Index >= index
	default:
		return true
	}
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// makeRoomLocked gives up the checkpoint that was read least recently, if one
// must go.
func (s *Source) makeRoomLocked(now time.Time) error {
	if len(s.offered) < maxCheckpoints {
		return nil
	}
	var idle *offer
	for _, o := range s.offered {
		if idle == nil || o.read.Before(idle.read) {
			idle = o
		}
	}
	select {
	case <-idle.done:
		if now.Sub(idle.read) >= s.cfg.Busy {
			s.dropLocked(idle)
			return nil
		}
	default:
	}
	return &hawser.Error{Code: hawser.CodeOverloaded, Op: "checkpoint", Msg: fmt.Sprintf("%d checkpoints are being fetched from this node", maxCheckpoints)}
}

// dropLocked removes a checkpoint. Who has a file of it open may read on.
func (s *Source) dropLocked(o *offer) {
	delete(s.offered, o.id)
	if err := os.RemoveAll(o.dir); err != nil {
		s.cfg.Logger.Warn("could not remove a checkpoint", "dir", o.dir, "error", err)
	}
}

func (s *Source) touch(o *offer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o.read = time.Now()
}

// expire removes what nobody reads any more.
func (s *Source) expire(ctx context.Context) {
	tick := time.NewTicker(s.cfg.Expire / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s.mu.Lock()
			for _, o := range s.offered {
				if ready := isClosed(o.done); ready && now.Sub(o.read) >= s.cfg.Expire {
					s.dropLocked(o)
				}
			}
			s.mu.Unlock()
		}
	}
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
