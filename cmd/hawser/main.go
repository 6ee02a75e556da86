// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"os"
)

func main() {
	ctx, stop := interruptible(context.Background(), os.Exit)
	code := run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr, os.Getenv)
	stop()
	os.Exit(code)
}

// program is what every command may use of the outside.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
}

// run executes one command line, args[0] being the program's name, and
// returns the exit code. It reads and writes nothing but what it is given and
// the files, ports and processes that the command names.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) int {
	p := &program{stdin: stdin, stdout: stdout, stderr: stderr, getenv: getenv}
	return p.report(p.execute(ctx, args))
}

func (p *program) execute(ctx context.Context, args []string) error {
	app := p.app()
	if len(args) > 1 && args[1] == completeCommand {
		return complete(app, args[2:], p.stdout)
	}
	arranged, err := arrange(app, args, p.getenv)
	if err != nil {
		return err
	}
	return app.RunContext(ctx, arranged)
}
