// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package nemesis

// All returns every fault that there is.
func All() []Fault {
	faults := []Fault{
		kill(one), kill(leader), kill(majority), kill(all),
		stop(one), stop(leader), rolling(),
		pause(one), pause(leader), pause(majority), pause(all),
		starve(one), starve(leader),
		isolate(one), isolate(leader), unplug(one), unplug(leader), oneWay(one), oneWay(leader), bridge(),
		flap(one), flap(leader), slow(), poor(),
		power(exposed), power(all), syncError("sync-error", 1, one), syncError("sync-errors", -1, leader),
		slowDisk(one), slowDisk(leader), hungDisk(leader), fullDisk(one), fullDisk(all),
		clockJump(one), clockJump(leader), transfers(), replace(), addRemove(), upgrade(),
		killClient(), pauseClient(), pauseJudge(),
	}
	return append(faults, rots()...)
}
