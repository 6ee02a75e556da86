// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hawserdb/hawser"
)

// maxPolicies is frozen at the feature level that set it.
const maxPolicies = hawser.MaxPolicies

// SetRetention sets the retention policy of a namespace's agents whose names
// start with the segments of Prefix, or removes it.
type SetRetention struct {
	Namespace, Prefix string
	// Rules is nil to remove the policy.
	Rules *hawser.Retention
}

func (*SetRetention) kind() commandKind { return kindSetRetention }

func (s *SetRetention) appendBody(dst []byte) []byte {
	dst = appendBytes(appendBytes(dst, s.Namespace), s.Prefix)
	if s.Rules == nil {
		return append(dst, 0)
	}
	return appendRules(append(dst, 1), *s.Rules)
}

func (s *SetRetention) parseBody(r *reader) {
	s.Namespace, s.Prefix = r.string(), r.string()
	if r.bool() {
		rules := r.rules()
		s.Rules = &rules
	}
}

func appendRules(dst []byte, rules hawser.Retention) []byte {
	for _, v := range [...]uint64{rules.KeepLast, uint64(rules.KeepWithin), rules.KeepHourly, rules.KeepDaily, rules.KeepWeekly} {
		dst = binary.AppendUvarint(dst, v)
	}
	return dst
}

func (r *reader) rules() hawser.Retention {
	return hawser.Retention{
		KeepLast: r.uvarint(), KeepWithin: time.Duration(r.uvarint()), KeepHourly: r.uvarint(), KeepDaily: r.uvarint(), KeepWeekly: r.uvarint(),
	}
}

// apply sets or removes a policy. Nothing is removed by that yet: whoever
// looks what the policies do not keep does so by their stamp, which is the
// revision of the last change. To set a policy to what it is changes nothing.
func (s *SetRetention) apply(c *changes) (Result, error) {
	if err := s.check(); err != nil {
		return c.refuse(err)
	}
	key := policyKey(nil, s.Namespace, strings.TrimSuffix(s.Prefix, "/"))
	have, err := c.get(key)
	if err != nil {
		return Result{}, err
	}
	var want []byte
	if s.Rules != nil {
		want = appendRules([]byte{storedFormat}, *s.Rules)
	}
	if bytes.Equal(have, want) {
		return c.result(), nil
	}
	if refusal, err := c.putPolicy(key, have, want); err != nil {
		return Result{}, err
	} else if refusal != nil {
		return c.refuse(refusal)
	}
	c.revise()
	c.state.retention = c.state.revision
	return c.result(), nil
}

func (s *SetRetention) check() error {
	prefix := strings.TrimSuffix(s.Prefix, "/")
	switch {
	case !validPart(s.Namespace) || s.Prefix != "" && !validPart(prefix):
		return invalidCommand("retention", "a name is not valid")
	case s.Rules != nil && s.Rules.KeepWithin < 0:
		return invalidCommand("retention", "keep-within is negative")
	}
	return nil
}

// putPolicy changes a stored policy; have and want are nil for none.
func (c *changes) putPolicy(key, have, want []byte) (refusal, err error) {
	counter := []byte{prefixPolicy}
	value, err := c.get(counter)
	if err != nil {
		return nil, err
	}
	var n uint64
	if value != nil {
		r := &reader{b: value}
		if n = r.uvarint(); r.end() != nil {
			return nil, damaged("number of retention policies", errMalformed)
		}
	}
	switch {
	case have == nil && n >= maxPolicies:
		return &hawser.Error{Code: hawser.CodeRefused, Op: "retention", Msg: fmt.Sprintf("there are %d policies already; remove one", n)}, nil
	case have == nil:
		n++
	case want == nil:
		n--
	}
	if want == nil {
		c.drop(key)
	} else {
		c.put(key, want)
	}
	c.put(counter, binary.AppendUvarint(nil, n))
	return nil, nil
}

// policyKey is below the key of the number of policies, which is the prefix alone.
func policyKey(dst []byte, namespace, prefix string) []byte {
	return agentKey(dst, prefixPolicy, hawser.AgentID{Namespace: namespace, Name: prefix})
}

// policies holds the policies of one or all namespaces, by namespace and prefix.
type policies map[hawser.AgentID]hawser.Retention

// of returns the rules that count for an agent, and whose they are: nil for
// the default. A name that is empty stands for the namespace.
func (p policies) of(id hawser.AgentID) (hawser.Retention, *hawser.Policy) {
	for more := len(p) > 0; more; {
		if rules, ok := p[id]; ok {
			return rules, &hawser.Policy{Namespace: id.Namespace, Prefix: id.Name, Retention: rules}
		}
		more = id.Name != ""
		id.Name = id.Name[:max(0, strings.LastIndexByte(id.Name, '/'))]
	}
	return hawser.DefaultRetention(), nil
}

// Policies lists the retention policies of a namespace in ascending order of
// their prefixes, or of all namespaces if it is empty.
func (v *View) Policies(namespace string) ([]hawser.Policy, error) {
	lower, upper := []byte{prefixPolicy, 1}, []byte{prefixPolicy + 1}
	if namespace != "" {
		lower = policyKey(nil, namespace, "")
		upper = keyAfterPrefix(lower)
	}
	it, err := v.snap.Iter(lower, upper)
	if err != nil {
		return nil, err
	}
	var found []hawser.Policy
	for err == nil && it.Next() {
		id, ok := splitAgentKey(it.Key())
		r := &reader{b: it.Value()}
		if ok = ok && r.byte() == storedFormat; ok {
			found = append(found, hawser.Policy{Namespace: id.Namespace, Prefix: id.Name, Retention: r.rules()})
		}
		if !ok || r.end() != nil {
			err = damaged(fmt.Sprintf("retention policy of %q", id), errMalformed)
		}
	}
	if err := errors.Join(err, it.Close()); err != nil {
		return nil, err
	}
	return found, nil
}

func (v *View) policies(namespace string) (policies, error) {
	found, err := v.Policies(namespace)
	all := make(policies, len(found))
	for _, p := range found {
		all[hawser.AgentID{Namespace: p.Namespace, Name: p.Prefix}] = p.Retention
	}
	return all, err
}

// RetentionOf returns the rules that count for an agent, which need not exist,
// and the policy that they are of, nil for the default. A name may be a prefix
// too, and empty for the namespace.
func (v *View) RetentionOf(id hawser.AgentID) (hawser.Retention, *hawser.Policy, error) {
	all, err := v.policies(id.Namespace)
	if err != nil {
		return hawser.Retention{}, nil, err
	}
	id.Name = strings.TrimSuffix(id.Name, "/")
	rules, source := all.of(id)
	return rules, source, nil
}

// RetentionStamp changes with every policy, and with every version that is
// marked bad. [Prune] is refused with another one.
func (v *View) RetentionStamp() uint64 { return v.state.retention }
