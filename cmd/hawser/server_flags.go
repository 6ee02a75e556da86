// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"log/slog"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser/cluster"
)

// Names of the flags of a server. Each fills the field of cluster.Config of
// about the same name, in serverConfig.
const (
	flagDataDir         = "data-dir"
	flagName            = "name"
	flagClientAddr      = "client-addr"
	flagPeerAddr        = "peer-addr"
	flagGossipAddr      = "gossip-addr"
	flagHTTPAddr        = "http-addr"
	flagAdvertiseHost   = "advertise-host"
	flagSecretFile      = "cluster-secret-file"
	flagBootstrapExpect = "bootstrap-expect"
	flagJoin            = "join"
	flagLogStore        = "log-store"
	flagLogLevel        = "log-level"
	flagLogFormat       = "log-format"
	flagMinFreeDisk     = "min-free-disk"
	flagTLSCert         = "tls-cert"
	flagTLSKey          = "tls-key"
	flagInsecure        = "insecure"
	flagVoters          = "voters"
	flagStopWithStdin   = "stop-with-stdin"
)

func serverFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: flagDataDir, Usage: "`DIR` that holds everything the node keeps; made if it is not there"},
		&cli.StringFlag{Name: flagName, Usage: "`NAME` of the node, part of its id"},
		&cli.StringFlag{Name: flagClientAddr, Value: "127.0.0.1:7420", Usage: "`ADDRESS` for clients"},
		&cli.StringFlag{Name: flagPeerAddr, Value: "127.0.0.1:7421", Usage: "`ADDRESS` for the other nodes"},
		&cli.StringFlag{Name: flagGossipAddr, Value: "127.0.0.1:7422", Usage: "`ADDRESS` for gossip, TCP and UDP"},
		&cli.StringFlag{Name: flagHTTPAddr, Value: "127.0.0.1:7480", Usage: "`ADDRESS` for /healthz, /readyz and /metrics"},
		&cli.StringFlag{Name: flagAdvertiseHost, Usage: "`HOST` under which others reach the node, where it listens on all interfaces"},
		&cli.StringFlag{Name: flagSecretFile, Usage: "`FILE` with the cluster secret, made by \"hawser secret generate\""},
		&cli.IntFlag{Name: flagBootstrapExpect, Usage: "start a new cluster when `N` nodes, all named by --join, have found each other; 0 joins one"},
		&cli.StringSliceFlag{Name: flagJoin, Usage: "peer `ADDRESSES` of nodes, separated by commas or given repeatedly"},
		&cli.IntFlag{Name: flagVoters, Usage: "`N` nodes that vote; further ones are standbys", DefaultText: "3, or as many as --bootstrap-expect"},
		&cli.StringFlag{Name: flagLogStore, Value: "wal", Usage: "`STORE` of the log, wal or boltdb"},
		&cli.Int64Flag{Name: flagMinFreeDisk, Usage: "refuse to grow below this many free `BYTES`; negative never refuses", DefaultText: "5 % of the disk, at least 2 GiB"},
		&cli.StringFlag{Name: flagTLSCert, Usage: "`FILE` with the certificate for clients"},
		&cli.StringFlag{Name: flagTLSKey, Usage: "`FILE` with the key of the certificate"},
		&cli.BoolFlag{Name: flagInsecure, Usage: "serve clients on an address that is not loopback without TLS"},
		&cli.StringFlag{Name: flagLogLevel, Value: "info", Usage: "`LEVEL` of the log on stderr: debug, info, warn, error"},
		&cli.StringFlag{Name: flagLogFormat, Value: "text", Usage: "`FORMAT` of the log, text or json"},
		&cli.BoolFlag{Name: flagStopWithStdin, Hidden: true, Usage: "stop gracefully at the end of stdin"},
	}
}

func serverConfig(c *cli.Context) cluster.Config {
	return cluster.Config{
		DataDir:         c.String(flagDataDir),
		Name:            c.String(flagName),
		ClientAddr:      c.String(flagClientAddr),
		PeerAddr:        c.String(flagPeerAddr),
		GossipAddr:      c.String(flagGossipAddr),
		HTTPAddr:        c.String(flagHTTPAddr),
		AdvertiseHost:   c.String(flagAdvertiseHost),
		SecretFile:      c.String(flagSecretFile),
		BootstrapExpect: c.Int(flagBootstrapExpect),
		Join:            splitAddresses(c.StringSlice(flagJoin)...),
		LogStore:        c.String(flagLogStore),
		Voters:          c.Int(flagVoters),
		MinFreeDisk:     c.Int64(flagMinFreeDisk),
		TLSCert:         c.String(flagTLSCert),
		TLSKey:          c.String(flagTLSKey),
		Insecure:        c.Bool(flagInsecure),
		Version:         programVersion(),
	}
}

// logConfig tells what the node runs with. It names the secret's file, never
// the secret.
func logConfig(logger *slog.Logger, cfg cluster.Config) {
	logger.Info("effective configuration",
		"data_dir", cfg.DataDir, "name", cfg.Name,
		"client_addr", cfg.ClientAddr, "peer_addr", cfg.PeerAddr, "gossip_addr", cfg.GossipAddr, "http_addr", cfg.HTTPAddr,
		"advertise_host", cfg.AdvertiseHost, "cluster_secret_file", cfg.SecretFile,
		"bootstrap_expect", cfg.BootstrapExpect, "join", cfg.Join,
		"voters", cmp.Or(cfg.Voters, max(cluster.DefaultVoters, cfg.BootstrapExpect)),
		"log_store", cfg.LogStore, "min_free_disk", cfg.MinFreeDisk,
		"tls_cert", cfg.TLSCert, "tls_key", cfg.TLSKey, "insecure", cfg.Insecure, "version", cfg.Version)
}

// splitAddresses splits lists of addresses at commas and drops empty ones.
func splitAddresses(lists ...string) []string {
	var addresses []string
	for _, list := range lists {
		for a := range strings.SplitSeq(list, ",") {
			if a = strings.TrimSpace(a); a != "" && !slices.Contains(addresses, a) {
				addresses = append(addresses, a)
			}
		}
	}
	return addresses
}
