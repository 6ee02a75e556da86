// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"strconv"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/jepsen/history"
)

// Dial returns the connection of a client of a workload, whose renewals of leases
// are recorded.
func Dial(r *history.Recorder, w Workload, id int, endpoints []string) (*client.Client, error) {
	renewing := &renewals{recorder: r, workload: w.Name(), id: id, leases: map[hawser.LeaseID]opened{}}
	return client.Dial(client.Config{Endpoints: endpoints, Instance: "client-" + strconv.Itoa(id), DialOptions: renewing.options()})
}
