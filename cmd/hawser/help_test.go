// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// Claim: the help of every command is what testdata shows, and "help X" and
// "X --help" are the same, on stdout with exit code 0.
func TestHelp_Golden(t *testing.T) {
	var all strings.Builder
	for _, path := range append([][]string{{}}, commandPaths((&program{}).app().Commands, nil)...) {
		asked := command(t, nil, append([]string{"help"}, path...)...)
		flagged := command(t, nil, append(path, "--help")...)
		if asked != flagged {
			t.Errorf("hawser help %s and hawser %s --help differ", strings.Join(path, " "), strings.Join(path, " "))
		}
		if asked.code != codeOK || asked.stderr != "" {
			t.Errorf("help %v: code %d, stderr %q", path, asked.code, asked.stderr)
		}
		all.WriteString("$ hawser help " + strings.Join(path, " ") + "\n" + asked.stdout + "\n")
	}
	golden(t, "help.txt", all.String())
}

// commandPaths returns the words of every visible command.
func commandPaths(commands []*cli.Command, above []string) [][]string {
	var paths [][]string
	for _, c := range commands {
		if c.Hidden {
			continue
		}
		path := append(append([]string{}, above...), c.Name)
		paths = append(append(paths, path), commandPaths(c.Subcommands, path)...)
	}
	return paths
}

// Claim: every leaf shows at least one example, and each example is a command
// line that the program itself takes.
func TestHelp_ExamplesParse(t *testing.T) {
	for _, leaf := range leaves((&program{}).app().Commands) {
		examples := examplesOf(leaf)
		if len(examples) == 0 {
			t.Errorf("%s has no example", leaf.HelpName)
		}
		for _, example := range examples {
			words := append([]string{"hawser"}, shellWords(example)...)
			if _, err := arrange((&program{}).app(), words, noEnvironment); err != nil {
				t.Errorf("example %q: %v", example, err)
			}
		}
	}
}

// examplesOf returns the arguments of the example lines of a leaf's help:
// what stands after "hawser" on the indented lines, continued ones joined.
func examplesOf(leaf *cli.Command) []string {
	var examples []string
	text := strings.ReplaceAll(leaf.Description, "\\\n", "")
	for line := range strings.SplitSeq(text, "\n") {
		if !strings.HasPrefix(line, "   ") {
			continue
		}
		if _, arguments, found := strings.Cut(line, "hawser "); found {
			examples = append(examples, strings.TrimSuffix(arguments, ")"))
		}
	}
	return examples
}

// shellWords splits a line as a shell does, as far as the examples need it: by
// spaces that are not within double quotes.
func shellWords(line string) (words []string) {
	word, quoted, begun := strings.Builder{}, false, false
	for _, r := range line {
		switch {
		case r == '"':
			quoted, begun = !quoted, true
		case r == ' ' && !quoted:
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}

func noEnvironment(string) string { return "" }
