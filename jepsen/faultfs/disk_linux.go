// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package faultfs

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Disk is a mounted file system. It is safe for concurrent use.
type Disk struct {
	back, mount string
	server      *fuse.Server
	root        *node

	mu     sync.Mutex // guards all below, and the order of changes
	state  *volatile
	faults Faults
	count  Counts
	// hanging is closed when syncs that hang may go on.
	hanging chan struct{}
}

// Faults are what a disk does wrong. The zero value is a good one.
type Faults struct {
	// SyncError is what the next syncs fail with; SyncErrors of them do, or all if
	// that is negative.
	SyncError  syscall.Errno
	SyncErrors int
	// SyncDelay is how long a sync takes.
	SyncDelay time.Duration
	// SyncHangs: no sync ends while it is set.
	SyncHangs bool
	// Full: nothing more can be written.
	Full bool
}

// Counts are what a disk has done, and done wrong.
type Counts struct {
	Writes, Syncs                             uint64
	SyncErrors, SlowSyncs, HungSyncs, Refused uint64
}

// Mount makes a disk in dir and mounts it at dir/disk. It takes root and /dev/fuse.
func Mount(dir string) (*Disk, error) {
	d := &Disk{back: filepath.Join(dir, "behind"), mount: filepath.Join(dir, "disk"), hanging: make(chan struct{})}
	lost := filepath.Join(dir, "removed")
	for _, path := range []string{d.back, d.mount, lost} {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return nil, err
		}
	}
	d.state = newVolatile(d.back, lost)
	return d, d.start()
}

func (d *Disk) start() error {
	data := &fs.LoopbackRoot{Path: d.back}
	d.root = &node{LoopbackNode: &fs.LoopbackNode{RootData: data}, disk: d}
	data.RootNode = d.root
	var err error
	d.server, err = fs.Mount(d.mount, d.root, &fs.Options{MountOptions: fuse.MountOptions{DirectMount: true, FsName: "faultfs", Name: "faultfs"}})
	if err != nil {
		return fmt.Errorf("mount %s: %w", d.mount, err)
	}
	return keepToOurselves()
}

// keepToOurselves closes /dev/fuse for the programs that this process starts. With a
// copy of it they would wait for a disk for ever, and nothing could kill them, after
// this process has ended, who no longer answers.
func keepToOurselves() error {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range list {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err != nil || target != "/dev/fuse" {
			continue // it may be closed already
		}
		if fd, err := strconv.Atoi(e.Name()); err == nil {
			syscall.CloseOnExec(fd)
		}
	}
	return nil
}

// Path is where it is mounted.
func (d *Disk) Path() string { return d.mount }

// Set says what it does wrong. Syncs that hang go on if that is over.
func (d *Disk) Set(f Faults) { d.Change(func(now *Faults) { *now = f }) }

// Change changes something of what it does wrong, and leaves the rest.
func (d *Disk) Change(change func(*Faults)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	hung := d.faults.SyncHangs
	change(&d.faults)
	if hung && !d.faults.SyncHangs {
		close(d.hanging)
		d.hanging = make(chan struct{})
	}
}

// Release lets syncs that hang go on, if there are any, and no more hang.
func (d *Disk) Release() { d.Change(func(f *Faults) { f.SyncHangs = false }) }

// Hangs reports whether syncs hang.
func (d *Disk) Hangs() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.faults.SyncHangs
}

// Counts returns what it has done so far.
func (d *Disk) Counts() Counts {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count
}

// PowerFail loses what was not synced, or some of it, as rng says, and mounts the
// disk again. Nothing may use it: the processes that did were killed. It returns
// how many changes were lost.
func (d *Disk) PowerFail(rng *rand.Rand) (lost int, err error) {
	if err := d.unmount(); err != nil {
		return 0, err
	}
	d.mu.Lock()
	lost, err = d.state.lose(rng)
	d.mu.Unlock()
	return lost, errors.Join(err, d.start())
}

// Wipe moves all that is on the disk into a directory outside, and mounts it
// again, empty: what a new one in the old one's place is. Nothing may use it.
func (d *Disk) Wipe(into string) error {
	if err := d.unmount(); err != nil {
		return err
	}
	d.mu.Lock()
	err := os.Rename(d.back, into)
	if err == nil {
		err = os.Mkdir(d.back, 0o700)
	}
	// Not one change is left to be undone: the inodes may be given out again.
	d.state = newVolatile(d.back, d.state.lost)
	d.mu.Unlock()
	return errors.Join(err, d.start())
}

// Below returns where a file of the disk lies behind the mount.
func (d *Disk) Below(path string) string {
	relative, err := filepath.Rel(d.mount, path)
	if err != nil {
		return path
	}
	return filepath.Join(d.back, relative)
}

// Changed makes the system forget what it has read of a file that was changed
// behind the mount.
func (d *Disk) Changed(path string) {
	relative, err := filepath.Rel(d.mount, path)
	if err != nil {
		return
	}
	inode := d.root.EmbeddedInode()
	for name := range strings.SplitSeq(relative, string(filepath.Separator)) {
		if inode = inode.GetChild(name); inode == nil {
			return // it has read nothing of it
		}
	}
	_ = inode.NotifyContent(0, 0)
}

// unmount waits a little for processes that were just killed.
func (d *Disk) unmount() (err error) {
	for range 100 {
		if err = d.server.Unmount(); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("unmount %s: %w", d.mount, err)
}

// Close unmounts it. What was written is behind the mount.
func (d *Disk) Close() error {
	d.Set(Faults{})
	return d.unmount()
}

// sync is a sync of a file or a directory: it waits and fails as it is to, or
// calls done with the number of the newest change that was there when it began.
func (d *Disk) sync(done func(upTo uint64)) syscall.Errno {
	d.mu.Lock()
	f, hanging, upTo := d.faults, d.hanging, d.state.last
	d.count.Syncs++
	switch {
	case f.SyncErrors != 0:
		d.faults.SyncErrors = max(f.SyncErrors-1, -1)
		d.count.SyncErrors++
		d.mu.Unlock()
		return f.SyncError
	case f.SyncHangs:
		d.count.HungSyncs++
	case f.SyncDelay > 0:
		d.count.SlowSyncs++
	}
	d.mu.Unlock()
	if f.SyncHangs {
		<-hanging
	}
	time.Sleep(f.SyncDelay)
	d.mu.Lock()
	defer d.mu.Unlock()
	done(upTo)
	return 0
}

// refusesLocked reports whether the disk is full, before something is written.
func (d *Disk) refusesLocked() bool {
	if d.faults.Full {
		d.count.Refused++
	} else {
		d.count.Writes++
	}
	return d.faults.Full
}
