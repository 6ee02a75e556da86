// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package wire translates between the root package's types and the API's
// messages: errors to gRPC statuses and back, versions, agents, requests.
//
// Client and servers use the same tables, so an error that leaves a node
// arrives as the same typed error. A status that carries no [hawserv1.ErrorDetail]
// did not come from Hawser's code but from the transport between: for a
// mutating call it says nothing about what was executed. [Detailed] tells the
// two apart.
package wire
