// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package watch tells subscribers on one node what the state machine does.
//
// A [Hub] sees every entry that the own machine applies, in order, and keeps
// the newest events in a ring in memory. A [Subscription] is a place in that
// order and a [Filter]; [Subscription.Next] returns what comes after the place.
//
// # Promises
//
// A subscription delivers the events that match its filter in the order of
// their revisions: none is left out, none comes twice, and those of one
// revision come together. What the ring no longer holds, because the
// subscriber is slow or begins in the past, comes from the event log in the
// machine, some at a time; what that no longer holds either is a
// *hawser.CompactedError. A subscriber that had caught up and then fell behind
// by more than so many events is ended with hawser.ErrOverloaded.
//
// When the machine is replaced by another state ([Hub.Reset]), or turns out to
// be further on than what was seen of it, the ring starts anew and all
// subscribers go on from the log.
//
// # Cost
//
// A subscription that waits lies in one list: that of its agent, prefix or
// namespace. An event is compared with those that wait in the lists that it
// belongs to. Whoever is woken leaves the list until it has caught up, so a
// slow subscriber costs nothing, and no event is copied for anybody before it
// is asked for. There is no buffer and no goroutine a subscription.
//
// # Concurrency
//
// [Hub.OnApplied] and [Hub.Reset] are called by one goroutine at a time, a
// Subscription is used by one, all else by any. The package starts no
// goroutine.
package watch
