// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/jepsen/rig"
)

// kind is a kind of files in a data directory, see ARCHITECTURE.md.
type kind struct {
	name     string
	patterns []string
}

var (
	logFiles    = kind{"log", []string{"wal/*.wal"}}
	markFiles   = kind{"mark", []string{"wal/mark", "wal/meta"}}
	stableFiles = kind{"stable", []string{"stable.db"}}
	nodeFiles   = kind{"node", []string{"node.json"}}
	stateFiles  = kind{"state", []string{"state/*/*.sst"}}
	metaFiles   = kind{"meta", []string{"state/current", "state/*/MANIFEST-*", "state/*/OPTIONS-*"}}
)

func kinds() []kind {
	return []kind{logFiles, markFiles, stableFiles, nodeFiles, stateFiles, metaFiles}
}

// choose chooses a file of the kind in a data directory, "" if there is none.
func (k kind) choose(dir string, rng *rand.Rand) (string, error) {
	var files []string
	for _, pattern := range k.patterns {
		found, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
		if err != nil {
			return "", err
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		return "", nil
	}
	return files[rng.IntN(len(files))], nil
}

// damage is what was done to a file.
type damage struct {
	what string
	// there reports whether it still is.
	there func() bool
}

// errEmpty is why a file was not damaged.
var errEmpty = errors.New("there is nothing in the file")

// flip flips a bit of a file, of the part before the zeros at its end.
func flip(path string, rng *rand.Rand) (damage, error) {
	text, info, err := content(path)
	if err != nil {
		return damage{}, err
	}
	at, bit := rng.Int64N(int64(len(text))), byte(1)<<rng.IntN(8)
	flipped := text[at] ^ bit
	if err := overwrite(path, func(f *os.File) error {
		_, err := f.WriteAt([]byte{flipped}, at)
		return err
	}); err != nil {
		return damage{}, err
	}
	there := func() bool {
		now, is, err := content(path)
		return err == nil && os.SameFile(info, is) && at < int64(len(now)) && now[at] == flipped
	}
	return damage{fmt.Sprintf("bit %08b of byte %d of %d is flipped", bit, at, len(text)), there}, nil
}

// truncate cuts a file off, before the zeros at its end.
func truncate(path string, rng *rand.Rand) (damage, error) {
	text, info, err := content(path)
	if err != nil {
		return damage{}, err
	}
	size := rng.Int64N(int64(len(text)))
	if rng.IntN(4) == 0 {
		size = 0
	}
	if err := overwrite(path, func(f *os.File) error { return f.Truncate(size) }); err != nil {
		return damage{}, err
	}
	there := func() bool {
		is, err := os.Stat(path)
		return err == nil && os.SameFile(info, is) && is.Size() <= size
	}
	return damage{fmt.Sprintf("cut off after %d bytes of %d", size, len(text)), there}, nil
}

// lose removes a file.
func lose(path string, _ *rand.Rand) (damage, error) {
	there := func() bool {
		_, err := os.Lstat(path)
		return err != nil
	}
	return damage{"removed", there}, os.Remove(path)
}

// content reads a file without the zeros at its end, which are space that was
// set aside.
func content(path string) (text []byte, info os.FileInfo, err error) {
	if text, err = os.ReadFile(path); err != nil {
		return nil, nil, err
	}
	for len(text) > 0 && text[len(text)-1] == 0 {
		text = text[:len(text)-1]
	}
	if info, err = os.Stat(path); err == nil && len(text) == 0 {
		err = errEmpty
	}
	return text, info, err
}

func overwrite(path string, change func(*os.File) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(change(f), f.Close())
}

// rot damages a file of one node, which is down or runs on. The node may not
// notice, repair itself, or refuse to run; then a new one takes its place.
func rot(name string, spoil func(path string, rng *rand.Rand) (damage, error), of ...kind) Fault {
	return Fault{Name: name, Inject: func(_ context.Context, r *rig.Rig, rng *rand.Rand) (Injury, error) {
		i, path, err := find(r, of[rng.IntN(len(of))], rng)
		if err != nil {
			return Injury{}, err
		}
		if path == "" || !r.Risk(i) {
			return nothing("no node that may lose data has such a file")
		}
		p := &patient{rig: r, node: i, running: r.Running(i) && rng.IntN(2) == 0, renewals: r.Renewals(i)}
		if !p.running {
			if err := r.Kill(i); err != nil {
				return Injury{}, err
			}
		}
		p.sound = r.Damaged(i)
		p.damage, err = spoil(r.Below(i, path), rng)
		if errors.Is(err, errEmpty) || errors.Is(err, os.ErrNotExist) {
			p.sound()
			r.Safe(i)
			injury, _ := nothing("%s: %v", path, err)
			injury.Heal = func(context.Context) error { return startAgain(r, []int{i}) }
			return injury, nil
		}
		if err != nil {
			return Injury{}, err
		}
		r.Changed(i, path)
		what := fmt.Sprintf("%s of %s, %s", filepath.Base(path), names([]int{i}), p.what)
		if p.running {
			what += " while it runs"
		}
		return Injury{What: what, Heal: p.heal, Finish: p.finish, Outcome: func() string { return p.outcome }}, nil
	}}
}

// find chooses a node that may lose data and has a file of a kind, and the file; ""
// if there is none.
func find(r *rig.Rig, k kind, rng *rand.Rand) (i int, path string, err error) {
	nodes := rng.Perm(r.Size())
	if weak := r.AtRisk(); weak >= 0 {
		nodes = []int{weak}
	}
	for _, i := range nodes {
		if path, err := k.choose(r.Nodes()[i].Dir, rng); err != nil || path != "" {
			return i, path, err
		}
	}
	return 0, "", nil
}

// servesWithin is how soon a damaged node must be ready, or refuse.
const servesWithin = 30 * time.Second

// patient is a node of which a file was damaged.
type patient struct {
	damage

	rig      *rig.Rig
	node     int
	running  bool // when it was done
	sound    func()
	renewals int
	outcome  string
}

// heal starts the node if it was stopped. One that ran may have refused to go on.
func (p *patient) heal(context.Context) error {
	if !p.rig.Refuses(p.node) {
		return startAgain(p.rig, []int{p.node})
	}
	if p.running {
		p.outcome = p.refusal() + " while it ran"
	}
	return nil
}

func (p *patient) refusal() string {
	return fmt.Sprintf("refused (%d)", p.rig.Process(p.node).ExitCode())
}

// finish starts the node again, to see what it makes of its files, and replaces it
// if it refuses, or if the damage is still there: an operator who knows of it would.
func (p *patient) finish(ctx context.Context) error {
	defer p.rig.Safe(p.node)
	defer p.sound()
	if p.rig.Renewals(p.node) != p.renewals {
		if p.outcome == "" {
			p.outcome = "replaced before"
		}
		return nil
	}
	if err := p.examine(ctx); err != nil {
		return err
	}
	if p.rig.Refuses(p.node) || p.there() {
		if err := p.rig.Renew(p.node); err != nil {
			return err
		}
	}
	return p.rig.Whole(ctx)
}

func (p *patient) examine(ctx context.Context) error {
	if p.rig.Refuses(p.node) {
		if p.outcome == "" {
			p.outcome = p.refusal()
		}
		return nil
	}
	if err := errors.Join(p.rig.Kill(p.node), p.rig.Start(p.node)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, servesWithin)
	defer cancel()
	err := p.rig.Ready(ctx, p.node)
	if err == nil {
		err = p.read(ctx)
	}
	switch {
	case !p.rig.Running(p.node):
		p.outcome = p.refusal()
		return p.rig.Explain(p.node)
	case err != nil:
		return &rig.ShownError{What: names([]int{p.node}) + " neither serves nor refuses", Err: err}
	}
	repaired, err := p.rig.Metric(ctx, p.node, "hawser_repaired_contents")
	switch {
	case err != nil:
		return err
	case repaired != "0":
		p.outcome = "repaired"
	case p.there():
		p.outcome = "unnoticed"
	default:
		p.outcome = "harmless"
	}
	return nil
}

// read reads the head of every agent from the node, and verifies it.
func (p *patient) read(ctx context.Context) error {
	conn, err := client.Dial(client.Config{Endpoints: []string{p.rig.Nodes()[p.node].Client}})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for a, err := range conn.Agents(ctx, "") {
		if err != nil {
			return err
		}
		_, err := conn.Agent(a.ID.Name).Restore(ctx)
		if err != nil && !errors.Is(err, hawser.ErrNotFound) { // deleted meanwhile, which the checkers judge
			return fmt.Errorf("restore %s: %w", a.ID.Name, err)
		}
	}
	return nil
}

// rots are the faults of files of one node at a time.
func rots() (faults []Fault) {
	for _, k := range kinds() {
		faults = append(faults, rot("flip-"+k.name+"-one", flip, k), rot("truncate-"+k.name+"-one", truncate, k))
	}
	return append(faults, rot("lose-file-one", lose, kinds()...))
}
