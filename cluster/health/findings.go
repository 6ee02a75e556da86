// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/hawserdb/hawser"
)

// History is what the store knows of an agent.
type History struct {
	// Now is the cluster's clock.
	Now time.Time
	// Owned: somebody owns it.
	Owned bool
	// Versions are the newest, newest first; Effects are some or all, in any order.
	Versions []hawser.Version
	Effects  []hawser.Effect
}

// What the detectors look at.
const (
	// cadenceSample is how many intervals there must be to know a cadence, recentSample
	// how many of them are recent.
	cadenceSample, recentSample = 20, 10
	// cadenceFactor is by how much an interval must differ from the usual one, and
	// quiet how long a silence is at least that counts.
	cadenceFactor = 10
	quiet         = time.Minute
	// growthSample is how many versions there must be to speak of growth, growthFactor
	// and growthBytes by how much the state must have grown, growthShare what part of the
	// saves must not have shrunk it.
	growthSample = 20
	growthFactor = 2
	growthBytes  = 64 << 10
	growthShare  = 0.9
	// loopVersions is how many versions in a row are looked at for the same states, and
	// loopStates how many different ones a loop has at most.
	loopVersions, loopStates = 20, 3
	// loopEffects are looked at for the same call, which a loop makes loopCalls times.
	loopEffects, loopCalls = 50, 10
	// errorEffects are the ended effects that are looked at, errorSample the fewest that
	// say something, errorShare what part of them must have failed.
	errorEffects, errorSample = 20, 10
	errorShare                = 0.5
)

// Findings returns what is odd about an agent, by what the store knows without its help:
// the cadence of its saves, the growth of its state, the same states or calls over and
// over, and errors. They are hints for people, not verdicts: nothing is done about them.
func Findings(h History) []hawser.Finding {
	var found []hawser.Finding
	for _, detect := range []func(History) (hawser.Finding, bool){silent, hasty, growing, turning, calling, failing, damaged} {
		if f, ok := detect(h); ok {
			found = append(found, f)
		}
	}
	return found
}

// intervals are between saves, newest first.
func intervals(versions []hawser.Version) []time.Duration {
	list := make([]time.Duration, 0, len(versions))
	for i := 1; i < len(versions); i++ {
		list = append(list, versions[i-1].CreatedAt.Sub(versions[i].CreatedAt))
	}
	return list
}

func median[T cmp.Ordered](list []T) T {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

// silent is an agent with an owner that has not saved for much longer than usual.
func silent(h History) (hawser.Finding, bool) {
	pauses := intervals(h.Versions)
	if !h.Owned || len(pauses) < cadenceSample {
		return hawser.Finding{}, false
	}
	usual, since := median(pauses), h.Versions[0].CreatedAt
	if silence := h.Now.Sub(since); silence > max(cadenceFactor*usual, quiet) {
		return hawser.Finding{
			Detector: hawser.DetectorCadence, Since: since, What: fmt.Sprintf("no save for %s; it used to save every %s", brief(silence), brief(usual)),
		}, true
	}
	return hawser.Finding{}, false
}

// hasty is one that saves much more often than it used to.
func hasty(h History) (hawser.Finding, bool) {
	pauses := intervals(h.Versions)
	if len(pauses) < cadenceSample+recentSample {
		return hawser.Finding{}, false
	}
	now, before := median(pauses[:recentSample]), median(pauses[recentSample:])
	if before < time.Second || now*cadenceFactor > before {
		return hawser.Finding{}, false
	}
	return hawser.Finding{
		Detector: hawser.DetectorCadence, Since: h.Versions[recentSample].CreatedAt,
		What: fmt.Sprintf("it saves every %s; it used to save every %s", brief(now), brief(before)),
	}, true
}

// growing is one whose state grows with nearly every save.
func growing(h History) (hawser.Finding, bool) {
	n := len(h.Versions)
	if n < growthSample {
		return hawser.Finding{}, false
	}
	sizes := make([]int64, n)
	rising := 0
	for i, v := range h.Versions {
		if sizes[i] = v.Size; i > 0 && v.Size <= sizes[i-1] {
			rising++
		}
	}
	now, before := median(sizes[:n/3]), median(sizes[n-n/3:])
	if now < growthFactor*before || now-before < growthBytes || float64(rising) < growthShare*float64(n-1) {
		return hawser.Finding{}, false
	}
	first := h.Versions[n-1]
	what := fmt.Sprintf("its state has grown from %s to %s in %d versions", size(first.Size), size(sizes[0]), n)
	if left := float64(hawser.MaxStateSize-sizes[0]) / (float64(sizes[0]-first.Size) / float64(n-1)); left < 10_000 {
		what += fmt.Sprintf("; in about %.0f more it is too large to be saved", left)
	}
	return hawser.Finding{Detector: hawser.DetectorGrowth, Since: first.CreatedAt, What: what}, true
}

// turning is one that saves the same few states over and over.
func turning(h History) (hawser.Finding, bool) {
	if len(h.Versions) < loopVersions {
		return hawser.Finding{}, false
	}
	recent := h.Versions[:loopVersions]
	states := map[hawser.Hash]bool{}
	for _, v := range recent {
		states[v.SHA256] = true
	}
	if len(states) > loopStates {
		return hawser.Finding{}, false
	}
	return hawser.Finding{
		Detector: hawser.DetectorLoop, Since: recent[loopVersions-1].CreatedAt,
		What: fmt.Sprintf("its last %d versions are the same %d states over and over", loopVersions, len(states)),
	}, true
}

// newest returns the n effects that were begun last.
func newest(effects []hawser.Effect, n int) []hawser.Effect {
	sorted := slices.SortedFunc(slices.Values(effects), func(a, b hawser.Effect) int {
		return cmp.Or(b.BegunAt.Compare(a.BegunAt), cmp.Compare(b.Revision, a.Revision), cmp.Compare(a.ID, b.ID))
	})
	return sorted[:min(n, len(sorted))]
}

// calling is one that makes the same call over and over, by what it is described as and
// made with.
func calling(h History) (hawser.Finding, bool) {
	type fingerprint struct {
		description string
		input       hawser.Hash
	}
	counts := map[fingerprint]int{}
	recent := newest(h.Effects, loopEffects)
	for _, e := range recent {
		f := fingerprint{e.Description, e.Input}
		if f == (fingerprint{}) {
			continue // nothing is known of it
		}
		if counts[f]++; counts[f] == loopCalls { // the first that comes to it, of the newest
			oldest := recent[len(recent)-1]
			return hawser.Finding{
				Detector: hawser.DetectorLoop, Since: oldest.BegunAt,
				What: fmt.Sprintf("the same call (%q) was made %d times or more among the last %d effects", f.description, loopCalls, len(recent)),
			}, true
		}
	}
	return hawser.Finding{}, false
}

// failing is one of whose last effects many have failed.
func failing(h History) (hawser.Finding, bool) {
	ended := slices.DeleteFunc(slices.Clone(h.Effects), func(e hawser.Effect) bool { return !e.State.Finished() })
	recent := newest(ended, errorEffects)
	failed, last := 0, ""
	for _, e := range recent {
		if e.State == hawser.EffectFailed {
			if failed++; last == "" {
				last = e.Reason
			}
		}
	}
	if len(recent) < errorSample || float64(failed) < errorShare*float64(len(recent)) {
		return hawser.Finding{}, false
	}
	return hawser.Finding{
		Detector: hawser.DetectorErrors, Since: recent[len(recent)-1].BegunAt,
		What: fmt.Sprintf("%d of its last %d effects have failed, the last one: %s", failed, len(recent), cmp.Or(last, "no reason given")),
	}, true
}

// damaged is one with versions that are marked as bad.
func damaged(h History) (hawser.Finding, bool) {
	bad := slices.DeleteFunc(slices.Clone(h.Versions), func(v hawser.Version) bool { return v.State != hawser.VersionBad })
	if len(bad) == 0 {
		return hawser.Finding{}, false
	}
	return hawser.Finding{
		Detector: hawser.DetectorErrors, Since: bad[len(bad)-1].CreatedAt,
		What: fmt.Sprintf("%d of its last %d versions are damaged, the newest is %d", len(bad), len(h.Versions), bad[0].Number),
	}, true
}

// brief rounds a duration to what people read.
func brief(d time.Duration) string {
	for _, unit := range []time.Duration{time.Second, 100 * time.Millisecond, time.Millisecond} {
		if d >= 10*unit {
			return d.Round(unit).String()
		}
	}
	return d.Round(time.Microsecond).String()
}

func size(n int64) string {
	switch {
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
