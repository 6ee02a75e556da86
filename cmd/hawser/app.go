// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// app returns the command tree. cli/v2 parses and prints help; what it gets
// wrong about the order of flags, arrange has put right before.
func (p *program) app() *cli.App {
	app := &cli.App{
		Name:  "hawser",
		Usage: "a replicated store for the state of AI agents",
		Description: "Flags may stand before or after arguments; -- ends them. Exit codes: 0 ok, 1 error, 2 usage,\n" +
			"3 not found, 4 conflict or fenced, 5 unavailable, 6 outcome unknown.",
		UsageText:                 "hawser COMMAND [flags] [arguments]",
		HideVersion:               true,
		HideHelpCommand:           true,
		DisableSliceFlagSeparator: true,
		CustomAppHelpTemplate:     appHelp,
		Reader:                    p.stdin,
		Writer:                    p.stdout,
		ErrWriter:                 p.stderr,
		// report prints errors and chooses the code; cli must neither print nor exit.
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   func(_ *cli.Context, err error, _ bool) error { return err },
		Commands: []*cli.Command{
			p.server(), p.dev(), p.demo(),
			group("state", "save, restore and list the states of agents",
				p.stateSave(), p.stateRestore(), p.stateVersions(), p.stateShow(), p.stateDiff(), p.stateRollback(),
				p.statePin(), p.stateVerify(), p.stateImpact()),
			group("agent", "list, show, own, fork and delete agents", p.agentList(), p.agentShow(), p.agentRun(), p.agentClaims(),
				p.agentHandover(), p.agentUnclaim(), p.agentHealth(), p.agentAnomalies(), p.agentEvents(), p.agentQuarantine(), p.agentRelease(), p.agentFork(), p.agentDelete()),
			p.lock(), p.watchEvents(), p.txn(), p.message(), p.effect(), p.cut(),
			group("retention", "say which versions are kept", p.retentionShow(), p.retentionSet()),
			group("cluster", "show and change the set of nodes", p.clusterStatus(), p.clusterMembers(),
				p.clusterTransfer(), p.clusterPromote(), p.clusterRemove()),
			p.snapshot(),
			group("bench", "measure a cluster", p.benchSave(), p.benchRestore(), p.benchTrace(), p.benchLarge(), p.benchFailover(),
				p.benchLeases(), p.benchAgents(), p.benchWatch(), p.benchTxn()),
			group("secret", "make cluster secrets", p.secretGenerate()),
			p.version(), p.completion(),
		},
	}
	for _, leaf := range leaves(app.Commands) {
		p.finish(leaf)
	}
	app.Setup() // which cli runs once: after nameAll it would put the program's name before the names again
	nameAll(app.Name, app.Commands)
	return app
}

// nameAll sets the full name of every command, such as "hawser state save".
func nameAll(above string, commands []*cli.Command) {
	for _, c := range commands {
		c.HelpName = above + " " + c.Name
		nameAll(c.HelpName, c.Subcommands)
	}
}

// group returns a command that only holds others.
func group(name, usage string, commands ...*cli.Command) *cli.Command {
	return &cli.Command{
		Name: name, Usage: usage, Subcommands: commands, HideHelpCommand: true,
		UsageText: "hawser " + name + " COMMAND [flags] [arguments]", CustomHelpTemplate: groupHelp,
	}
}

// leaves returns the commands that do something.
func leaves(commands []*cli.Command) []*cli.Command {
	var found []*cli.Command
	for _, c := range commands {
		if len(c.Subcommands) == 0 {
			found = append(found, c)
			continue
		}
		found = append(found, leaves(c.Subcommands)...)
	}
	return found
}

// finish gives a leaf what every leaf has: the global flags, the names of
// environment variables in its help, a check of the number of arguments.
func (p *program) finish(leaf *cli.Command) {
	leaf.Flags = append(leaf.Flags, globalFlags()...)
	for _, f := range leaf.Flags {
		document(leaf, f)
	}
	leaf.HideHelpCommand = true // or an agent called "help" would print help
	leaf.CustomHelpTemplate = leafHelp
	leaf.OnUsageError = func(_ *cli.Context, err error, _ bool) error { return ofCommand(leaf.HelpName, badValue(leaf, err)) }
	action := leaf.Action
	leaf.Action = func(c *cli.Context) error {
		if err := checkArguments(leaf, c.Args().Slice()); err != nil {
			return ofCommand(leaf.HelpName, err)
		}
		return ofCommand(leaf.HelpName, action(c))
	}
}

// badValue says in our words that a flag's value could not be read.
func badValue(leaf *cli.Command, err error) error {
	text := strings.TrimSuffix(strings.ReplaceAll(err.Error(), "for flag -", "for flag --"), ": parse error")
	for _, f := range leaf.Flags {
		if _, ok := f.(*cli.DurationFlag); ok && strings.HasSuffix(text, " --"+f.Names()[0]) {
			text += ": a duration has a unit, such as 5s or 1m30s"
		}
	}
	return usageError(text)
}

// checkArguments compares the arguments with ArgsUsage, in which brackets
// mark those that may be left out.
func checkArguments(leaf *cli.Command, arguments []string) error {
	names := strings.Fields(leaf.ArgsUsage)
	needed := 0
	for _, n := range names {
		if !strings.HasPrefix(n, "[") {
			needed++
		}
	}
	if len(arguments) < needed {
		return usageErrorf("%s is missing", names[len(arguments)])
	}
	if len(arguments) > len(names) && !strings.HasSuffix(leaf.ArgsUsage, "...]") {
		return usageErrorf("surplus argument %q", arguments[len(names)])
	}
	return nil
}
