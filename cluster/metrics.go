// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"strings"
	"sync"
	"time"

	gometrics "github.com/armon/go-metrics"
	gometricsprom "github.com/armon/go-metrics/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/cluster/consensus"
	"github.com/hawserdb/hawser/cluster/scrub"
	"github.com/hawserdb/hawser/internal/engine"
)

// libraryMetrics holds what the libraries below report. hashicorp's libraries
// report to one process-wide sink, so the nodes of one process share it.
var libraryMetrics = sync.OnceValues(func() (prometheus.Gatherer, error) {
	registry := prometheus.NewRegistry()
	sink, err := gometricsprom.NewPrometheusSinkFrom(gometricsprom.PrometheusOpts{Registerer: registry, Name: "hawser_libraries"})
	if err != nil {
		return nil, fmt.Errorf("metrics sink: %w", err)
	}
	config := gometrics.DefaultConfig("hawser")
	config.EnableHostname, config.EnableRuntimeMetrics = false, false
	if _, err := gometrics.NewGlobal(config, sink); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry, nil
})

// gauges are the node's own numbers, read when somebody asks.
var gauges = []struct {
	name, help string
	read       func(*Node) float64
}{
	{"hawser_ready", "1 while the node knows a leader and has caught up.", func(n *Node) float64 { return boolNumber(n.isReady.Load()) }},
	{"hawser_leader", "1 while the node leads and serves.", func(n *Node) float64 {
		c := n.core.Load()
		return boolNumber(c != nil && c.proposer.ReadyTerm() != 0)
	}},
	{"hawser_term", "Raft term.", fromCore(func(c *core) float64 { return float64(c.replica.Term()) })},
	{"hawser_commit_index", "Newest log index known to be committed.", fromCore(func(c *core) float64 { return float64(c.replica.CommitIndex()) })},
	{"hawser_last_index", "Newest log index on this node.", fromCore(func(c *core) float64 { return float64(c.replica.LastIndex()) })},
	{"hawser_applied_index", "Newest log index that the state machine reflects.", func(n *Node) float64 {
		index, _ := n.machine.Applied()
		return float64(index)
	}},
	{"hawser_log_bytes", "Size of the raft log.", fromStats(func(s consensus.Stats) float64 { return float64(s.LogBytes) })},
	{"hawser_snapshots_taken", "Times since the start that the state was made durable so that the log can be cut.", fromStats(func(s consensus.Stats) float64 { return float64(s.Snapshots) })},
	{"hawser_installs", "Checkpoints of the state received from the leader since the start.", fromStats(func(s consensus.Stats) float64 { return float64(s.Installs) })},
	{"hawser_fetches", "Checkpoints of the state fetched from other members and taken over since the start.", fromCore(func(c *core) float64 {
		checkpoints, _ := c.catchUp.Fetched()
		return float64(checkpoints)
	})},
	{"hawser_fetched_bytes", "Bytes of such checkpoints that came since the start.", fromCore(func(c *core) float64 {
		_, bytes := c.catchUp.Fetched()
		return float64(bytes)
	})},
	{"hawser_fetch_sent_bytes", "Bytes of checkpoints sent to members that fetch, since the start.", fromCore(func(c *core) float64 { return float64(c.source.Sent()) })},
	{"hawser_raft_restarts", "Times since the start that raft was restarted within the process.", fromStats(func(s consensus.Stats) float64 { return float64(s.Restarts) })},
	{"hawser_revision", "Revision of the state machine.", func(n *Node) float64 { return float64(n.machine.Info().Revision) }},
	{"hawser_agents", "Agents that have a version.", func(n *Node) float64 { return float64(n.machine.Info().Agents) }},
	{"hawser_instances_unhealthy", "Instances of agents that the node, as leader, judges to be unhealthy.", instancesOf(hawser.HealthUnhealthy)},
	{"hawser_instances_degrading", "Those that fail now and then.", instancesOf(hawser.HealthDegrading)},
	{"hawser_instances_healthy", "Those that do well.", instancesOf(hawser.HealthHealthy)},
	{"hawser_instances_unknown", "Those of which too little is known.", instancesOf(hawser.HealthUnknown)},
	{"hawser_machine_time_seconds", "The state machine's clock, unix seconds.", func(n *Node) float64 {
		return float64(n.machine.Info().Time.UnixNano()) / float64(time.Second)
	}},
	{"hawser_store_bytes", "What the state takes on disk.", fromStore(func(m engine.Metrics) uint64 { return m.DiskBytes })},
	{"hawser_store_garbage_bytes", "Part of it that a compaction would give back, estimated.", fromStore(func(m engine.Metrics) uint64 { return m.GarbageBytes })},
	{"hawser_store_compactions", "Times since the start that the store was compacted because much had been removed.", fromMember(func(c *core) float64 {
		return float64(c.keeping.compactor.Runs())
	})},
	{"hawser_pruned_versions", "Versions that this node, as leader, removed by retention since the start.", fromMember(func(c *core) float64 {
		return float64(c.keeping.janitor.Stats().Pruned)
	})},
	{"hawser_rewritten_segments", "Segments that this node, as leader, gave a new keyframe since the start.", fromMember(func(c *core) float64 {
		return float64(c.keeping.janitor.Stats().Rewrites)
	})},
	{"hawser_verified_versions", "Versions that this node rebuilt and found to be what was saved, since the start.", fromScrub(func(s scrub.Stats) float64 { return float64(s.Verified) })},
	{"hawser_verify_pending", "Agents with new versions that wait to be verified.", fromScrub(func(s scrub.Stats) float64 { return float64(s.Pending) })},
	{"hawser_verify_behind_seconds", "How long the first of them has been due.", fromScrub(func(s scrub.Stats) float64 { return s.Behind.Seconds() })},
	{"hawser_suspect_versions", "Versions that do not verify here and are not decided on.", fromScrub(func(s scrub.Stats) float64 { return float64(s.Suspects) })},
	{"hawser_bad_versions", "Versions that this node, as leader, marked bad since the start.", fromScrub(func(s scrub.Stats) float64 { return float64(s.Bad) })},
	{"hawser_repaired_contents", "Stored contents of this node that differed from the other voters' and were replaced, since the start.", fromScrub(func(s scrub.Stats) float64 { return float64(s.Repaired) })},
	{"hawser_audited_index", "Log index of the last audit that this node has applied.", func(n *Node) float64 {
		marks, err := n.machine.Marks()
		if err != nil {
			return 0
		}
		return float64(marks.Audited.Index)
	}},
	{"hawser_replicas_differ", "1 while replicas differ and this node does not know yet whether a majority has its state; writes are refused.", fromCore(func(c *core) float64 {
		return boolNumber(c.auditor.Held() != nil)
	})},
	{"hawser_disk_free_bytes", "Free bytes of the data directory's file system.", func(n *Node) float64 {
		s, err := n.space()
		if err != nil {
			return 0
		}
		return float64(s.free)
	}},
}

func instancesOf(state hawser.HealthState) func(*Node) float64 {
	return fromCore(func(c *core) float64 { return float64(c.health.Counts()[state]) })
}

func fromCore(read func(*core) float64) func(*Node) float64 {
	return func(n *Node) float64 {
		if c := n.core.Load(); c != nil {
			return read(c)
		}
		return 0
	}
}

// fromMember reads what runs once the node belongs to a cluster.
func fromMember(read func(*core) float64) func(*Node) float64 {
	return func(n *Node) float64 {
		c, err := n.joined()
		if err != nil {
			return 0
		}
		return read(c)
	}
}

func fromScrub(read func(scrub.Stats) float64) func(*Node) float64 {
	return fromCore(func(c *core) float64 { return read(c.scrubber.Stats()) })
}

func fromStore(read func(engine.Metrics) uint64) func(*Node) float64 {
	return func(n *Node) float64 {
		m, err := n.machine.Metrics()
		if err != nil {
			return 0
		}
		return float64(read(m))
	}
}

func fromStats(read func(consensus.Stats) float64) func(*Node) float64 {
	return fromCore(func(c *core) float64 { return read(get(c.replica, (*consensus.Replica).Stats)) })
}

func boolNumber(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// callMetrics counts and times the public calls.
type callMetrics struct {
	total   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

// observe is a service.Observer.
func (m *callMetrics) observe(method string, code hawser.Code, took time.Duration) {
	name := method[strings.LastIndexByte(method, '/')+1:]
	m.total.WithLabelValues(name, code.String()).Inc()
	m.seconds.WithLabelValues(name).Observe(took.Seconds())
}

// metrics returns the node's call metrics and everything that it exports.
func (n *Node) metrics() (*callMetrics, prometheus.Gatherer, error) {
	library, err := libraryMetrics()
	if err != nil {
		return nil, nil, err
	}
	registry := prometheus.NewRegistry()
	for _, g := range gauges {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: g.name, Help: g.help}, func() float64 { return g.read(n) }))
	}
	calls := &callMetrics{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hawser_calls_total", Help: "Calls on the client port by method and outcome.",
		}, []string{"method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "hawser_call_seconds", Help: "Time that calls on the client port took.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 16),
		}, []string{"method"}),
	}
	registry.MustRegister(calls.total, calls.seconds)
	return calls, prometheus.Gatherers{registry, library}, nil
}
