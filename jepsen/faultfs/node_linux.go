// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package faultfs

import (
	"context"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// node is a file or a directory.
type node struct {
	*fs.LoopbackNode

	disk *Disk
}

// WrapChild makes one of ours of a node of the file system below.
func (n *node) WrapChild(_ context.Context, ops fs.InodeEmbedder) fs.InodeEmbedder {
	return &node{LoopbackNode: ops.(*fs.LoopbackNode), disk: n.disk}
}

func (n *node) path() string { return filepath.Join(n.disk.back, n.Path(n.Root())) }

// note adds a change to the directory, which the lock makes one with the change
// itself.
func (n *node) noteLocked(e entry) {
	if inode, err := inodeOf(n.path()); err == nil {
		n.disk.state.enters(inode, e)
	}
}

func (n *node) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if flags&syscall.O_TRUNC != 0 {
		if errno := n.resizeLocked(0); errno != 0 {
			return nil, 0, errno
		}
	}
	f, err := os.OpenFile(n.path(), os.O_RDWR, 0)
	if err != nil {
		return nil, 0, fs.ToErrno(err)
	}
	return n.handle(f)
}

func (n *node) handle(f *os.File) (fs.FileHandle, uint32, syscall.Errno) {
	var st syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &st); err != nil {
		return nil, 0, fs.ToErrno(err)
	}
	return &file{disk: n.disk, f: f, inode: st.Ino}, 0, 0
}

func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if n.disk.refusesLocked() {
		return nil, nil, 0, syscall.ENOSPC
	}
	path := filepath.Join(n.path(), name)
	_, err := os.Lstat(path)
	existed := err == nil
	child, opened, _, errno := n.LoopbackNode.Create(ctx, name, flags&^uint32(syscall.O_TRUNC), mode, out)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	_ = opened.(fs.FileReleaser).Release(ctx) // ours follows
	if !existed {
		n.noteLocked(entry{kind: made, name: name})
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, 0, fs.ToErrno(err)
	}
	h, _, errno := n.handle(f)
	return child, h, 0, errno
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if n.disk.refusesLocked() {
		return nil, syscall.ENOSPC
	}
	child, errno := n.LoopbackNode.Mkdir(ctx, name, mode, out)
	if errno == 0 {
		n.noteLocked(entry{kind: made, name: name})
	}
	return child, errno
}

func (n *node) Unlink(_ context.Context, name string) syscall.Errno { return n.remove(name) }

func (n *node) Rmdir(_ context.Context, name string) syscall.Errno {
	if list, err := os.ReadDir(filepath.Join(n.path(), name)); err != nil || len(list) > 0 {
		return syscall.ENOTEMPTY
	}
	return n.remove(name)
}

func (n *node) remove(name string) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	kept, err := n.disk.state.keep(filepath.Join(n.path(), name))
	if err != nil {
		return fs.ToErrno(err)
	}
	n.noteLocked(entry{kind: removed, name: name, kept: kept})
	return 0
}

func (n *node) Rename(_ context.Context, name string, parent fs.InodeEmbedder, to string, flags uint32) syscall.Errno {
	target, ok := parent.(*node)
	if !ok || flags != 0 {
		return syscall.EINVAL
	}
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	toDir, err := inodeOf(target.path())
	if err != nil {
		return fs.ToErrno(err)
	}
	e := entry{kind: renamed, name: name, to: to, toDir: toDir}
	path := filepath.Join(target.path(), to)
	if _, err := os.Lstat(path); err == nil {
		if e.kept, err = n.disk.state.keep(path); err != nil {
			return fs.ToErrno(err)
		}
	}
	if err := os.Rename(filepath.Join(n.path(), name), path); err != nil {
		return fs.ToErrno(err)
	}
	n.noteLocked(e)
	return 0
}

func (n *node) Setattr(ctx context.Context, h fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		n.disk.mu.Lock()
		errno := n.resizeLocked(int64(size))
		n.disk.mu.Unlock()
		if errno != 0 {
			return errno
		}
	}
	return n.LoopbackNode.Setattr(ctx, nil, in, out)
}

func (n *node) resizeLocked(size int64) syscall.Errno {
	f, err := os.OpenFile(n.path(), os.O_RDWR, 0)
	if err != nil {
		return fs.ToErrno(err)
	}
	defer func() { _ = f.Close() }()
	var st syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &st); err != nil {
		return fs.ToErrno(err)
	}
	if size > st.Size && n.disk.refusesLocked() {
		return syscall.ENOSPC
	}
	n.disk.state.resizes(f, st.Ino, st.Size, size)
	return fs.ToErrno(f.Truncate(size))
}

func (n *node) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	errno := n.LoopbackNode.Statfs(ctx, out)
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if n.disk.faults.Full {
		out.Bavail, out.Bfree = 0, 0
	}
	return errno
}

func (n *node) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, flags, errno := n.LoopbackNode.OpendirHandle(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	return &directory{stream: h.(stream), node: n}, flags, 0
}

// stream is what an open directory of the file system below can do.
type stream interface {
	fs.FileReaddirenter
	fs.FileReleasedirer
	fs.FileSeekdirer
}

// directory is an open one.
type directory struct {
	stream

	node *node
}

func (d *directory) Fsyncdir(context.Context, uint32) syscall.Errno {
	inode, err := inodeOf(d.node.path())
	if err != nil {
		return fs.ToErrno(err)
	}
	return d.node.disk.sync(func(upTo uint64) { d.node.disk.state.syncedDir(inode, upTo) })
}

// file is an open one.
type file struct {
	disk  *Disk
	f     *os.File
	inode uint64
}

func (h *file) Read(_ context.Context, dest []byte, at int64) (fuse.ReadResult, syscall.Errno) {
	return fuse.ReadResultFd(h.f.Fd(), at, len(dest)), 0
}

func (h *file) Write(_ context.Context, data []byte, at int64) (uint32, syscall.Errno) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if h.disk.refusesLocked() {
		return 0, syscall.ENOSPC
	}
	size, errno := h.size()
	if errno != 0 {
		return 0, errno
	}
	h.disk.state.writes(h.f, h.inode, size, data, at)
	n, err := h.f.WriteAt(data, at)
	return uint32(n), fs.ToErrno(err)
}

func (h *file) size() (int64, syscall.Errno) {
	var st syscall.Stat_t
	err := syscall.Fstat(int(h.f.Fd()), &st)
	return st.Size, fs.ToErrno(err)
}

func (h *file) Allocate(_ context.Context, offset, length uint64, mode uint32) syscall.Errno {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	size, errno := h.size()
	if end := int64(offset + length); errno == 0 && mode == 0 && end > size {
		if h.disk.refusesLocked() {
			return syscall.ENOSPC
		}
		h.disk.state.resizes(h.f, h.inode, size, end)
		return fs.ToErrno(h.f.Truncate(end))
	} else if errno == 0 && mode&^1 == 0 { // the length stays
		return 0
	}
	return syscall.ENOTSUP
}

func (h *file) Getattr(_ context.Context, out *fuse.AttrOut) syscall.Errno {
	var st syscall.Stat_t
	err := syscall.Fstat(int(h.f.Fd()), &st)
	out.FromStat(&st)
	return fs.ToErrno(err)
}

func (h *file) Fsync(context.Context, uint32) syscall.Errno {
	return h.disk.sync(func(upTo uint64) { h.disk.state.synced(h.inode, upTo) })
}

func (h *file) Flush(context.Context) syscall.Errno { return 0 }

func (h *file) Release(context.Context) syscall.Errno { return fs.ToErrno(h.f.Close()) }
