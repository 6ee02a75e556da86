// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

func (p *program) version() *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print the version of this program",
		Description: "Example:\n   hawser version",
		Action: func(c *cli.Context) error {
			view := struct {
				Version string `json:"version"`
				Go      string `json:"go"`
				OS      string `json:"os"`
				Arch    string `json:"arch"`
			}{programVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH}
			if wantsJSON(c) {
				return p.writeJSON(view)
			}
			_, err := fmt.Fprintf(p.stdout, "hawser %s %s %s/%s\n", view.Version, view.Go, view.OS, view.Arch)
			return err
		},
	}
}

// programVersion returns the version of the module as the go command stamped
// it, "devel" where it did not.
func programVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}
