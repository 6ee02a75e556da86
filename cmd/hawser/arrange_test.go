// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// spy returns the app with every leaf's action replaced by one that notes the
// leaf, its arguments and the flags that were set.
func spy(seen *string) *cli.App {
	app := (&program{getenv: noEnvironment}).app()
	for _, leaf := range leaves(app.Commands) {
		leaf.Action = func(c *cli.Context) error {
			var b strings.Builder
			fmt.Fprintf(&b, "%s %q", leaf.HelpName, c.Args().Slice())
			for _, f := range leaf.Flags {
				name := f.Names()[0]
				if _, list := f.(*cli.StringSliceFlag); list && c.IsSet(name) {
					fmt.Fprintf(&b, " %s=%q", name, c.StringSlice(name))
				} else if c.IsSet(name) {
					fmt.Fprintf(&b, " %s=%v", name, c.Value(name))
				}
			}
			*seen = b.String()
			return nil
		}
	}
	return app
}

// runSpy arranges and runs one command line and returns what the leaf saw.
func runSpy(words []string, env func(string) string) (string, error) {
	var seen string
	app := spy(&seen)
	arranged, err := arrange(app, append([]string{"hawser"}, words...), env)
	if err != nil {
		return "", err
	}
	return seen, appRun(app, arranged, &seen)
}

func appRun(app *cli.App, arranged []string, seen *string) error {
	err := app.Run(arranged)
	if err == nil && *seen == "" {
		return fmt.Errorf("nothing ran for %q", arranged)
	}
	return err
}

// value returns a value that a flag takes, written as on a command line.
func value(f cli.Flag) string {
	switch f.(type) {
	case *cli.DurationFlag:
		return "3s"
	case *cli.IntFlag, *cli.Int64Flag, *cli.Uint64Flag, *cli.Uint64SliceFlag:
		return "7"
	case *cli.StringSliceFlag:
		return "k=v,w" // a comma is not a separator
	}
	if f.Names()[0] == flagOutput {
		return outputJSON
	}
	return "text"
}

// Claim: for every leaf and every flag of it, the flag has the same effect
// before and after the arguments, between two of them, with = or as two words,
// by each of its names; global flags also before the command. Method: what the
// leaf saw is compared.
func TestArrange_EveryFlagOfEveryLeafAnywhere(t *testing.T) {
	for _, leaf := range leaves((&program{}).app().Commands) {
		path := strings.Fields(leaf.HelpName)[1:]
		arguments := slices.Repeat([]string{"arg"}, len(strings.Fields(leaf.ArgsUsage)))
		for _, f := range leaf.Flags {
			if f.Names()[0] == "help" {
				continue
			}
			want := ""
			for _, words := range placements(path, arguments, f) {
				got, err := runSpy(words, noEnvironment)
				if err != nil {
					t.Errorf("hawser %s: %v", strings.Join(words, " "), err)
					continue
				}
				if want == "" {
					want = got
				}
				if got != want || !strings.Contains(got, " "+f.Names()[0]+"=") {
					t.Errorf("hawser %s\n  saw %s\n want %s", strings.Join(words, " "), got, want)
				}
			}
		}
	}
}

// placements returns the command lines that must mean the same.
func placements(path, arguments []string, f cli.Flag) [][]string {
	var lines [][]string
	add := func(parts ...[]string) { lines = append(lines, slices.Concat(parts...)) }
	for _, name := range f.Names() {
		dashed := "--" + name
		if len(name) == 1 {
			dashed = "-" + name
		}
		forms := [][]string{{dashed, value(f)}, {dashed + "=" + value(f)}}
		if isBoolean(f) {
			forms = [][]string{{dashed}, {dashed + "=true"}}
		}
		for _, form := range forms {
			for i := range len(arguments) + 1 {
				add(path, arguments[:i], form, arguments[i:])
			}
			add(path, form, []string{"--"}, arguments)
			if isGlobal(f) {
				add(form, path, arguments)
				add(path[:1], form, path[1:], arguments)
			}
		}
	}
	return lines
}

func isGlobal(f cli.Flag) bool {
	return slices.ContainsFunc(globalFlags(), func(g cli.Flag) bool { return g.Names()[0] == f.Names()[0] })
}

// Claim: for every leaf an unknown flag, a surplus and a missing argument, and
// a flag without its value are usage errors that name the word.
func TestArrange_UsageErrorsOfEveryLeaf(t *testing.T) {
	for _, leaf := range leaves((&program{}).app().Commands) {
		path := strings.Fields(leaf.HelpName)[1:]
		names := strings.Fields(leaf.ArgsUsage)
		arguments := slices.Repeat([]string{"arg"}, len(names))
		check := func(wantText string, words ...string) {
			t.Helper()
			got := command(t, nil, words...)
			if got.code != codeUsage || !strings.Contains(got.stderr, wantText) || !strings.HasPrefix(got.stderr, "hawser: ") || got.stdout != "" {
				t.Errorf("hawser %s: code %d, stdout %q, stderr %q; want %q", strings.Join(words, " "), got.code, got.stdout, got.stderr, wantText)
			}
		}
		check("--no-such-flag", slices.Concat(path, arguments, []string{"--no-such-flag"})...)
		if !strings.HasSuffix(leaf.ArgsUsage, "...]") { // else there is no surplus
			check("\"surplus\"", slices.Concat(path, arguments, []string{"surplus"})...)
		}
		check("--endpoints", slices.Concat(path, arguments, []string{"--endpoints"})...)
		check("never", slices.Concat(path, arguments, []string{"--timeout", "never"})...)
		check("xml", slices.Concat(path, arguments, []string{"-o", "xml"})...)
		if len(names) > 0 && !strings.HasPrefix(names[0], "[") {
			check(names[0], path...)
		}
	}
}

func TestArrange_Table(t *testing.T) {
	env := func(name string) string {
		return map[string]string{"HAWSER_NAMESPACE": "crew", "HAWSER_TIMEOUT": "5s", "HAWSER_OUTPUT": "", "HAWSER_EXPECT_VERSION": "9"}[name]
	}
	for _, test := range []struct {
		line string
		want string // what the leaf saw, or the text of the error
	}{
		{"state show help", "hawser state show [\"help\"] namespace=crew timeout=5s"},
		{"state show h", "hawser state show [\"h\"] namespace=crew timeout=5s"},
		{"state show file -- ", "hawser state show [\"file\"] namespace=crew timeout=5s"},
		{"state show -- --version", "hawser state show [\"--version\"] namespace=crew timeout=5s"},
		{"state save -f - a", "hawser state save [\"a\"] file=- namespace=crew timeout=5s"},
		{"state save a --schema --overwrite", "hawser state save [\"a\"] schema=--overwrite namespace=crew timeout=5s"},
		{"state save a --label x=1,2 --label y=3", "hawser state save [\"a\"] label=[\"x=1,2\" \"y=3\"] namespace=crew timeout=5s"},
		{"--namespace own state show a", "hawser state show [\"a\"] namespace=own timeout=5s"},
		{"state show a --namespace=", "hawser state show [\"a\"] namespace= timeout=5s"},
		{"cluster transfer", "hawser cluster transfer [] namespace=crew timeout=5s"},
		{"", "which command?"},
		{"state", "state: which command? One of: save, restore, versions, show"},
		{"stat", "unknown command \"stat\""},
		{"state sav", "unknown command \"state sav\""},
		{"--overwrite state save a", "unknown flag --overwrite before the command"},
		{"-- state save a", "\"--\" stands before the command"},
		{"state save a --expect-versio 3", "did you mean --expect-version?"},
	} {
		got, err := runSpy(strings.Fields(test.line), env)
		if err != nil {
			got = err.Error()
		}
		if err != nil && !strings.Contains(got, test.want) || err == nil && got != test.want {
			t.Errorf("hawser %s\n  got %s\n want %s", test.line, got, test.want)
		}
	}
}

// Claim: no words make the parser panic, and what it accepts cli accepts as the
// same leaf: path first, then flags, then "--".
func FuzzArrange(f *testing.F) {
	for _, seed := range []string{
		"state save a --label k=v -f x", "help state save", "-o json version", "state -- save", "cluster remove --force n1", "--=", "- -", "-- --", "state save -f",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words := strings.Split(line, " ")
		app := (&program{getenv: noEnvironment}).app()
		arranged, err := arrange(app, append([]string{"hawser"}, words...), noEnvironment)
		if err != nil {
			if exitCode(err) != codeUsage {
				t.Errorf("not a usage error: %v", err)
			}
			return
		}
		if len(arranged) < 2 || arranged[0] != "hawser" || !slices.Contains(arranged, "--") && !slices.Contains(arranged, "--help") {
			t.Errorf("arranged %q", arranged)
		}
	})
}
