// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hawserdb/hawser/cluster/peer"
	"github.com/hawserdb/hawser/internal/procs"
)

// startTimeout is how long a local cluster may take until every node is ready.
const startTimeout = time.Minute

// localSecret returns the file with the secret of the local cluster in dir,
// and makes it at the first start.
func localSecret(dir string) (string, error) {
	path := filepath.Join(dir, "secret")
	err := writeSecret(path, peer.NewSecret()+"\n")
	if err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return path, nil
}

// newLocal returns the local cluster in dir, of which nothing runs yet. Its
// nodes are this program.
func newLocal(dir string, nodes []procs.Node) (*procs.Cluster, error) {
	if err := checkLocal(dir, len(nodes)); err != nil {
		return nil, err
	}
	if err := procs.CheckFree(nodes); err != nil {
		return nil, hint(err, "another program listens there, perhaps another local cluster; stop it, or choose another --base-port")
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	secret, err := localSecret(dir)
	if err != nil {
		return nil, err
	}
	return procs.NewCluster(procs.Config{Path: self, Nodes: nodes, SecretFile: secret, Env: nodeEnvironment(os.Environ())}), nil
}

// checkLocal refuses a directory that holds a cluster of another size.
func checkLocal(dir string, nodes int) error {
	found, err := filepath.Glob(filepath.Join(dir, "n[1-9]", "node.json"))
	if err != nil {
		return fmt.Errorf("look into %s: %w", dir, err)
	}
	if len(found) != 0 && len(found) != nodes {
		return hint(fmt.Errorf("%s holds a cluster of %d, not of %d", dir, len(found), nodes),
			"give --nodes %d, or another --data-dir", len(found))
	}
	return nil
}

// stopLocal ends the nodes of a local cluster gracefully, whatever became of ctx.
func stopLocal(ctx context.Context, local *procs.Cluster) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout+5*time.Second)
	defer cancel()
	return local.StopAll(ctx)
}

// startLocal starts all nodes and waits until they are ready.
func startLocal(ctx context.Context, local *procs.Cluster) error {
	if err := local.StartAll(); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return local.ReadyAll(waiting)
}
