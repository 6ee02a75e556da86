// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hawserdb/hawser/jepsen/lan"
	"github.com/hawserdb/hawser/jepsen/rig"
)

// spoil is a fault of links, which are pairs of a sender and a receiver; the
// clients are host r.Hosts().
func spoil(name string, how lan.Quality, which func(ctx context.Context, r *rig.Rig, rng *rand.Rand) (links [][2]int, what string)) Fault {
	return Fault{Name: name, Network: true, Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) (Injury, error) {
		links, what := which(ctx, r, rng)
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
		return Injury{What: what, Heal: heal, Proof: proof}, nil
	}}
}

var cut = lan.Quality{Cut: true}

// around returns the links of a host to and from the first hosts.
func around(i, hosts int) (links [][2]int) {
	for other := range hosts {
		if other != i {
			links = append(links, [2]int{i, other}, [2]int{other, i})
		}
	}
	return links
}

// isolate cuts a node off from the others, both ways; not from the clients.
func isolate(who chooser) Fault {
	return spoil("cut-"+who.name, cut, func(ctx context.Context, r *rig.Rig, rng *rand.Rand) ([][2]int, string) {
		i := who.choose(ctx, r, rng)[0]
		return around(i, r.Hosts()), fmt.Sprintf("%s cut off from the others", names([]int{i}))
	})
}

// unplug cuts a node off from everybody, its clients too.
func unplug(who chooser) Fault {
	return spoil("unplug-"+who.name, cut, func(ctx context.Context, r *rig.Rig, rng *rand.Rand) ([][2]int, string) {
		i := who.choose(ctx, r, rng)[0]
		return around(i, r.Hosts()+1), fmt.Sprintf("%s unplugged", names([]int{i}))
	})
}

// oneWay makes a node mute, or deaf, to the other nodes.
func oneWay(who chooser) Fault {
	return spoil("one-way-"+who.name, cut, func(ctx context.Context, r *rig.Rig, rng *rand.Rand) ([][2]int, string) {
		i, mute := who.choose(ctx, r, rng)[0], rng.IntN(2) == 0
		var links [][2]int
		for other := range r.Hosts() {
			switch {
			case other == i:
			case mute:
				links = append(links, [2]int{i, other})
			default:
				links = append(links, [2]int{other, i})
			}
		}
		if mute {
			return links, fmt.Sprintf("nothing that %s sends arrives at the others", names([]int{i}))
		}
		return links, fmt.Sprintf("nothing that the others send arrives at %s", names([]int{i}))
	})
}

// bridge leaves one node that sees all, while the others do not see each other.
func bridge() Fault {
	return spoil("bridge", cut, func(_ context.Context, r *rig.Rig, rng *rand.Rand) ([][2]int, string) {
		middle := rng.IntN(r.Size())
		var links [][2]int
		for i := range r.Hosts() {
			for j := range r.Hosts() {
				if i != j && i != middle && j != middle {
					links = append(links, [2]int{i, j})
				}
			}
		}
		return links, fmt.Sprintf("only %s sees the others", names([]int{middle}))
	})
}

// slow holds back what the nodes send, poor loses some of it.
func slow() Fault {
	return spoil("slow-links", lan.Quality{Delay: 40 * time.Millisecond, Jitter: 120 * time.Millisecond}, everyLink("every packet takes 40 to 160 ms"))
}

func poor() Fault {
	return spoil("poor-links", lan.Quality{Loss: 0.15}, everyLink("every seventh packet is lost"))
}

func everyLink(what string) func(context.Context, *rig.Rig, *rand.Rand) ([][2]int, string) {
	return func(_ context.Context, r *rig.Rig, _ *rand.Rand) (links [][2]int, _ string) {
		for i := range r.Hosts() + 1 {
			for j := range r.Hosts() + 1 {
				if i != j {
					links = append(links, [2]int{i, j})
				}
			}
		}
		return links, what
	}
}

// flap cuts a node off and connects it again, many times.
func flap(who chooser) Fault {
	return Fault{Name: "flap-" + who.name, Network: true, Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) (Injury, error) {
		i := who.choose(ctx, r, rng)[0]
		every := between(rng, 50*time.Millisecond, 700*time.Millisecond)
		what := fmt.Sprintf("the links of %s go and come every %s", names([]int{i}), every.Round(time.Millisecond))
		return flaps(r, what, around(i, r.Hosts()), every), nil
	}}
}

// flaps cuts links and mends them, again and again.
func flaps(r *rig.Rig, what string, links [][2]int, every time.Duration) Injury {
	before := r.Network.Lost(links...)
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			mend := r.Network.Spoil(links, cut)
			ended := waits(over, every)
			mend()
			if ended || waits(over, every) {
				return
			}
		}
	}()
	heal := func(context.Context) error {
		close(over)
		<-done
		return nil
	}
	proof := func() error {
		if r.Network.Lost(links...) == before {
			return errors.New("no packet was lost")
		}
		return nil
	}
	return Injury{What: what, Heal: heal, Proof: proof}
}

// waits waits for a while, and reports whether over was closed meanwhile.
func waits(over <-chan struct{}, while time.Duration) bool {
	select {
	case <-over:
		return true
	case <-time.After(while):
		return false
	}
}
