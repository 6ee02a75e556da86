// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/snapshot"
)

// labelArchive is the label of a version that came out of an archive: the
// beginning of the archive's SHA-256, and which version it was.
const labelArchive = "hawser.archive"

// restored is what became of one agent, as JSON.
type restored struct {
	Namespace string `json:"namespace"`
	Agent     string `json:"agent"`
	// From is the version in the archive, Version the one that was made or is
	// there already; 0 in a dry run.
	FromAgent   string `json:"from_agent"`
	FromVersion uint64 `json:"from_version"`
	Version     uint64 `json:"version"`
	Size        int64  `json:"size"`
	SHA256      string `json:"sha256"`
	Action      string `json:"action"`
	DryRun      bool   `json:"dry_run"`
}

// What a restore does to an agent.
const (
	actionCreate = "create"
	actionAppend = "append"
	actionNone   = "unchanged"
)

// restoreSome appends versions of the archive to agents of a running cluster.
// Everything is rebuilt and compared before the first is saved.
func (p *program) restoreSome(c *cli.Context, a *snapshot.Archive, conn *client.Client) error {
	entries, err := p.chosen(c, a)
	if err != nil {
		return err
	}
	number := c.Uint64(flagVersion)
	for _, e := range entries {
		if err := c.Err(); err != nil {
			return err
		}
		if _, _, err := p.rebuild(c.Context, a, e, number); err != nil {
			return fmt.Errorf("nothing was restored: %w", err)
		}
	}
	done := []restored{}
	for _, e := range entries {
		target := e.ID
		if as := c.String(flagAs); as != "" {
			if target, err = hawser.NewAgentID(target.Namespace, as); err != nil {
				return err
			}
		}
		v, state, err := p.rebuild(c.Context, a, e, number)
		if err != nil {
			return errors.Join(err, p.printRestored(c, done))
		}
		one, err := p.restoreOne(c, a, conn, hawser.VersionRef{Agent: e.ID, Number: v.Number}, target, v, state)
		if err != nil {
			return errors.Join(err, p.printRestored(c, done))
		}
		done = append(done, one)
	}
	return p.printRestored(c, done)
}

// chosen returns the entries that the command line selects. To select nothing
// is an error.
func (p *program) chosen(c *cli.Context, a *snapshot.Archive) ([]snapshot.Entry, error) {
	if name := c.String(flagAgent); name != "" {
		id, err := hawser.NewAgentID(c.String(flagNamespace), name)
		if err != nil {
			return nil, err
		}
		e, err := a.Agent(id)
		if err == nil && e.Live == 0 {
			err = &hawser.Error{Code: hawser.CodeNotFound, Op: "agent", Key: id.String(), Msg: "it was deleted before the archive was made"}
		}
		return []snapshot.Entry{e}, err
	}
	prefix, err := hawser.NewPrefix(c.String(flagPrefix))
	if err != nil {
		return nil, err
	}
	var entries []snapshot.Entry
	for e, err := range present(a.Agents(c.String(flagNamespace), prefix)) {
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	if len(entries) == 0 {
		return nil, &hawser.Error{
			Code: hawser.CodeNotFound, Op: "agents below", Key: c.String(flagNamespace) + "/" + prefix, Msg: "the archive has none",
		}
	}
	return entries, nil
}

// rebuild returns a version of an agent and its bytes, compared; 0 is the
// newest. Names are those that a cluster takes.
func (p *program) rebuild(ctx context.Context, a *snapshot.Archive, e snapshot.Entry, number uint64) (*snapshot.Version, []byte, error) {
	if id, err := hawser.NewAgentID(e.ID.Namespace, e.ID.Name); err != nil || id != e.ID {
		return nil, nil, errors.Join(fmt.Errorf("agent %q has a name that no cluster takes", e.ID.String()), err)
	}
	h, err := p.openHistory(a, e.ID)
	if err != nil {
		return nil, nil, err
	}
	v, state, err := pick(ctx, h, number, fmt.Sprintf("--%s %s ", flagAgent, escape(e.ID.Name)))
	if err != nil && hawser.CodeOf(err) != hawser.CodeNotFound {
		err = fmt.Errorf("agent %q: %w", e.ID.String(), err)
	}
	return v, state, err
}

// restoreOne saves one version on top of what the target has.
func (p *program) restoreOne(
	c *cli.Context, a *snapshot.Archive, conn *client.Client, from hawser.VersionRef, target hawser.AgentID, v *snapshot.Version, state []byte,
) (restored, error) {
	ctx, cancel := context.WithTimeout(c.Context, c.Duration(flagTimeout))
	defer cancel()
	one := restored{
		Namespace: target.Namespace, Agent: target.Name, FromAgent: from.Agent.String(), FromVersion: from.Number,
		Size: v.Size, SHA256: v.SHA256.String(), DryRun: c.Bool(flagDryRun), Action: actionAppend,
	}
	agent := conn.Agent(target.Name)
	info, err := agent.Show(ctx)
	if err != nil && !errors.Is(err, hawser.ErrNotFound) {
		return one, err
	}
	head := uint64(0)
	switch {
	case err != nil || info.Version == nil:
		one.Action = actionCreate
	case info.Version.SHA256 == v.SHA256:
		one.Action, one.Version = actionNone, info.Version.Number
	default:
		head = info.Version.Number
	}
	if one.DryRun || one.Action == actionNone {
		return one, nil
	}
	options := []client.SaveOption{client.ExpectVersion(head), client.ContentType(v.ContentType), client.Schema(v.Schema)}
	saved, err := agent.Save(ctx, state, append(options, p.restoreLabels(a, from, v)...)...)
	if err != nil {
		return one, err
	}
	one.Version = saved.Number
	return one, nil
}

// restoreLabels returns the labels of a version and the one that names the
// archive. When that is one too many, the last of its own goes.
func (p *program) restoreLabels(a *snapshot.Archive, from hawser.VersionRef, v *snapshot.Version) []client.SaveOption {
	var options []client.SaveOption
	for _, key := range slices.Sorted(maps.Keys(v.Labels)) {
		switch {
		case key == labelArchive: // of an earlier restore
		case len(options) == hawser.MaxLabels-1:
			say(p.stderr, "hawser: %s: the label %q makes room for %s\n", escape(from.String()), escape(key), labelArchive)
		default:
			options = append(options, client.Label(key, v.Labels[key]))
		}
	}
	return append(options, client.Label(labelArchive, archiveLabel(a.SHA256(), from)))
}

// archiveLabel returns the label's value, cut at the end of a character if the
// agent's name is too long for it.
func archiveLabel(sha hawser.Hash, from hawser.VersionRef) string {
	value := sha.String()[:16] + " " + from.String()
	if len(value) <= hawser.MaxLabelValue {
		return value
	}
	n := hawser.MaxLabelValue
	for !utf8.RuneStart(value[n]) {
		n--
	}
	return value[:n]
}

func (p *program) printRestored(c *cli.Context, done []restored) error {
	if wantsJSON(c) {
		return p.writeJSON(done)
	}
	t := newTable("AGENT", "ACTION", "FROM", "VERSION", "SIZE")
	for _, r := range done {
		t.add(r.Namespace+"/"+r.Agent, r.Action, fmt.Sprintf("%s@%d", r.FromAgent, r.FromVersion), optional(r.Version), strconv.FormatInt(r.Size, 10))
	}
	if c.Bool(flagDryRun) {
		say(p.stderr, "hawser: a dry run: nothing was changed\n")
	}
	return t.write(p.stdout)
}
