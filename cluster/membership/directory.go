// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/hawserdb/hawser/internal/durable"
	"github.com/hawserdb/hawser/internal/halt"
)

// DirectoryOptions are the parameters of [OpenDirectory].
type DirectoryOptions struct {
	// Halt is told of a node.json that cannot be written. May be nil.
	Halt halt.Func
	// BallastBytes is the size of the ballast file; 0 means 64 MiB, a
	// negative value no ballast.
	BallastBytes int64
}

// Directory is a node's data directory, locked until Close.
type Directory struct {
	path string
	lock *os.File
	node *NodeFile

	ballastBytes int64
	free         func(path string) (free, total uint64, err error)
}

// OpenDirectory opens the data directory at path for the node name, and makes
// it, with a new ServerID, where there is none or an empty one. Errors are
// *halt.Error: Directory where it is in use, of another node, readable by
// others, incomplete or of a newer version; Damaged where node.json does not
// match its checksum. Nothing is changed then.
func OpenDirectory(path, name string, opts DirectoryOptions) (*Directory, error) {
	if err := CheckNodeName(name); err != nil {
		return nil, &halt.Error{Reason: halt.Directory, Where: path, Err: err}
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, &halt.Error{Reason: halt.Directory, Where: path, Err: err}
	}
	if err := makePrivate(path); err != nil {
		return nil, err
	}
	lock, err := lockDirectory(path)
	if err != nil {
		return nil, err
	}
	node, err := openNodeFile(path, name, opts.Halt)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	size := opts.BallastBytes
	if size == 0 {
		size = defaultBallastBytes
	}
	return &Directory{path: path, lock: lock, node: node, ballastBytes: size, free: FreeSpace}, nil
}

// Path returns the directory's absolute path.
func (d *Directory) Path() string { return d.path }

// Node returns the directory's node.json.
func (d *Directory) Node() *NodeFile { return d.node }

// Require returns a *halt.Error (Damaged) if the node ever had raft state and
// one of the named files or directories is missing: a node that lost its vote
// or its log must not vote again. Call it before raft's files are opened.
func (d *Directory) Require(names ...string) error {
	if !d.node.State().Started {
		return nil
	}
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(d.path, name)); err != nil {
			return &halt.Error{
				Reason: halt.Damaged, Where: filepath.Join(d.path, name), Err: err,
				Hint: fmt.Sprintf("node %s had it; move the directory away and start with an empty one: the node joins again as a new one", d.node.State().Node),
			}
		}
	}
	return nil
}

// Close unlocks the directory. It may be called once.
func (d *Directory) Close() error { return d.lock.Close() }

// makePrivate makes sure that path is a directory that only its owner can use.
func makePrivate(path string) error {
	refuse := func(err error, hint string) error {
		return &halt.Error{Reason: halt.Directory, Where: path, Err: err, Hint: hint}
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return refuse(err, "name another with --data-dir")
	}
	info, err := os.Stat(path)
	if err != nil {
		return refuse(err, "")
	}
	if runtime.GOOS == "windows" || info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return refuse(err, "")
	}
	if len(entries) > 0 {
		return refuse(fmt.Errorf("other users can use it (mode %04o)", info.Mode().Perm()), "chmod 0700 it")
	}
	if err := os.Chmod(path, 0o700); err != nil { //nolint:gosec // directories need the x bit
		return refuse(err, "chmod 0700 it")
	}
	return nil
}

// openNodeFile reads node.json in dir, or writes the first one.
func openNodeFile(dir, name string, onHalt halt.Func) (*NodeFile, error) {
	f := &NodeFile{path: filepath.Join(dir, nodeFileName), halt: onHalt}
	info, err := os.Lstat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f, f.create(dir, name)
	case err != nil:
		return nil, &halt.Error{Reason: halt.Directory, Where: f.path, Err: err}
	case !info.Mode().IsRegular():
		return nil, &halt.Error{Reason: halt.Directory, Where: f.path, Err: fmt.Errorf("is not a regular file (%s)", info.Mode())}
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return nil, &halt.Error{
			Reason: halt.Directory, Where: f.path, Hint: "chmod 0600 it",
			Err: fmt.Errorf("other users can use it (mode %04o)", info.Mode().Perm()),
		}
	}
	if f.state, err = readState(f.path); err != nil {
		return nil, err
	}
	if there := NodeName(f.state.Node); there != name {
		return nil, &halt.Error{
			Reason: halt.Directory, Where: dir,
			Err:  fmt.Errorf("belongs to node %q (%s), and this node is %q", there, f.state.Node, name),
			Hint: fmt.Sprintf("start with --name %s, or name another --data-dir", there),
		}
	}
	return f, nil
}

// create writes the first node.json, unless dir holds data that has lost its own.
func (f *NodeFile) create(dir, name string) error {
	var found []string
	for _, data := range []string{"wal", "log.db", "stable.db", "state"} {
		if _, err := os.Lstat(filepath.Join(dir, data)); !errors.Is(err, fs.ErrNotExist) {
			found = append(found, data)
		}
	}
	if len(found) > 0 {
		return &halt.Error{
			Reason: halt.Directory, Where: f.path,
			Err:  fmt.Errorf("is missing, but the directory holds %s: whose data that is cannot be told", strings.Join(found, ", ")),
			Hint: "put node.json back, or start with an empty directory",
		}
	}
	f.state = State{Format: format, Node: newNodeID(name)}
	data, err := encodeState(f.state)
	if err == nil {
		err = durable.WriteFile(f.path, data)
	}
	if err == nil {
		err = syncParent(dir)
	}
	if err != nil {
		return &halt.Error{Reason: halt.Directory, Where: f.path, Err: err}
	}
	return nil
}

// syncParent makes the name of a directory that may be new durable, where its
// parent may be opened.
func syncParent(dir string) error {
	err := durable.SyncDir(filepath.Dir(dir))
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}
