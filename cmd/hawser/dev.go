// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser/internal/procs"
)

func (p *program) dev() *cli.Command {
	return &cli.Command{
		Name: "dev", Usage: "run a local cluster of real processes until Ctrl-C",
		Description: `Every node is a process of its own on loopback, so it can be killed to see what
happens. Node 1 has the ports 7420 (clients), 7421 (peers), 7422 (gossip) and
7480 (HTTP), every further node the same plus 10, 20, ... With --data-dir the
cluster goes on where it was; without it nothing is kept.

Examples:
   hawser dev
   hawser dev --nodes 3 --data-dir ./hawser-data`,
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "nodes", Value: 1, Usage: "run `N` nodes"},
			&cli.StringFlag{Name: "data-dir", Usage: "keep everything in `DIR`"},
			&cli.IntFlag{Name: "base-port", Value: procs.DefaultBasePort, Usage: "client `PORT` of the first node"},
		},
		Action: func(c *cli.Context) error {
			dir, remove, err := localDir(c.String("data-dir"))
			if err != nil {
				return err
			}
			err = p.runDev(c, dir)
			if c.String("data-dir") == "" && p.stillUsed(c, dir) {
				return err
			}
			return errors.Join(err, remove())
		},
	}
}

func (p *program) runDev(c *cli.Context, dir string) error {
	nodes, err := procs.Plan(dir, c.Int("nodes"), c.Int("base-port"))
	if err != nil {
		return usageError(err.Error())
	}
	local, err := newLocal(dir, nodes)
	if err != nil {
		return err
	}
	say(p.stderr, "starting %s in %s\n", plural(len(nodes), "node"), dir)
	if err := startLocal(c.Context, local); err != nil {
		stopErr := stopLocal(c.Context, local)
		if c.Err() != nil {
			return stopErr // interrupted, which is how dev ends
		}
		return errors.Join(err, stopErr)
	}
	p.introduce(local, c.String("data-dir") != "")
	p.watch(c.Context, local)
	say(p.stderr, "stopping\n")
	return stopLocal(c.Context, local)
}

// stillUsed reports whether somebody has started a node again by hand that goes
// on after dev, and says so.
func (p *program) stillUsed(c *cli.Context, dir string) bool {
	nodes, err := procs.Plan(dir, c.Int("nodes"), c.Int("base-port"))
	if err != nil {
		return false
	}
	for _, n := range nodes {
		if _, err := os.Stat(n.Dir); err == nil && procs.CheckFree([]procs.Node{n}) != nil {
			say(p.stderr, "node %s was started again and still runs, so %s is kept: remove it when you have stopped the node\n", n.Name, dir)
			return true
		}
	}
	return false
}

// localDir returns the directory for a local cluster and what removes it when
// it is a temporary one.
func localDir(given string) (string, func() error, error) {
	if given == "" {
		dir, err := os.MkdirTemp("", "hawser-")
		if err != nil {
			return "", nil, fmt.Errorf("make a temporary directory: %w", err)
		}
		return dir, func() error { return os.RemoveAll(dir) }, nil
	}
	dir, err := filepath.Abs(given)
	if err != nil {
		return "", nil, fmt.Errorf("data directory %s: %w", given, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, fmt.Errorf("data directory: %w", err)
	}
	return dir, func() error { return nil }, nil
}

// introduce prints what runs and what to type next.
func (p *program) introduce(local *procs.Cluster, kept bool) {
	t := newTable("NODE", "CLIENTS", "HTTP", "PID", "LOG")
	for i, n := range local.Nodes() {
		t.add(n.Name, n.Client, "http://"+n.HTTP, fmt.Sprint(local.Process(i).PID()), n.Log)
	}
	_ = t.write(p.stdout)
	hawser := selfCommand(os.Args[0], os.Executable)
	say(p.stdout, `
Ready. Type in another terminal:

  export HAWSER_ENDPOINTS=%[1]s
  echo '{"step":1}' | %[2]s state save researcher-7
  %[2]s state restore researcher-7
  %[2]s cluster status

`, strings.Join(local.Endpoints(), ","), hawser)
	if !kept {
		say(p.stdout, "Nothing is kept: the data goes when this command ends (--data-dir DIR keeps it).\n")
	}
	say(p.stdout, "Ctrl-C stops the cluster.\n")
}

// selfCommand returns how the user can call this program again.
func selfCommand(name string, executable func() (string, error)) string {
	self, err := executable()
	switch {
	case err != nil:
		return name
	case strings.Contains(self, string(filepath.Separator)+"go-build"):
		return "go run ./cmd/hawser" // "go run" keeps the program in a directory that goes
	}
	if found, err := exec.LookPath("hawser"); err == nil && found == self {
		return "hawser"
	}
	return self
}

// watch waits for ctx and says when a node ends. It returns early when no
// node runs any more.
func (p *program) watch(ctx context.Context, local *procs.Cluster) {
	nodes := local.Nodes()
	ended := make(chan int, len(nodes)) // one send by each waiter below
	for i := range nodes {
		process := local.Process(i)
		go func() { // ends with the process, which dev ends before it returns
			<-process.Done()
			ended <- i
		}()
	}
	for running := len(nodes); running > 0; running-- {
		select {
		case <-ctx.Done():
			return
		case i := <-ended:
			say(p.stderr, "node %s ended (%s); its log is %s\n  start it again with: %s\n",
				nodes[i].Name, ending(local.Process(i)), nodes[i].Log, startAgain(local.Args(i)))
		}
	}
	say(p.stderr, "no node runs any more\n")
}

func ending(process *procs.Process) string {
	if err := process.Err(); err != nil {
		return err.Error()
	}
	return "exit code 0"
}

// startAgain returns the command line of a node for a person to type: without
// the flag that ties it to dev.
func startAgain(args []string) string {
	words := []string{selfCommand(os.Args[0], os.Executable)}
	for _, a := range args {
		if a != "--"+flagStopWithStdin {
			words = append(words, shellQuote(a))
		}
	}
	return strings.Join(words, " ")
}

func shellQuote(s string) string {
	safe := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_./:,=@+", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !safe(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
