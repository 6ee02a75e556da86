// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawser_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Claim: every hawser command in a document exists and knows the flags that
// it is given there. Method: the built program is asked for help with the
// documented words, which it refuses when it does not know one.
func TestDocs_CommandsAreKnown(t *testing.T) {
	program := filepath.Join(t.TempDir(), "hawser")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	goCommand(t, "build", "-o", program, "./cmd/hawser")
	checked := 0
	for _, file := range tree(t, ".md") {
		for _, block := range fenced.FindAllStringSubmatch(read(t, file), -1) {
			for _, words := range documentedCommands(block[1]) {
				checked++
				if out, err := exec.CommandContext(t.Context(), program, append(words, "--help")...).CombinedOutput(); err != nil {
					t.Errorf("%s: hawser %s: %v\n%s", file, strings.Join(words, " "), err, out)
				}
			}
		}
	}
	if checked < 10 {
		t.Errorf("only %d commands found in the documents: the search is broken", checked)
	}
	if out, err := exec.CommandContext(t.Context(), program, "state", "save", "a", "--no-such-flag", "--help").CombinedOutput(); err == nil {
		t.Errorf("an unknown flag passes, so the check checks nothing: %s", out)
	}
}

// Claim: the search finds commands in all the forms in which documents write
// them, and takes nothing else of the line.
func TestDocs_CommandSearch(t *testing.T) {
	block := `make build
bin/hawser secret generate -f secret
echo '{"a":1}' | go run ./cmd/hawser state save x --label "k=v" # a comment
  bin/hawser server --name "n$1" \
    --join a:1,b:2 2> log &
hawser state versions x | head
hawser agent run x --ttl 1s -- sh x.sh
export HAWSER_ENDPOINTS=a:1
`
	want := []string{
		"secret generate -f secret", "state save x --label k=v", "server --name n$1 --join a:1,b:2", "state versions x",
		"agent run x --ttl 1s",
	}
	var got []string
	for _, words := range documentedCommands(block) {
		got = append(got, strings.Join(words, " "))
	}
	if !slices.Equal(got, want) {
		t.Errorf("found %q\nwant  %q", got, want)
	}
}

var (
	callsHawser = regexp.MustCompile(`(?:^|\| )\s*(?:\$ )?(?:bin/|go run \./cmd/)?hawser +(.*)`)
	endOfCall   = regexp.MustCompile(` (?:\||#|&|\d?>|-- ).*$`)
)

// documentedCommands returns the words after "hawser" of each call in a block
// of shell, without the command that one is to run after "--".
func documentedCommands(block string) [][]string {
	var calls [][]string
	for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", " ")) {
		if match := callsHawser.FindStringSubmatch(strings.TrimSpace(line)); match != nil {
			call := endOfCall.ReplaceAllString(match[1], "")
			calls = append(calls, strings.Fields(strings.NewReplacer(`"`, "", "'", "").Replace(call)))
		}
	}
	return calls
}
