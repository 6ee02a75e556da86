// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawser_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hawserdb/hawser/internal/halt"
)

// Claim: every source file that people write says whose it is and under which
// licence.
func TestHygiene_LicenceHeaders(t *testing.T) {
	const owner, licence = "Copyright 2026 The Hawser Authors\n", "SPDX-License-Identifier: Apache-2.0\n"
	for _, file := range tree(t, ".go", ".proto") {
		text := read(t, file)
		if !isGenerated(text) && !strings.HasPrefix(text, "// "+owner+"// "+licence+"\n") {
			t.Errorf("%s does not begin with the licence header and a blank line", file)
		}
	}
	for _, file := range []string{"Makefile", ".ci/run", ".ci/fuzz"} {
		if text := read(t, file); !strings.Contains(text, "# "+owner+"# "+licence) {
			t.Errorf("%s has no licence header", file)
		}
	}
}

// Claim: every package says what it is, in one place.
func TestHygiene_PackageDocs(t *testing.T) {
	docs := map[string][]string{} // folder -> files with a package comment
	for _, file := range tree(t, ".go") {
		text := read(t, file)
		if strings.HasSuffix(file, "_test.go") || isGenerated(text) {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Dir(file)
		docs[dir] = append(docs[dir], nil...)
		if parsed.Doc == nil {
			continue
		}
		docs[dir] = append(docs[dir], file)
		begin, text := "Package "+parsed.Name.Name+" ", parsed.Doc.Text()
		if parsed.Name.Name == "main" { // "Command x", or the program's own name
			begin = filepath.Base(dir) + " "
			text = strings.ToLower(text[:1]) + text[1:]
			text = strings.TrimPrefix(text, "command ")
		}
		if !strings.HasPrefix(text, begin) {
			t.Errorf("%s: the package comment does not begin with %q", file, begin)
		}
	}
	for dir, files := range docs {
		if len(files) != 1 {
			t.Errorf("%s: %d package comments, want one: %v", dir, len(files), files)
		}
	}
}

var (
	markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading      = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	codeBlock    = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	notInAnchor  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// Claim: links between our documents lead somewhere.
func TestHygiene_MarkdownLinks(t *testing.T) {
	for _, file := range tree(t, ".md") {
		for _, match := range markdownLink.FindAllStringSubmatch(codeBlock.ReplaceAllString(read(t, file), ""), -1) {
			if strings.Contains(match[1], "://") || strings.HasPrefix(match[1], "mailto:") {
				continue
			}
			if err := checkLink(file, match[1]); err != nil {
				t.Errorf("%s: link %s: %v", file, match[1], err)
			}
		}
	}
}

// Claim: the check above finds a missing file and a missing heading.
func TestHygiene_LinkCheckerFindsFaults(t *testing.T) {
	for link, good := range map[string]bool{
		"docs/decisions/README.md": true, "Makefile": true, "CONTRIBUTING.md#commits": true,
		"no-such-file.md": false, "CONTRIBUTING.md#no-such-heading": false, "#no-such-heading": false,
	} {
		if err := checkLink("README.md", link); (err == nil) != good {
			t.Errorf("checkLink(%q) = %v, want it to be good: %v", link, err, good)
		}
	}
}

func checkLink(from, link string) error {
	path, anchor, _ := strings.Cut(link, "#")
	target := from
	if path != "" {
		target = filepath.Join(filepath.Dir(from), filepath.FromSlash(path))
	}
	if _, err := os.Stat(target); err != nil {
		return err
	}
	if anchor == "" {
		return nil
	}
	text, err := os.ReadFile(target)
	if err != nil {
		return err
	}
	for _, match := range heading.FindAllStringSubmatch(codeBlock.ReplaceAllString(string(text), ""), -1) {
		slug := strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(match[1]), ""), " ", "-")
		if slug == anchor {
			return nil
		}
	}
	return fmt.Errorf("%s has no heading for #%s", target, anchor)
}

// Claim: decisions are numbered without gaps, titled, and listed in the index.
func TestHygiene_Decisions(t *testing.T) {
	files, err := filepath.Glob("docs/decisions/[0-9]*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("no decision records: %v", err)
	}
	index := read(t, "docs/decisions/README.md")
	slices.Sort(files)
	for i, file := range files {
		name := filepath.Base(file)
		number := fmt.Sprintf("%04d", i+1)
		if !strings.HasPrefix(name, number+"-") {
			t.Errorf("%s should be number %s: numbers have no gap and no double", file, number)
		}
		if title := "# " + number + ": "; !strings.HasPrefix(read(t, file), title) {
			t.Errorf("%s does not begin with %q", file, title)
		}
		if !strings.Contains(index, "]("+name+")") {
			t.Errorf("%s is not linked from docs/decisions/README.md", file)
		}
	}
}

var (
	command    = regexp.MustCompile(`(?m)^(?:\$ )?(?:[A-Z_]+=\S+ )*(make|go run) +(\S+)`)
	fenced     = regexp.MustCompile("(?ms)^ *```(?:sh|console|bash)\n(.*?)^ *```")
	makeTarget = regexp.MustCompile(`(?m)^([a-z-]+):`)
)

// Claim: what the documents tell people to type with make and go run exists.
func TestHygiene_DocumentedCommands(t *testing.T) {
	var targets []string
	for _, match := range makeTarget.FindAllStringSubmatch(read(t, "Makefile"), -1) {
		targets = append(targets, match[1])
	}
	checked := 0
	for _, file := range tree(t, ".md") {
		for _, block := range fenced.FindAllStringSubmatch(read(t, file), -1) {
			for _, match := range command.FindAllStringSubmatch(block[1], -1) {
				checked++
				switch program, arg := match[1], match[2]; {
				case program == "make" && !slices.Contains(targets, arg):
					t.Errorf("%s: make has no target %q", file, arg)
				case program == "go run" && strings.HasPrefix(arg, "./"):
					if sources, _ := filepath.Glob(filepath.Join(arg, "*.go")); len(sources) == 0 {
						t.Errorf("%s: go run %s: no such package", file, arg)
					}
				}
			}
		}
	}
	if checked == 0 {
		t.Error("no command found in any document: the check checks nothing")
	}
}

// Claim: the operations guide explains every exit code with which a node can
// stop itself, in the same words as the node.
func TestHygiene_ExitCodesAreDocumented(t *testing.T) {
	guide := read(t, "docs/operations.md")
	last := halt.Directory
	for ; !strings.HasPrefix(last.String(), "reason "); last++ {
		if row := fmt.Sprintf("| %d | %s | ", last.ExitCode(), last); !strings.Contains(guide, row) {
			t.Errorf("docs/operations.md has no row %q", row)
		}
	}
	if last <= halt.Removed {
		t.Errorf("only codes up to %d were checked", last-1)
	}
}

// tree returns the files of the repository with one of the extensions, in
// order, leaving out what is not ours to write.
func tree(t *testing.T, extensions ...string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && (name == "bin" || name == "node_modules" || name == "testdata" || name == ".git") {
			return fs.SkipDir
		}
		if !entry.IsDir() && slices.Contains(extensions, filepath.Ext(path)) {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no %v files found", extensions)
	}
	return files
}

var generatedMark = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

func isGenerated(text string) bool { return generatedMark.MatchString(text) }

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
