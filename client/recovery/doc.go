// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package recovery brings agents back: it derives from evidence what kind of
// failure there is, does what that kind asks for, looks whether it has helped, and
// gives up for good after some attempts.
//
//	s, err := recovery.StartProcess(ctx, recovery.Process{Agent: "crew/reader", Client: c, Builds: builds})
//	...
//	err = recovery.Supervise(ctx, recovery.Config{Agent: "crew/reader", Client: c, Subject: s})
//
// What is decided is kept with the agent, as versions of the agent that
// [agent.RecordPrefix] names: "hawser agent events" shows them.
package recovery
