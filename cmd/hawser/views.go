// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hawserdb/hawser"
)

// versionView is a version as JSON. Keys are stable: add, never rename.
type versionView struct {
	Namespace   string            `json:"namespace"`
	Agent       string            `json:"agent"`
	Version     uint64            `json:"version"`
	Size        int64             `json:"size"`
	StoredSize  int64             `json:"stored_size"`
	SHA256      string            `json:"sha256"`
	Parent      uint64            `json:"parent"`
	Epoch       uint64            `json:"epoch"`
	Instance    string            `json:"instance"`
	Labels      map[string]string `json:"labels"`
	ContentType string            `json:"content_type"`
	Schema      string            `json:"schema"`
	CreatedAt   string            `json:"created_at"`
	Revision    uint64            `json:"revision"`
	State       string            `json:"state"`
	// Origin is the version whose content this one repeats, "" for a save.
	Origin      string   `json:"origin"`
	DerivedFrom []string `json:"derived_from"`
	Pinned      bool     `json:"pinned"`
	// Txn is the id of the transaction that made it, "" for none.
	Txn string `json:"txn"`
}

func viewVersion(v hawser.Version) versionView {
	labels := v.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	return versionView{
		Namespace: v.Agent.Namespace, Agent: v.Agent.Name, Version: v.Number, Size: v.Size, StoredSize: v.StoredSize,
		SHA256: v.SHA256.String(), Parent: v.Parent, Epoch: v.Epoch, Instance: v.Instance, Labels: labels,
		ContentType: v.ContentType, Schema: v.Schema, CreatedAt: timestamp(v.CreatedAt),
		Revision: uint64(v.Revision), State: v.State.String(),
		Origin: originText(v), DerivedFrom: refTexts(v.DerivedFrom), Pinned: v.Pinned, Txn: v.Txn,
	}
}

// originText names the version that v repeats, "" for none.
func originText(v hawser.Version) string {
	if v.Origin.IsZero() {
		return ""
	}
	return v.Origin.String()
}

func refTexts(refs []hawser.VersionRef) []string {
	texts := make([]string, len(refs))
	for i, ref := range refs {
		texts[i] = ref.String()
	}
	return texts
}

// agentView is an agent as JSON.
type agentView struct {
	Namespace  string       `json:"namespace"`
	Agent      string       `json:"agent"`
	Head       uint64       `json:"head"`
	Versions   uint64       `json:"versions"`
	StoredSize int64        `json:"stored_size"`
	CreatedAt  string       `json:"created_at"`
	Epoch      uint64       `json:"epoch"`
	Owner      string       `json:"owner"`
	Fenced     bool         `json:"fenced"`
	Version    *versionView `json:"version"`
}

func viewAgent(a hawser.Agent) agentView {
	view := agentView{
		Namespace: a.ID.Namespace, Agent: a.ID.Name, Head: a.Head, Versions: a.Versions,
		StoredSize: a.StoredSize, CreatedAt: timestamp(a.CreatedAt), Epoch: a.Epoch,
		Owner: a.Owner, Fenced: a.Fenced,
	}
	if a.Version != nil {
		head := viewVersion(*a.Version)
		view.Version = &head
	}
	return view
}

// timestamp returns t as RFC 3339 in UTC, "" for the zero time.
func timestamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// clock is timestamp for a table: to the second.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// labelList returns labels as k=v, sorted.
func labelList(labels map[string]string) string {
	list := make([]string, 0, len(labels))
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		list = append(list, k+"="+labels[k])
	}
	return strings.Join(list, ",")
}

// printVersion prints one version, as a table of fields or JSON.
func (p *program) printVersion(json bool, v hawser.Version) error {
	if json {
		return p.writeJSON(viewVersion(v))
	}
	return fields(p.stdout,
		"agent", v.Agent.String(), "version", number(v.Number), "size", strconv.FormatInt(v.Size, 10),
		"stored size", strconv.FormatInt(v.StoredSize, 10), "sha256", v.SHA256.String(), "parent", optional(v.Parent),
		"epoch", optional(v.Epoch), "instance", v.Instance, "labels", labelList(v.Labels), "content type", v.ContentType,
		"schema", v.Schema, "created at", timestamp(v.CreatedAt), "revision", number(uint64(v.Revision)), "state", stateText(v),
		"repeats", originText(v), "derived from", strings.Join(refTexts(v.DerivedFrom), ", "))
}

// stateText is the state of a version, and that it is pinned.
func stateText(v hawser.Version) string {
	if v.Pinned {
		return v.State.String() + ", pinned"
	}
	return v.State.String()
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

// optional is number with nothing for 0.
func optional(n uint64) string {
	if n == 0 {
		return ""
	}
	return number(n)
}
