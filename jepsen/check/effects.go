// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/hawserdb/hawser/jepsen/history"
)

// FailedEnd is the end of an effect that is recorded as failed.
const FailedEnd = "failed"

// Effects checks what agents did at a server outside of the cluster. Those with
// the policy retry have ids that begin with it. By docs/effects.md:
//
//   - An effect whose end was recorded is not run again by this agent, nor by a
//     fork that was made after that: who begins it is told the end (2, 4).
//   - All are told the same end, it is the one that is in the journal at last, and
//     it is what the server gave for the effect's key (2, 8). One that is known to
//     have been begun is in the journal.
//   - With the policies ask and skip there is one request for each key, at most (1).
//   - There are no more requests than the journal counts permissions.
//   - The key of an agent's effect stays the same. No two agents have the same, but
//     for forks, which have it of what their source had begun, and of nothing that
//     it began later (4, 5).
//   - A fork that has not begun an effect itself learns how it ended at its source.
//   - A version that was saved with the end of an effect, and that end, are both
//     there or neither (6).
//   - Nothing is begun under a claim that was given back (7).
//   - A restore tells of every effect that was begun after the version was made,
//     also after a rollback to it, and how it had ended by then (3).
//
// Not promised, and not checked: that an effect is run once with the policy retry,
// or not by two at a time; that one is not open at last though the server did it;
// that what a restore tells is not known to the version already.
func Effects(ops []history.Op, final Final) Verdict {
	v := Verdict{Name: "effects"}
	j := &journals{Verdict: &v, effects: map[string]map[string]*effect{}, forks: map[string]history.Op{}, requests: map[string][]history.Op{}}
	for _, op := range ops {
		j.note(op)
	}
	for _, node := range slices.Sorted(maps.Keys(final)) {
		j.saved(node, ops, final[node])
	}
	for _, agent := range slices.Sorted(maps.Keys(j.effects)) {
		for _, id := range slices.Sorted(maps.Keys(j.effects[agent])) {
			v.Checked++
			j.check(j.effects[agent][id])
		}
	}
	j.keys()
	j.restores(ops)
	return v
}

// journals is what is known of the effects of all agents.
type journals struct {
	*Verdict

	// effects are by agent and id, forks by the agent that was made, requests by key.
	effects  map[string]map[string]*effect
	forks    map[string]history.Op
	requests map[string][]history.Op
}

const never = time.Duration(math.MaxInt64)

// effect is what is known of an effect of an agent.
type effect struct {
	agent, id string
	// tries are those who tried to run it, paid the requests that they made.
	tries, paid []history.Op
	// ends are those who were told its end, or recorded it.
	ends []history.Op
	// journal is the last read of it.
	journal *history.Op
	// first is when somebody first tried to begin it. From begun on it was certainly
	// begun, and from ended on its end recorded.
	first, begun, ended time.Duration
	key                 string
}

// of returns an effect, which is made if it is not known.
func (j *journals) of(agent, id string) *effect {
	if j.effects[agent] == nil {
		j.effects[agent] = map[string]*effect{}
	}
	e := j.effects[agent][id]
	if e == nil {
		e = &effect{agent: agent, id: id, first: never, begun: never, ended: never}
		j.effects[agent][id] = e
	}
	return e
}

// end is the end that an operation was told, or recorded; "" for none.
func end(op history.Op) string {
	if op.Kind == history.Save {
		return op.Values[0]
	}
	return op.Value
}

// note takes down an operation.
func (j *journals) note(op history.Op) {
	if op.Kind == history.Fork && op.Outcome == history.OK {
		j.forks[op.Agent] = op
	}
	if op.Kind == history.Restore && op.Outcome == history.OK {
		j.told(op)
	}
	if op.Effect == "" {
		return
	}
	e := j.of(op.Agent, op.Effect)
	switch {
	case op.Kind == history.Pay:
		e.paid = append(e.paid, op)
		j.requests[op.Key] = append(j.requests[op.Key], op)
	case op.Kind == history.Journal:
		e.journal = &op
	case op.Deposed:
		if op.Outcome == history.OK {
			j.add("its claim had been given back: %s", describe(op))
		}
		return
	case op.Kind == history.Run || op.Kind == history.Begin:
		e.tries = append(e.tries, op)
		e.first = min(e.first, op.Call)
	}
	if op.Key != "" {
		if e.key != "" && e.key != op.Key {
			j.add("its key was %q before: %s", e.key, describe(op))
		}
		e.key = op.Key
	}
	if op.Key != "" || op.Outcome == history.OK {
		e.begun = min(e.begun, op.Return)
	}
	if op.Outcome == history.OK && op.Kind != history.Pay && end(op) != "" {
		e.ends, e.ended = append(e.ends, op), min(e.ended, op.Return)
	}
}

// told takes down the ends of which a restore tells.
func (j *journals) told(op history.Op) {
	for i := 0; i+1 < len(op.Values); i += 2 {
		e := j.of(op.Agent, op.Values[i])
		e.begun = min(e.begun, op.Return)
		if op.Values[i+1] != "" {
			was := op
			was.Value, was.Values = op.Values[i+1], nil
			e.ends, e.ended = append(e.ends, was), min(e.ended, op.Return)
		}
	}
}

// saved takes down the ends that were recorded with versions that are there.
func (j *journals) saved(node string, ops []history.Op, chains map[string]Chain) {
	there := map[string]bool{}
	for agent, chain := range chains {
		for _, made := range chain {
			there[agent+" "+made.Value] = true
		}
	}
	for _, op := range ops {
		if op.Kind != history.Save || op.Effect == "" {
			continue
		}
		is := there[op.Agent+" "+op.Value]
		e := j.of(op.Agent, op.Effect)
		switch {
		case is && op.Outcome == history.Unknown:
			e.ends = append(e.ends, op)
		case is && op.Outcome == history.Failed:
			j.add("node %s has the version: %s", node, describe(op))
		case !is && op.Outcome == history.OK:
			j.add("node %s does not have the version: %s", node, describe(op))
		case !is && j.only(e, op):
			j.add("node %s does not have the version, and there is the end: %s", node, describe(op))
		}
	}
}

// only reports whether the end in the journal can be that of a save alone: nobody
// else has run the effect, and it is not a fork's.
func (j *journals) only(e *effect, save history.Op) bool {
	_, isFork := j.forks[e.agent]
	ran := 0
	for _, op := range e.tries {
		if op.Key != "" {
			ran++
		}
	}
	return !isFork && ran == 1 && e.journal != nil && e.journal.Value == save.Values[0]
}

// check checks what is known of one effect.
func (j *journals) check(e *effect) {
	ended := j.ended(e.agent, e.id)
	for _, op := range e.tries {
		if op.Key != "" && op.Call > ended {
			j.add("it was run after its end was recorded, by %.3fs: %s", ended.Seconds(), describe(op))
		}
	}
	for _, op := range e.ends {
		if first := e.ends[0]; end(op) != end(first) {
			j.add("two ends of one effect: %s\n  and %s", describe(first), describe(op))
		}
		if !j.given(e, end(op)) {
			j.add("the server did not give it for the key %q: %s", j.key(e.agent, e.id), describe(op))
		}
	}
	j.inherited(e)
	if e.journal == nil {
		return // nobody has looked
	}
	if e.journal.Outcome == history.Failed && e.begun < e.journal.Call {
		j.add("it is not in the journal of agent %s, and was begun by %.3fs: %q", e.agent, e.begun.Seconds(), e.id)
	}
	if len(e.ends) > 0 && e.journal.Value == "" {
		j.add("its end is not in the journal: %s", describe(e.ends[0]))
	}
	if uint64(len(e.paid)) > e.journal.Number {
		j.add("there were %d requests, and %d permissions: %s", len(e.paid), e.journal.Number, describe(e.paid[len(e.paid)-1]))
	}
}

// given reports whether the server gave an end for the key of an effect.
func (j *journals) given(e *effect, end string) bool {
	asked := j.requests[j.key(e.agent, e.id)]
	if end == FailedEnd {
		return slices.ContainsFunc(asked, func(op history.Op) bool { return op.Outcome == history.Failed })
	}
	return slices.ContainsFunc(asked, func(op history.Op) bool { return op.Value == end })
}

// key is the key of an effect, for a fork that has not begun it that of its source.
func (j *journals) key(agent, id string) string {
	if e := j.effects[agent][id]; e != nil && e.key != "" {
		return e.key
	}
	if fork, ok := j.forks[agent]; ok {
		return j.key(fork.Agents[0], id)
	}
	return ""
}

// ended is from when on an agent is known to have the end of an effect; never if it
// is not known to. A fork has those that its source had.
func (j *journals) ended(agent, id string) time.Duration {
	at := never
	if e := j.effects[agent][id]; e != nil {
		at = e.ended
	}
	if fork, ok := j.forks[agent]; ok && j.ended(fork.Agents[0], id) < fork.Call {
		return 0
	}
	return at
}

// inherited checks what a fork has of its source.
func (j *journals) inherited(e *effect) {
	fork, ok := j.forks[e.agent]
	if !ok {
		return
	}
	source := j.effects[fork.Agents[0]][e.id]
	if source == nil {
		return
	}
	_, isFork := j.forks[source.agent]
	bothKnown := e.key != "" && source.key != ""
	switch {
	case source.begun < fork.Call && bothKnown && e.key != source.key:
		j.add("agent %s began effect %q by %.3fs, and has another key: %s", source.agent, e.id, source.begun.Seconds(), describe(fork))
	case source.first > fork.Return && bothKnown && e.key == source.key && !isFork:
		j.add("agent %s began effect %q at %.3fs, and has the same key: %s", source.agent, e.id, source.first.Seconds(), describe(fork))
	}
	if source.begun >= fork.Call {
		return
	}
	for _, op := range e.tries {
		if op.Key != "" && op.Call > source.ended && !slices.ContainsFunc(e.tries, func(other history.Op) bool { return other.Call < op.Call }) {
			j.add("agent %s had its end by %.3fs: %s", source.agent, source.ended.Seconds(), describe(op))
		}
	}
	if len(e.paid) == 0 && len(e.ends) > 0 && len(source.ends) > 0 && end(e.ends[0]) != end(source.ends[0]) {
		j.add("another end than that of agent %s, %q: %s", source.agent, end(source.ends[0]), describe(e.ends[0]))
	}
}

// keys checks who has the same key, and how often it was used.
func (j *journals) keys() {
	for _, key := range slices.Sorted(maps.Keys(j.requests)) {
		j.Checked++
		asked := j.requests[key]
		for _, op := range asked {
			if first := asked[0]; op.Effect != first.Effect || j.root(op.Agent) != j.root(first.Agent) {
				j.add("two effects have one key: %s\n  and %s", describe(first), describe(op))
			}
		}
		if len(asked) > 1 && !strings.HasPrefix(asked[0].Effect, "retry") {
			j.add("what must not be repeated was requested %d times: %s\n  and %s", len(asked), describe(asked[0]), describe(asked[1]))
		}
	}
}

// root is the agent that an agent was forked from in the end.
func (j *journals) root(agent string) string {
	for {
		fork, ok := j.forks[agent]
		if !ok {
			return agent
		}
		agent = fork.Agents[0]
	}
}

// restores checks what restores tell of effects that were begun after what was
// restored.
func (j *journals) restores(ops []history.Op) {
	type version struct {
		agent  string
		number uint64
	}
	made := map[version]history.Op{}
	for _, op := range ops {
		if op.Outcome == history.OK && (op.Kind == history.Save || op.Kind == history.Rollback) {
			made[version{op.Agent, op.Version}] = op
		}
	}
	first := j.first()
	for _, op := range ops {
		if op.Kind != history.Restore || op.Outcome != history.OK {
			continue
		}
		from, known := made[version{op.Agent, op.Version}]
		for known && from.Kind == history.Rollback {
			from, known = made[version{op.Agent, from.Number}]
		}
		if known {
			j.tells(op, from.Return, first[j.root(op.Agent)])
		}
	}
}

// first is when anybody of a family of forks first tried to begin an effect, by
// the family's root and the effect's id.
func (j *journals) first() map[string]map[string]time.Duration {
	first := map[string]map[string]time.Duration{}
	for agent, effects := range j.effects {
		root := j.root(agent)
		if first[root] == nil {
			first[root] = map[string]time.Duration{}
		}
		for id, e := range effects {
			if at, ok := first[root][id]; !ok || e.first < at {
				first[root][id] = e.first
			}
		}
	}
	return first
}

// tells checks one restore of what was made by a time.
func (j *journals) tells(op history.Op, made time.Duration, first map[string]time.Duration) {
	j.Checked++
	told := map[string]string{}
	for i := 0; i+1 < len(op.Values); i += 2 {
		told[op.Values[i]] = op.Values[i+1]
	}
	for _, e := range slices.SortedFunc(maps.Values(j.effects[op.Agent]), func(a, b *effect) int { return cmp.Compare(a.id, b.id) }) {
		if first[e.id] <= made || e.begun >= op.Call {
			continue
		}
		if is, ok := told[e.id]; !ok {
			j.add("effect %q was begun by %.3fs, after the version, and is not told of: %s", e.id, e.begun.Seconds(), describe(op))
		} else if is == "" && e.ended < op.Call {
			j.add("effect %q had its end by %.3fs, and is told of as open: %s", e.id, e.ended.Seconds(), describe(op))
		}
	}
}
