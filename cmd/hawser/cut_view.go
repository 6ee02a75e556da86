// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/hawserdb/hawser"

// cutView is a cut as JSON. Keys are stable: add, never rename. Prefix is null
// for one that was made of agents by name; agents are missing in a list.
type cutView struct {
	Namespace  string            `json:"namespace"`
	Cut        string            `json:"cut"`
	Label      string            `json:"label,omitempty"`
	Prefix     *string           `json:"prefix"`
	CreatedAt  string            `json:"created_at"`
	Revision   uint64            `json:"revision"`
	Size       int               `json:"size"`
	Agents     []cutAgentView    `json:"agents,omitempty"`
	RolledBack uint64            `json:"rolled_back"`
	Rollbacks  []cutRollbackView `json:"rollbacks"`
}

type cutAgentView struct {
	Agent   string `json:"agent"`
	Version uint64 `json:"version"`
	Problem string `json:"problem,omitempty"`
}

type cutRollbackView struct {
	Revision uint64 `json:"revision"`
	Time     string `json:"time"`
	Instance string `json:"instance"`
	Reason   string `json:"reason,omitempty"`
	Agents   int    `json:"agents"`
	LeftOut  int    `json:"left_out"`
}

func viewCut(cut hawser.Cut) cutView {
	v := cutView{
		Namespace: cut.Name.Namespace, Cut: cut.Name.Name, Label: cut.Label, CreatedAt: timestamp(cut.CreatedAt), Revision: uint64(cut.Revision),
		Size: cut.Size, RolledBack: cut.RolledBack, Rollbacks: []cutRollbackView{},
	}
	if cut.ByPrefix {
		v.Prefix = &cut.Prefix
	}
	for _, a := range cut.Agents {
		v.Agents = append(v.Agents, cutAgentView{a.Agent.Name, a.Number, a.Problem})
	}
	for _, b := range cut.Rollbacks {
		v.Rollbacks = append(v.Rollbacks, cutRollbackView{uint64(b.Revision), timestamp(b.Time), b.Instance, b.Reason, b.Size, b.LeftOut})
	}
	return v
}

// rollbackView is a rollback as JSON.
type rollbackView struct {
	Namespace string              `json:"namespace"`
	Cut       string              `json:"cut"`
	DryRun    bool                `json:"dry_run"`
	Repeated  bool                `json:"repeated"`
	Revision  uint64              `json:"revision"`
	Time      string              `json:"time"`
	Problem   string              `json:"problem,omitempty"`
	Agents    []agentRollbackView `json:"agents"`
}

type agentRollbackView struct {
	Agent   string   `json:"agent"`
	Head    uint64   `json:"head"`
	Version uint64   `json:"version"`
	Made    uint64   `json:"made,omitempty"`
	Epoch   uint64   `json:"epoch,omitempty"`
	Owner   string   `json:"owner,omitempty"`
	Txns    []string `json:"txns"`
	Problem string   `json:"problem,omitempty"`
}

func viewRollback(r hawser.RollbackReport) rollbackView {
	v := rollbackView{
		Namespace: r.Cut.Namespace, Cut: r.Cut.Name, DryRun: r.DryRun, Repeated: r.Repeated, Revision: uint64(r.Revision), Time: timestamp(r.Time),
		Problem: r.Problem, Agents: make([]agentRollbackView, len(r.Agents)),
	}
	for i, a := range r.Agents {
		v.Agents[i] = agentRollbackView{a.Agent.Name, a.Head, a.Number, a.Made, a.Epoch, a.Owner, append([]string{}, a.Txns...), a.Problem}
	}
	return v
}
