// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

// withClient calls f with a client for the endpoints of the command line and
// a context that ends after --timeout.
func withClient(c *cli.Context, f func(context.Context, *client.Client) error) error {
	return withInstance(c, "", f)
}

// withInstance is withClient for an instance, a new one if it is empty.
func withInstance(c *cli.Context, instance string, f func(context.Context, *client.Client) error) error {
	cfg, err := clientConfig(c, endpoints(c))
	if err != nil {
		return err
	}
	cfg.Instance = instance
	conn, err := client.Dial(cfg)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(c.Context, c.Duration(flagTimeout))
	defer cancel()
	return explain(f(ctx, conn), endpoints(c))
}

// dial returns a client for addresses, as the global flags say.
func dial(c *cli.Context, addresses []string) (*client.Client, error) {
	cfg, err := clientConfig(c, addresses)
	if err != nil {
		return nil, err
	}
	return client.Dial(cfg)
}

// clientConfig is what the global flags say about a client.
func clientConfig(c *cli.Context, addresses []string) (client.Config, error) {
	if c.Duration(flagTimeout) <= 0 {
		return client.Config{}, usageErrorf("--%s %s: must be positive", flagTimeout, c.Duration(flagTimeout))
	}
	if len(addresses) == 0 {
		return client.Config{}, usageErrorf("--%s: holds no address", flagEndpoints)
	}
	trust, err := clientTLS(c.String(flagTLSCA))
	return client.Config{
		Endpoints: addresses, Namespace: c.String(flagNamespace), RequestTimeout: c.Duration(flagTimeout), TLS: trust,
	}, err
}

func endpoints(c *cli.Context) []string { return splitAddresses(c.String(flagEndpoints)) }

// clientTLS returns what --tls-ca asks for, nil for plain text.
func clientTLS(file string) (*tls.Config, error) {
	switch file {
	case "":
		return nil, nil //nolint:nilnil // no TLS is an answer
	case "system":
		return &tls.Config{MinVersion: tls.VersionTLS12}, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flagTLSCA, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--%s: %s holds no certificate in PEM form", flagTLSCA, file)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// notInACluster is how a node says that it waits to found or join a cluster.
const notInACluster = "does not belong to a cluster yet"

// explain adds to an error what a person at a terminal does about it.
func explain(err error, endpoints []string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, hawser.ErrOutcomeUnknown):
		return err
	case errors.Is(err, hawser.ErrUnavailable) && strings.Contains(err.Error(), notInACluster):
		return err // a node runs there and says what it waits for
	case errors.Is(err, hawser.ErrUnavailable), errors.Is(err, hawser.ErrDeadline), errors.Is(err, context.DeadlineExceeded):
		return hint(err, "asked %s; check that nodes run there (hawser server, or hawser dev for a local cluster)\n"+
			"and that --endpoints or HAWSER_ENDPOINTS names them", strings.Join(endpoints, ", "))
	}
	return err
}
