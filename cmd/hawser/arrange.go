// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// arrange puts a command line into the one order that cli/v2 understands:
// the command's path, its flags, "--", its arguments. Without it cli ignores
// flags after arguments without a word. Flags of the environment are added
// where the line has none of that name.
//
// Flags stop at "--". A flag with a separate value takes the next word
// whatever it looks like. Global flags may stand before the command too.
// Errors are usage errors.
func arrange(app *cli.App, args []string, getenv func(string) string) ([]string, error) {
	words := args[1:]
	switch {
	case len(words) > 0 && words[0] == "help":
		words = append(slices.Clone(words[1:]), "--help")
	case len(words) == 1 && words[0] == "--version":
		words = []string{"version"}
	}
	a := arranger{commands: app.Commands, known: globalFlags(), set: map[string]bool{}}
	if err := a.take(words); err != nil {
		return nil, ofCommand(strings.Join(a.path, " "), err)
	}
	switch {
	case a.help:
		return slices.Concat(args[:1], a.path, []string{"--help"}), nil
	case len(a.path) == 0:
		return nil, usageErrorf("which command? One of: %s", names(app.Commands))
	case a.leaf == nil:
		return nil, ofCommand(a.path[0], usageErrorf("%s: which command? One of: %s", a.path[0], names(a.commands)))
	}
	flags := append(a.environment(getenv), a.flags...)
	return slices.Concat(args[:1], a.path, flags, []string{"--"}, a.arguments), nil
}

// arranger sorts the words of one command line.
type arranger struct {
	commands []*cli.Command // that the next word may name
	known    []cli.Flag     // that may stand here
	leaf     *cli.Command   // nil until it was named

	path, flags, arguments []string
	set                    map[string]bool // first names of the flags in flags
	help                   bool
}

func (a *arranger) take(words []string) error {
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		switch {
		case word == "--":
			if a.leaf == nil && len(words) > 0 {
				return usageErrorf("\"--\" stands before the command")
			}
			a.arguments = append(a.arguments, words...)
			return nil
		case len(word) > 1 && word[0] == '-':
			rest, err := a.takeFlag(word, words)
			if err != nil {
				return err
			}
			words = rest
		case a.leaf != nil:
			a.arguments = append(a.arguments, word)
		default:
			if err := a.takeCommand(word); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *arranger) takeCommand(word string) error {
	i := slices.IndexFunc(a.commands, func(c *cli.Command) bool { return c.HasName(word) })
	if i < 0 {
		return usageErrorf("unknown command %q; there are: %s", strings.Join(append(a.path, word), " "), names(a.commands))
	}
	command := a.commands[i]
	a.path = append(a.path, command.Name)
	a.commands = command.Subcommands
	if len(command.Subcommands) == 0 {
		a.leaf, a.known = command, command.Flags
	}
	return nil
}

// takeFlag takes one flag and, from the words after it, its value.
func (a *arranger) takeFlag(word string, rest []string) ([]string, error) {
	name, _, hasValue := strings.Cut(strings.TrimLeft(word, "-"), "=")
	if name == "help" || name == "h" {
		a.help = true
		return rest, nil
	}
	i := slices.IndexFunc(a.known, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
	switch {
	case i < 0 && a.leaf == nil:
		return nil, usageErrorf("unknown flag %s before the command; a command's own flags stand after its name", word)
	case i < 0:
		return nil, usageErrorf("unknown flag %s%s", word, similar(name, a.known))
	}
	f := a.known[i]
	a.set[f.Names()[0]] = true
	a.flags = append(a.flags, word)
	if hasValue || isBoolean(f) {
		return rest, nil
	}
	if len(rest) == 0 {
		return nil, usageErrorf("flag %s needs a value", word)
	}
	a.flags = append(a.flags, rest[0])
	return rest[1:], nil
}

// environment returns the flags of the leaf that the environment sets and the
// command line does not.
func (a *arranger) environment(getenv func(string) string) []string {
	var flags []string
	for _, f := range a.leaf.Flags {
		name := f.Names()[0]
		variable := environmentName(a.leaf, name)
		if variable == "" || a.set[name] {
			continue
		}
		if value := getenv(variable); value != "" {
			flags = append(flags, fmt.Sprintf("--%s=%s", name, value))
		}
	}
	return flags
}

func isBoolean(f cli.Flag) bool {
	_, ok := f.(*cli.BoolFlag)
	return ok
}

func names(commands []*cli.Command) string {
	var all []string
	for _, c := range commands {
		if !c.Hidden {
			all = append(all, c.Name)
		}
	}
	return strings.Join(all, ", ")
}

// similar returns "; did you mean --x?" when a known flag is close to name.
func similar(name string, known []cli.Flag) string {
	if s := cli.SuggestFlag(known, name, true); len(s) > len("-x") {
		return fmt.Sprintf("; did you mean %s?", s)
	}
	return ""
}
