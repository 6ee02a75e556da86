// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// completeCommand is the hidden first argument with which the scripts ask for
// what could follow the words after it; the last word is the one being typed.
// The scripts pass words as arguments and never evaluate what was typed, and
// only names of commands and flags are offered, never names of agents.
const completeCommand = "__complete"

const bashCompletion = `# bash completion for hawser; load with: source <(hawser completion bash)
_hawser() {
  local IFS=$'\n'
  COMPREPLY=($("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _hawser hawser
`

const zshCompletion = `#compdef hawser
# zsh completion for hawser; load with: source <(hawser completion zsh)
_hawser() {
  local -a found
  found=("${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "${found[1]}" ]]; then compadd -- "${found[@]}"; else _files; fi
}
compdef _hawser hawser
`

const fishCompletion = `# fish completion for hawser; load with: hawser completion fish | source
function __hawser_complete
  set -l words (commandline -opc) (commandline -ct)
  $words[1] __complete $words[2..-1] 2>/dev/null
end
complete -c hawser -a '(__hawser_complete)'
`

func (p *program) completion() *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print a script that completes commands and flags in a shell", ArgsUsage: "SHELL",
		Description: "SHELL is bash, zsh or fish.\n\nExample:\n   source <(hawser completion bash)",
		Action: func(c *cli.Context) error {
			scripts := map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}
			script, ok := scripts[c.Args().First()]
			if !ok {
				return usageErrorf("shell %q: bash, zsh or fish", c.Args().First())
			}
			_, err := io.WriteString(p.stdout, script)
			return err
		},
	}
}

// complete prints the commands or flags that the last of the words can become.
func complete(app *cli.App, words []string, w io.Writer) error {
	if len(words) == 0 {
		words = []string{""}
	}
	commands, flags := app.Commands, globalFlags()
	for _, word := range words[:len(words)-1] {
		i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(word) })
		if i < 0 {
			continue
		}
		command := commands[i]
		if commands = command.Subcommands; len(commands) == 0 {
			flags = command.Flags
		}
	}
	last := words[len(words)-1]
	for _, candidate := range candidates(commands, flags, strings.HasPrefix(last, "-")) {
		if strings.HasPrefix(candidate, last) {
			if _, err := fmt.Fprintln(w, candidate); err != nil {
				return err
			}
		}
	}
	return nil
}

func candidates(commands []*cli.Command, flags []cli.Flag, wantFlags bool) []string {
	var all []string
	if !wantFlags {
		for _, c := range commands {
			all = append(all, c.Name)
		}
		return all
	}
	for _, f := range flags {
		if visible, ok := f.(cli.VisibleFlag); !ok || visible.IsVisible() {
			all = append(all, "--"+f.Names()[0])
		}
	}
	return all
}
