// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package hawser_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/hawserdb/hawser"

// arrows is the dependency picture: a package and those below it never
// depend, directly or through others, on anything with a forbidden prefix.
var arrows = []struct {
	name      string // below the module; "" is the root alone
	forbidden []string
	later     bool // comes with a later feature: may be missing
}{
	{name: "", forbidden: ours("")},
	{name: "txn", forbidden: append(ours("api", "client", "cluster", "fsm", "gossip", "snapshot", "internal"), servers...)},
	{name: "snapshot", forbidden: append(ours("api", "client", "cluster", "fsm", "gossip", "txn", "internal/engine", "internal/wire"), servers...)},
	{name: "internal/frame", forbidden: append(ours("api", "client", "cluster", "fsm", "gossip", "snapshot", "txn", "internal/delta", "internal/engine", "internal/record", "internal/wire"), servers...)},
	{name: "internal/diff", forbidden: append(ours("api", "client", "cluster", "fsm", "gossip", "snapshot", "txn", "internal"), servers...)},
	{name: "internal/delta", forbidden: append(ours("api", "client", "cluster", "fsm", "gossip", "snapshot", "txn", "internal/engine", "internal/record", "internal/wire"), servers...)},
	{name: "internal/record", forbidden: append(ours("api", "client", "cluster", "fsm", "gossip", "snapshot", "txn", "internal/engine", "internal/wire"), servers...)},
	{name: "internal/engine", forbidden: append(ours("api", "client", "cluster", "fsm", "gossip", "snapshot", "txn", "internal/wire", "internal/record"), "github.com/hashicorp", "google.golang.org/grpc")},
	{name: "internal/wire", forbidden: append(ours("client", "cluster", "fsm", "gossip", "snapshot", "internal/engine"), "github.com/hashicorp", "github.com/cockroachdb")},
	{name: "gossip", forbidden: append(ours("api", "client", "cluster", "fsm", "snapshot", "txn", "internal/engine", "internal/record", "internal/wire"), "github.com/hashicorp/raft", "github.com/cockroachdb", "google.golang.org/grpc")},
	{name: "fsm", forbidden: append(ours("api", "client", "cluster", "gossip", "internal/wire", "internal/peerpb"), "github.com/hashicorp", "google.golang.org/grpc")},
	{name: "client", forbidden: append(ours("cluster", "fsm", "gossip", "snapshot", "internal/engine", "internal/peerpb", "internal/halt"),
		"github.com/hashicorp", "github.com/cockroachdb", "go.etcd.io", "github.com/urfave", "github.com/prometheus")},
	{name: "cluster", forbidden: append(ours("client", "cmd", "hawsertest", "jepsen"), "github.com/urfave")},
	{name: "cluster/scrub", forbidden: append(ours("api", "client", "cluster", "gossip", "internal/wire", "internal/peerpb"), "github.com/hashicorp", "google.golang.org/grpc")},
	{name: "cluster/janitor", forbidden: append(ours("api", "client", "cluster", "gossip", "internal/wire", "internal/peerpb"), "github.com/hashicorp", "google.golang.org/grpc")},
	{name: "cluster/catchup", forbidden: ours("client", "gossip", "cluster/service", "cluster/membership", "cluster/janitor", "cluster/scrub")},
	{name: "jepsen", later: true, forbidden: ours("cluster", "fsm", "gossip", "internal/engine", "internal/peerpb")},
}

// servers are the libraries that only the server needs.
var servers = []string{"github.com/hashicorp", "github.com/cockroachdb", "go.etcd.io", "google.golang.org/grpc"}

// homes are the libraries that stop at one adapter: only packages below the
// home import them.
var homes = map[string]string{
	"github.com/hashicorp/raft":       "cluster/consensus", // and its sisters: raft-wal, raft-boltdb
	"go.etcd.io/bbolt":                "cluster/consensus",
	"github.com/hashicorp/memberlist": "gossip",
	"github.com/cockroachdb/pebble":   "internal/engine",
	"github.com/urfave/cli":           "cmd",
}

// pins are versions with a reason, see docs/decisions/0002-dependencies.md.
var pins = map[string]string{
	"github.com/hashicorp/raft":           "v1.7.3",
	"github.com/hashicorp/raft-boltdb/v2": "v2.3.1",
	"github.com/hashicorp/raft-wal":       "v0.4.0",
	"github.com/hashicorp/memberlist":     "v0.6.0",
	"github.com/cockroachdb/pebble/v2":    "v2.1.7",
	"github.com/klauspost/compress":       "v1.20.3",
	"github.com/urfave/cli/v2":            "v2.27.7",
}

// Claim: the packages depend on each other, and on libraries, only along the
// arrows of ARCHITECTURE.md. Method: the whole dependency tree of each, as
// the go command sees it, test files left out.
func TestDependencies_FollowTheArrows(t *testing.T) {
	g := listPackages(t)
	for _, a := range arrows {
		packages := g.below(a.name)
		if len(packages) == 0 && !a.later {
			t.Errorf("package %s does not exist: the arrows check nothing", a.name)
		}
		for _, p := range packages {
			for _, bad := range a.forbidden {
				if path := g.path(p, bad); path != nil {
					t.Errorf("forbidden dependency: %s", strings.Join(path, " -> "))
				}
			}
		}
	}
}

// Claim: a library that is wrapped is imported by its wrapper alone, so that
// its types and traps stay in one place.
func TestDependencies_LibrariesStayAtHome(t *testing.T) {
	g := listPackages(t)
	for _, p := range slices.Sorted(maps.Keys(g)) {
		if !hasPrefix(p, module) {
			continue
		}
		for _, imported := range g[p] {
			for library, home := range homes {
				if hasPrefix(imported, library) && !hasPrefix(p, module+"/"+home) {
					t.Errorf("%s imports %s, which belongs to %s", p, imported, home)
				}
			}
		}
	}
}

// Claim: the checks above find what they look for. Method: a graph with one
// forbidden path through a third package, and prefixes that only look alike.
func TestDependencies_CheckerFindsPaths(t *testing.T) {
	g := graph{
		module + "/client":   {module + "/api", "github.com/hashicorpse/x"},
		module + "/clienteq": {"github.com/hashicorp/raft"},
		module + "/api":      {"github.com/hashicorp/raft-wal"},
	}
	want := []string{module + "/client", module + "/api", "github.com/hashicorp/raft-wal"}
	if got := g.path(module+"/client", "github.com/hashicorp"); !slices.Equal(got, want) {
		t.Errorf("path = %v, want %v", got, want)
	}
	if got := g.path(module+"/client", "github.com/hashicorp/memberlist"); got != nil {
		t.Errorf("path to a package nobody imports = %v", got)
	}
	if got := g.below("client"); !slices.Equal(got, []string{module + "/client"}) {
		t.Errorf("below(client) = %v", got)
	}
	if !hasPrefix("github.com/hashicorp/raft-wal/fs", "github.com/hashicorp/raft") {
		t.Error("raft's sister modules must count as raft")
	}
}

// Claim: go.mod names the versions that were tested together, and a user can
// `go install` the binary (replace and exclude forbid that).
func TestDependencies_PinsHold(t *testing.T) {
	var mod struct {
		Require          []struct{ Path, Version string }
		Replace, Exclude []any
	}
	if err := json.Unmarshal(goCommand(t, "mod", "edit", "-json"), &mod); err != nil {
		t.Fatal(err)
	}
	if len(mod.Replace) > 0 || len(mod.Exclude) > 0 {
		t.Errorf("go.mod must have no replace (%v) and no exclude (%v)", mod.Replace, mod.Exclude)
	}
	found := map[string]string{}
	for _, r := range mod.Require {
		found[r.Path] = r.Version
	}
	for path, want := range pins {
		if found[path] != want {
			t.Errorf("go.mod requires %s at %q, pinned to %s", path, found[path], want)
		}
	}
	// Test-only: required as soon as a test uses it, then at this version.
	if got, ok := found["github.com/anishathalye/porcupine"]; ok && got != "v1.3.1" {
		t.Errorf("go.mod requires porcupine at %s, pinned to v1.3.1", got)
	}
}

// Claim: every module that we import ourselves has its reason on record.
func TestDependencies_HaveAReason(t *testing.T) {
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(goCommand(t, "mod", "edit", "-json"), &mod); err != nil {
		t.Fatal(err)
	}
	reasons := read(t, "docs/decisions/0002-dependencies.md")
	for _, r := range mod.Require {
		if !r.Indirect && !strings.Contains(reasons, r.Path) {
			t.Errorf("docs/decisions/0002-dependencies.md does not say why go.mod requires %s", r.Path)
		}
	}
}

// Claim: the state machine and the transaction core read no clock, no random
// source and no environment, because replicas must agree. Method: the syntax
// of every file that is built into them.
func TestDependencies_MachineIsDeterministic(t *testing.T) {
	for _, dir := range []string{"fsm", "txn"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range nondeterministic(parsed) {
				t.Errorf("%s uses %s: replicas must agree; take it from the command", file, found)
			}
		}
	}
}

// Claim: the scan above sees through renamed imports and finds each kind.
func TestDependencies_ScanFindsNondeterminism(t *testing.T) {
	source := `package p
import (clock "time"; "math/rand/v2"; "os")
func f() { _ = clock.Now(); _ = rand.Int(); _ = os.Getenv("X"); _ = clock.Unix(1, 2); _ = os.Remove("y") }`
	parsed, err := parser.ParseFile(token.NewFileSet(), "p.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"math/rand/v2", "os.Getenv", "time.Now"}
	if got := nondeterministic(parsed); !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}

var (
	nondeterministicPackages = []string{"math/rand", "math/rand/v2", "crypto/rand", "hash/maphash"}
	nondeterministicCalls    = map[string][]string{
		"time": {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
		"os":   {"Getenv", "LookupEnv", "Environ", "Hostname", "Getpid"},
	}
)

// nondeterministic returns what a file uses that two replicas could see
// differently, sorted.
func nondeterministic(file *ast.File) []string {
	found := map[string]bool{}
	names := map[string]string{} // local name -> import path
	for _, spec := range file.Imports {
		path := strings.Trim(spec.Path.Value, `"`)
		if slices.Contains(nondeterministicPackages, path) {
			found[path] = true
		}
		name := path[strings.LastIndex(path, "/")+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = path
	}
	ast.Inspect(file, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := selector.X.(*ast.Ident); ok && slices.Contains(nondeterministicCalls[names[x.Name]], selector.Sel.Name) {
			found[names[x.Name]+"."+selector.Sel.Name] = true
		}
		return true
	})
	return slices.Sorted(maps.Keys(found))
}

// graph holds the direct imports of each package, test files left out.
type graph map[string][]string

// below returns the package with this name and all in its folders, sorted.
func (g graph) below(name string) []string {
	if name == "" {
		return []string{module}
	}
	var found []string
	for p := range g {
		if p == module+"/"+name || strings.HasPrefix(p, module+"/"+name+"/") {
			found = append(found, p)
		}
	}
	slices.Sort(found)
	return found
}

// path returns a shortest chain of imports from a package to one with the
// prefix, nil if there is none.
func (g graph) path(from, prefix string) []string {
	came := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		for _, next := range g[queue[0]] {
			if _, seen := came[next]; seen {
				continue
			}
			came[next] = queue[0]
			if hasPrefix(next, prefix) {
				var chain []string
				for p := next; p != ""; p = came[p] {
					chain = append(chain, p)
				}
				slices.Reverse(chain)
				return chain
			}
			queue = append(queue, next)
		}
	}
	return nil
}

// hasPrefix reports whether a package belongs to the prefix: the same path,
// one below it, or a sister such as raft-wal of raft.
func hasPrefix(p, prefix string) bool {
	rest, ok := strings.CutPrefix(p, prefix)
	return ok && (rest == "" || strings.HasSuffix(prefix, "/") || rest[0] == '/' || rest[0] == '-')
}

// ours returns prefixes of our own packages; "" stands for all but the root.
func ours(names ...string) []string {
	prefixes := make([]string, len(names))
	for i, name := range names {
		prefixes[i] = module + "/" + name
	}
	return prefixes
}

func listPackages(t *testing.T) graph {
	t.Helper()
	g := graph{}
	dec := json.NewDecoder(bytes.NewReader(goCommand(t, "list", "-deps", "-json=ImportPath,Imports", "./...")))
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return g
		} else if err != nil {
			t.Fatal(err)
		}
		g[p.ImportPath] = p.Imports
	}
}

func goCommand(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out
}
