// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser/cluster/peer"
)

func (p *program) secretGenerate() *cli.Command {
	return &cli.Command{
		Name: "generate", Usage: "make a cluster secret, which every node of a cluster shares",
		Description: `Keep it out of logs and shell histories: write it to a file that its owner alone
may read, and copy that file to every node.

Example:
   hawser secret generate -f secret`,
		Flags: []cli.Flag{&cli.StringFlag{
			Name: flagFile, Aliases: []string{"f"}, Usage: "write to a new `FILE` with mode 0600; - is stdout",
		}},
		Action: func(c *cli.Context) error {
			secret := peer.NewSecret() + "\n"
			path := c.String(flagFile)
			if path != "" && path != "-" {
				return writeSecret(path, secret)
			}
			if wantsJSON(c) {
				return p.writeJSON(map[string]string{"secret": secret[:len(secret)-1]})
			}
			_, err := fmt.Fprint(p.stdout, secret)
			return err
		},
	}
}

// writeSecret writes a secret to a file that must not exist yet.
func writeSecret(path, secret string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write the secret: %w; it is never overwritten: use it, or choose another file", err)
	}
	if err != nil {
		return fmt.Errorf("write the secret: %w", err)
	}
	if _, err := f.WriteString(secret); err != nil {
		_ = f.Close()
		return fmt.Errorf("write the secret: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write the secret: %w", err)
	}
	return nil
}
