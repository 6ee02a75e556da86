// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hawserdb/hawser/jepsen/faultfs"
	"github.com/hawserdb/hawser/jepsen/lan"
	"github.com/hawserdb/hawser/jepsen/rig"
)

// Lasting is a fault that does not end by itself and leaves a majority of nodes,
// the core, that are healthy and see each other: a cluster must serve while it is
// there.
type Lasting struct {
	Name string
	// Network and Disks are as those of a Fault.
	Network, Disks bool
	// Within is how soon clients must get on; 0 for what is usual.
	Within time.Duration
	// leaderOutside: the leader is not in the core; else it is its first node.
	leaderOutside bool
	// begin does something to the nodes outside.
	begin func(r *rig.Rig, core, outside []int) (Injury, error)
}

// Begin begins it. The injury's Heal ends it.
func (l Lasting) Begin(ctx context.Context, r *rig.Rig, rng *rand.Rand) (Injury, error) {
	leader := r.Leader(ctx)
	if leader < 0 || leader >= r.Size() {
		return Injury{}, errors.New("no node leads")
	}
	core, outside := l.split(rng.Perm(r.Size()), leader)
	return l.begin(r, core, outside)
}

// split chooses the core, a bare majority, of nodes in any order.
func (l Lasting) split(nodes []int, leader int) (core, outside []int) {
	others := slices.DeleteFunc(nodes, func(i int) bool { return i == leader })
	half := len(others) / 2
	if l.leaderOutside {
		return others[:half+1], append([]int{leader}, others[half+1:]...)
	}
	return append([]int{leader}, others[:half]...), others[half:]
}

// AllLasting returns every lasting fault that there is.
func AllLasting() (all []Lasting) {
	for _, leader := range []bool{false, true} {
		all = append(
			all, paused(leader), dead(leader),
			spoilt("cut", leader, cut, everyWay(true, true, false)), spoilt("unplugged", leader, cut, everyWay(true, true, true)),
			spoilt("mute", leader, cut, everyWay(true, false, false)), spoilt("deaf", leader, cut, everyWay(false, true, false)),
			spoilt("bridge", leader, cut, toAllButFirst(true, true)),
			spoilt("half-bridge-out", leader, cut, toAllButFirst(true, false)), spoilt("half-bridge-in", leader, cut, toAllButFirst(false, true)),
			spoilt("poor-links", leader, lan.Quality{Loss: 0.4}, everyWay(true, true, true)),
			spoilt("slow-links", leader, lan.Quality{Delay: time.Second}, everyWay(true, true, true)),
			flapping(leader),
			spoiltDisk("slow-disk", leader, func(f *faultfs.Faults) { f.SyncDelay = 2 * time.Second }),
			hung(leader),
			spoiltDisk("full-disk", leader, func(f *faultfs.Faults) { f.Full = true }),
		)
	}
	return append(all, spoilt("no-clients", true, cut, clientsOnly))
}

// title names a fault after the nodes outside the core.
func title(name string, leaderOutside bool) string {
	if leaderOutside {
		return name + "-leader"
	}
	return name + "-follower"
}

func paused(leaderOutside bool) Lasting {
	return Lasting{Name: title("paused", leaderOutside), leaderOutside: leaderOutside, begin: func(r *rig.Rig, _, outside []int) (Injury, error) {
		heal := func(context.Context) error {
			var errs []error
			for _, i := range outside {
				errs = append(errs, r.Resume(i))
			}
			return errors.Join(errs...)
		}
		for _, i := range outside {
			if err := r.Pause(i); err != nil {
				return Injury{}, err
			}
		}
		return Injury{What: names(outside) + " stands still", Heal: heal}, nil
	}}
}

func dead(leaderOutside bool) Lasting {
	return Lasting{Name: title("dead", leaderOutside), leaderOutside: leaderOutside, begin: func(r *rig.Rig, _, outside []int) (Injury, error) {
		heal := func(context.Context) error { return startAgain(r, outside) }
		return Injury{What: names(outside) + " is dead", Heal: heal}, killAll(r, outside)
	}}
}

// linksOf are the links of the nodes outside that are spoilt.
type linksOf func(r *rig.Rig, core, outside []int) [][2]int

func spoilt(name string, leaderOutside bool, how lan.Quality, which linksOf) Lasting {
	name = title(name, leaderOutside)
	return Lasting{Name: name, Network: true, leaderOutside: leaderOutside, begin: func(r *rig.Rig, core, outside []int) (Injury, error) {
		links := which(r, core, outside)
		before := r.Network.Lost(links...) + r.Network.Delayed(links...)
		mend := r.Network.Spoil(links, how)
		heal := func(context.Context) error {
			mend()
			return nil
		}
		proof := func() error {
			if r.Network.Lost(links...)+r.Network.Delayed(links...) == before {
				return errors.New("no packet was lost or held back")
			}
			return nil
		}
		return Injury{What: fmt.Sprintf("%s: %s, the core is %s", name, names(outside), names(core)), Heal: heal, Proof: proof}, nil
	}}
}

// everyWay spoils what the nodes outside send to the core, what they get from it,
// or both, and the links to clients, too.
func everyWay(out, in, clients bool) linksOf {
	return func(r *rig.Rig, core, outside []int) [][2]int {
		if clients {
			core = append(slices.Clone(core), r.Hosts())
		}
		return across(outside, core, out, in)
	}
}

// toAllButFirst leaves the first node of the core, which sees all, and spoils the
// links to the others of it.
func toAllButFirst(out, in bool) linksOf {
	return func(_ *rig.Rig, core, outside []int) [][2]int { return across(outside, core[1:], out, in) }
}

func clientsOnly(r *rig.Rig, _, outside []int) [][2]int {
	return across(outside, []int{r.Hosts()}, true, true)
}

func across(here, there []int, out, in bool) (links [][2]int) {
	for _, i := range here {
		for _, j := range there {
			if out {
				links = append(links, [2]int{i, j})
			}
			if in {
				links = append(links, [2]int{j, i})
			}
		}
	}
	return links
}

// flapping links go and come three times in two seconds.
func flapping(leaderOutside bool) Lasting {
	name := title("flapping", leaderOutside)
	return Lasting{Name: name, Network: true, leaderOutside: leaderOutside, begin: func(r *rig.Rig, core, outside []int) (Injury, error) {
		what := fmt.Sprintf("%s: %s, the core is %s", name, names(outside), names(core))
		return flaps(r, what, across(outside, core, true, true), time.Second/3), nil
	}}
}

// hung disks are given up by their nodes after ten seconds, see docs/operations.md.
func hung(leaderOutside bool) Lasting {
	l := spoiltDisk("hung-disk", leaderOutside, func(f *faultfs.Faults) { f.SyncHangs = true })
	if leaderOutside {
		l.Within = 15 * time.Second
	}
	return l
}

func spoiltDisk(name string, leaderOutside bool, set func(*faultfs.Faults)) Lasting {
	return Lasting{Name: title(name, leaderOutside), Disks: true, leaderOutside: leaderOutside, begin: func(r *rig.Rig, _, outside []int) (Injury, error) {
		heal := func(context.Context) error {
			for _, i := range outside {
				r.Disks[i].Set(faultfs.Faults{})
			}
			return startAgain(r, outside)
		}
		wrongs := func(i int) uint64 {
			c := r.Disks[i].Counts()
			return c.SlowSyncs + c.HungSyncs + c.Refused
		}
		before := make([]uint64, r.Size())
		for _, i := range outside {
			before[i] = wrongs(i)
			r.Disks[i].Change(set)
		}
		proof := func() error {
			for _, i := range outside {
				if wrongs(i) == before[i] {
					return fmt.Errorf("the disk of %s was not used", names([]int{i}))
				}
			}
			return nil
		}
		return Injury{What: fmt.Sprintf("%s of %s", name, names(outside)), Heal: heal, Proof: proof}, nil
	}}
}
