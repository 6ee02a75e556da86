// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm_test

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/fsm"
)

func effectEnd(id, text string, failed bool) fsm.EffectEnd {
	if failed {
		return fsm.EffectEnd{ID: id, Failed: true, Reason: text}
	}
	return fsm.EffectEnd{ID: id, Result: state(text)}
}

// effect reads
//
//	run AGENT ID [call=C] [policy=ask|retry|skip] [input=I] [fence=N] [generation=N]
//	done AGENT ID RESULT · failed AGENT ID REASON [fence=N] [generation=N]
//	resolve-effect AGENT ID done|failed|retry [RESULT] [reason=R] [force=1]
//	forget-effects AGENT VERSION [fence=N]
//
// RESULT may be word/N, as a state. ID may be word/N: so many letters.
func (p *parser) effect() fsm.Command {
	w := []string{}
	for _, word := range p.words {
		if !strings.Contains(word, "=") {
			w = append(w, word)
		}
	}
	generation := p.values["generation"]
	id := ""
	if len(w) > 2 {
		id = effectID(w[2])
	}
	switch w[0] {
	case "run":
		b := &fsm.BeginEffect{
			Agent: agentID(w[1]), ID: id, Nonce: nonce(p.texts["call"]), Policy: hawser.OnUnknownAsk, Instance: "i", Fence: p.fence(), Generation: generation,
		}
		for _, policy := range []hawser.EffectPolicy{hawser.OnUnknownRetry, hawser.OnUnknownSkip} {
			if p.texts["policy"] == policy.String() {
				b.Policy = policy
			}
		}
		if p.texts["input"] != "" {
			b.Input = sha256.Sum256([]byte(p.texts["input"]))
		}
		return b
	case "done", "failed":
		return &fsm.FinishEffect{Agent: agentID(w[1]), End: effectEnd(id, w[3], w[0] == "failed"), Fence: p.fence(), Generation: generation}
	case "resolve-effect":
		q := &fsm.ResolveEffect{Agent: agentID(w[1]), ID: id, Reason: p.texts["reason"], Force: p.values["force"] > 0, Generation: generation}
		for s := hawser.EffectOpen; s <= hawser.EffectRetry; s++ {
			if s.String() == w[3] {
				q.State = s
			}
		}
		if len(w) > 4 {
			q.Result = state(w[4])
		}
		return q
	case "forget-effects":
		return &fsm.ForgetEffects{Agent: agentID(w[1]), Version: p.number(2), Fence: p.fence(), Generation: generation}
	}
	return nil
}

func effectID(word string) string {
	name, size, ok := strings.Cut(word, "/")
	n := 0
	if _, err := fmt.Sscan(size, &n); !ok || err != nil {
		return word
	}
	return strings.Repeat(name, n)
}

func effectLine(e hawser.Effect) string {
	line := fmt.Sprintf("%s of %s: %s, policy %s, %s, attempt %d at version %d", e.ID, e.Agent.Name, e.State, e.Policy, e.Key, e.Attempts, e.Head)
	if e.State.Finished() {
		line += fmt.Sprintf(", ended with %d", e.Version)
	}
	if e.ResultSize > 0 {
		line += ", result " + brief(e.Result)
	}
	if e.Reason != "" {
		line += fmt.Sprintf(", %q", e.Reason)
	}
	if e.Resolved {
		line += ", by hand"
	}
	if e.Inherited {
		line += ", inherited"
	}
	return line
}

func askEffects(v *fsm.View, what string, id hawser.AgentID, a args) string {
	var b strings.Builder
	var err error
	switch what {
	case "effect":
		var e hawser.Effect
		if e, err = v.Effect(id, a.text("id")); err == nil {
			fmt.Fprintln(&b, effectLine(e))
		}
	case "restored":
		err = v.EffectsAt(id, uint64(a.number("number", 0)), func(e hawser.Effect) error {
			_, err := fmt.Fprintln(&b, effectLine(e))
			return err
		})
	default:
		var found []hawser.Effect
		found, err = v.Effects(id, a.text("after"), int(a.number("limit", 0)))
		for _, e := range found {
			fmt.Fprintln(&b, effectLine(e))
		}
	}
	if err != nil {
		b.WriteString(suffix(err) + "\n")
	}
	return b.String()
}
