// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package pgtest runs a PostgreSQL of its own for tests: a new cluster in a
// temporary directory, reached by a Unix socket only, which ends with the process
// that started it, however that ends.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a running PostgreSQL.
type Server struct {
	// DSN is how to connect to its database.
	DSN string

	dir   string
	cmd   *exec.Cmd
	stdin io.Closer
	log   *bytes.Buffer
}

// ErrMissing is why there can be none on this machine.
var ErrMissing = errors.New("no PostgreSQL to test with")

// keeper runs the server until its stdin ends: when the test closes it, or is
// gone. It runs as the server's user.
const keeper = `"$@" >&2 & server=$!; cat >/dev/null; kill -QUIT $server; wait $server; rm -rf "$PGDIR"`

// Start starts a server, with settings like "name=value". It returns an error
// that matches ErrMissing if the programs are not installed, or nobody is there
// as whom to run them: PostgreSQL refuses root.
func Start(ctx context.Context, settings ...string) (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	as, err := account()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("/tmp", "hawser-pg-") // a socket's path is short
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, log: &bytes.Buffer{}, DSN: "host=" + dir + " user=hawser dbname=postgres"}
	if err := s.start(ctx, bin, as, settings); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, bin string, as *syscall.SysProcAttr, settings []string) error {
	if as.Credential != nil {
		if err := os.Chown(s.dir, int(as.Credential.Uid), int(as.Credential.Gid)); err != nil {
			return err
		}
	}
	data := filepath.Join(s.dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "--pgdata="+data, "--username=hawser", "--auth=trust", "--no-locale", "--encoding=UTF8", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = s.dir, as
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	args := []string{"-c", keeper, "sh", filepath.Join(bin, "postgres"), "-D", data, "-k", s.dir, "-h", ""}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	s.cmd = exec.Command("/bin/sh", args...) // ends with its stdin
	s.cmd.Dir, s.cmd.SysProcAttr, s.cmd.Stderr = s.dir, as, s.log
	s.cmd.Env = append(os.Environ(), "PGDIR="+s.dir)
	stdin, err := s.cmd.StdinPipe()
	if err != nil {
		return err
	}
	s.stdin = stdin
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	return s.await(ctx)
}

// await waits until the server answers.
func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.DSN)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			stopped := s.Stop()
			return errors.Join(fmt.Errorf("PostgreSQL does not answer: %w\n%s", err, s.log), stopped)
		}
	}
}

// Stop ends the server at once and removes everything.
func (s *Server) Stop() error {
	err := s.stdin.Close()
	_ = s.cmd.Wait() // it was killed
	return errors.Join(err, os.RemoveAll(s.dir))
}

// programs returns the directory of the newest installed PostgreSQL's programs,
// which Debian does not put on PATH.
func programs() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("%w: initdb is neither on PATH nor in /usr/lib/postgresql/*/bin; on Debian, install the package postgresql", ErrMissing)
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
}

// version is the 15 in /usr/lib/postgresql/15/bin/initdb.
func version(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 if it is none
	return n
}

// account is as whom to run PostgreSQL: this user, or, for root, one who may do
// less.
func account() (*syscall.SysProcAttr, error) {
	as := &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() != 0 {
		return as, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
			return as, nil
		}
	}
	return nil, fmt.Errorf("%w: it does not run as root, and there is neither a user postgres nor nobody", ErrMissing)
}
