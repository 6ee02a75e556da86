// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"errors"

	"google.golang.org/grpc"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/fsm"
	"github.com/hawserdb/hawser/internal/throttle"
	"github.com/hawserdb/hawser/internal/wire"
)

const (
	// maxVerifying bounds the verifications under way: one holds two states.
	maxVerifying = 1
	// readRate is how many bytes a second are read by what reads everything, so
	// that it leaves disk and processor to the calls of agents.
	readRate = 64 << 20
	// maxBad is how many versions of one agent are named.
	maxBad = 1000
)

// Verify implements hawserv1.StateServer. It is about the contents that this
// node has; each agent is looked at as it is when its turn comes.
func (s *Service) Verify(r *hawserv1.VerifyRequest, stream grpc.ServerStreamingServer[hawserv1.VerifyResponse]) error {
	namespace, prefix, err := scopeOf(r.GetNamespace(), r.GetPrefix())
	if err != nil {
		return err
	}
	release, err := occupy(s.verifying, "verify")
	if err != nil {
		return err
	}
	defer release()
	b, view, err := s.view(stream.Context(), r.GetRead())
	if err != nil {
		return err
	}
	closeView(view)
	v := verification{b: b, stream: stream, reading: throttle.New(readRate)}
	return v.run(namespace, prefix)
}

// scopeOf returns the namespace and prefix that a request names, in canonical
// form; an empty namespace is the default one.
func scopeOf(namespace, prefix string) (string, string, error) {
	if namespace == "" {
		namespace = hawser.DefaultNamespace
	}
	if err := hawser.CheckNamespace(namespace); err != nil {
		return "", "", err
	}
	prefix, err := hawser.NewPrefix(prefix)
	return namespace, prefix, err
}

// verification is one call of Verify.
type verification struct {
	b       *Backend
	stream  grpc.ServerStreamingServer[hawserv1.VerifyResponse]
	reading *throttle.Throttle
	sum     hawserv1.VerifyResponse
}

func (v *verification) run(namespace, prefix string) error {
	for after, more := "", true; more; {
		agents, err := v.page(namespace, prefix, after)
		if err != nil {
			return err
		}
		for _, id := range agents {
			if err := v.agent(id); err != nil {
				return err
			}
			after = id.Name
		}
		more = len(agents) > 0
	}
	v.sum.Header = v.b.here()
	return v.stream.Send(&v.sum)
}

// page lists the next agents.
func (v *verification) page(namespace, prefix, after string) ([]hawser.AgentID, error) {
	view, err := v.b.Machine.View()
	if err != nil {
		return nil, err
	}
	defer closeView(view)
	agents, err := view.Agents(namespace, prefix, after, 0)
	ids := make([]hawser.AgentID, len(agents))
	for i, a := range agents {
		ids[i] = a.ID
	}
	return ids, err
}

// agent verifies one agent and reports it, unless it is gone.
func (v *verification) agent(id hawser.AgentID) error {
	report := &hawserv1.VerifyResponse{Header: v.b.here(), Agent: wire.AgentToProto(id)}
	for from, more := uint64(1), true; more; more = from != 0 {
		next, err := v.numbers(id, from, report)
		if errors.Is(err, hawser.ErrNotFound) {
			return nil // deleted meanwhile
		}
		if err != nil {
			return err
		}
		from = next
	}
	if err := v.marked(id, report); err != nil {
		return err
	}
	v.sum.Versions += report.GetVersions()
	v.sum.Bytes += report.GetBytes()
	return v.stream.Send(report)
}

// marked adds the versions that were found bad before, which are not rebuilt
// again.
func (v *verification) marked(id hawser.AgentID, report *hawserv1.VerifyResponse) error {
	view, err := v.b.Machine.View()
	if err != nil {
		return err
	}
	defer closeView(view)
	for before, more := uint64(0), true; more; {
		versions, err := view.Versions(id, before, hawser.MaxPage)
		if errors.Is(err, hawser.ErrNotFound) {
			return nil // deleted meanwhile
		}
		if err != nil {
			return err
		}
		for _, version := range versions {
			before = version.Number
			if version.State == hawser.VersionBad && len(report.GetBad()) < maxBad {
				report.Bad = append(report.Bad, &hawserv1.BadVersion{Number: version.Number, Reason: "it was marked bad before"})
			}
		}
		more = len(versions) == hawser.MaxPage
	}
	return nil
}

// numbers verifies some versions of an agent, on a view that is not held any
// longer than that, and returns the number to go on from, 0 for the end.
func (v *verification) numbers(id hawser.AgentID, from uint64, report *hawserv1.VerifyResponse) (next uint64, err error) {
	view, err := v.b.Machine.View()
	if err != nil {
		return 0, err
	}
	defer closeView(view)
	var stopped error
	next, _, err = v.b.Gate.Verify(v.stream.Context(), view, id, from, 0, func(found fsm.Verdict) bool {
		report.Versions++
		report.Bytes += uint64(found.Version.Size)
		if found.Err != nil && len(report.GetBad()) < maxBad {
			report.Bad = append(report.Bad, &hawserv1.BadVersion{Number: found.Version.Number, Reason: found.Err.Error()})
		}
		stopped = v.reading.Wait(v.stream.Context(), found.Bytes)
		return stopped == nil
	})
	return next, errors.Join(err, stopped)
}
