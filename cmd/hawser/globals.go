// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// Names of the flags that every command has.
const (
	flagEndpoints = "endpoints"
	flagNamespace = "namespace"
	flagTimeout   = "timeout"
	flagOutput    = "output"
	flagTLSCA     = "tls-ca"

	globalCategory = "GLOBAL FLAGS"
)

// defaultTimeout bounds one call with all its retries.
const defaultTimeout = 10 * time.Second

func globalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: flagEndpoints, Category: globalCategory, Value: "127.0.0.1:7420",
			Usage: "client `ADDRESSES` of nodes, separated by commas; any node takes any request",
		},
		&cli.StringFlag{
			Name: flagNamespace, Category: globalCategory, Value: "default", Usage: "`NAMESPACE` of agents",
		},
		&cli.DurationFlag{
			Name: flagTimeout, Category: globalCategory, Value: defaultTimeout,
			Usage: "give up after this `DURATION`, retries included",
		},
		&cli.StringFlag{
			Name: flagOutput, Aliases: []string{"o"}, Category: globalCategory, Value: outputTable,
			Usage: "`FORMAT` of the result, table or json", Action: checkOutput,
		},
		&cli.StringFlag{
			Name: flagTLSCA, Category: globalCategory,
			Usage: "use TLS and trust the certificates in this `FILE`; \"system\" trusts the system's",
		},
	}
}

// Flags that an environment variable can set: those that every command has, and
// those of the server. The variable's name is HAWSER_ and the flag's in capitals.
var (
	inEnvironment = map[string]bool{
		flagEndpoints: true, flagNamespace: true, flagTimeout: true, flagOutput: true, flagTLSCA: true,
	}
	inServerEnvironment = map[string]bool{
		flagDataDir: true, flagName: true, flagClientAddr: true, flagPeerAddr: true, flagGossipAddr: true,
		flagHTTPAddr: true, flagAdvertiseHost: true, flagSecretFile: true, flagBootstrapExpect: true, flagJoin: true,
		flagLogStore: true, flagLogLevel: true, flagLogFormat: true, flagMinFreeDisk: true, flagTLSCert: true,
		flagTLSKey: true, flagInsecure: true, flagVoters: true,
	}
)

// environmentName returns the variable that sets a flag of a command, or "".
func environmentName(command *cli.Command, flag string) string {
	ofServer := command.Name == "server" && inServerEnvironment[flag]
	if !inEnvironment[flag] && !ofServer {
		return ""
	}
	return "HAWSER_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// document puts the name of the variable into the flag's usage and drops
// "(default: false)".
// The flags are not given to cli as EnvVars, for then it would read the
// environment of the process, not the one that run was given.
func document(command *cli.Command, f cli.Flag) {
	if b, ok := f.(*cli.BoolFlag); ok {
		b.DisableDefaultText = true
	}
	name := environmentName(command, f.Names()[0])
	usage := reflect.ValueOf(f).Elem().FieldByName("Usage")
	if name != "" && !strings.Contains(usage.String(), name) {
		usage.SetString(usage.String() + " [$" + name + "]")
	}
}

// nodeEnvironment returns an environment without Hawser's variables: the
// nodes of a local cluster take their flags from their parent alone.
func nodeEnvironment(all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(v string) bool { return strings.HasPrefix(v, "HAWSER_") })
}
