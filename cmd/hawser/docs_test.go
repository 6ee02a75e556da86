// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documentedCommand finds a call of the program in a shell block.
var documentedCommand = regexp.MustCompile(`(?:^|[|(]\s*|\s)(?:go run \./cmd/hawser|bin/hawser|\./hawser|hawser) ([a-z].*)`)

// Claim: every command line in the shell blocks of the documents is one that
// the program takes: its commands and flags exist.
func TestDocuments_CommandLinesParse(t *testing.T) {
	var files []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "examples/*/*.md"} {
		found, err := filepath.Glob(filepath.Join("../..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	checked := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range shellLines(string(text)) {
			match := documentedCommand.FindStringSubmatch(line)
			if match == nil {
				continue
			}
			checked++
			words := append([]string{"hawser"}, documentedWords(match[1])...)
			if _, err := arrange((&program{}).app(), words, noEnvironment); err != nil {
				t.Errorf("%s: %q: %v", file, line, err)
			}
		}
	}
	if checked < 5 {
		t.Errorf("only %d command lines found in %d documents: the check checks nothing", checked, len(files))
	}
}

// shellLines returns the lines of the shell blocks of a document, continued
// lines joined and comments cut.
func shellLines(document string) []string {
	var lines []string
	inside := false
	for line := range strings.SplitSeq(strings.ReplaceAll(document, "\\\n", " "), "\n") {
		if strings.HasPrefix(line, "```") {
			inside = !inside && strings.HasPrefix(line, "```sh")
			continue
		}
		if inside {
			code, _, _ := strings.Cut(line, "  #")
			lines = append(lines, code)
		}
	}
	return lines
}

// documentedWords splits a documented command at spaces, up to a redirection,
// a pipe or an ampersand.
func documentedWords(command string) []string {
	var words []string
	for word := range strings.FieldsSeq(command) {
		if word == "|" || word == "&" || word == "&&" || strings.HasPrefix(word, ">") || strings.HasPrefix(word, "2>") || strings.HasPrefix(word, "<") {
			break
		}
		words = append(words, strings.Trim(word, `"')`))
	}
	return words
}
