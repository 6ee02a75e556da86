// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/hawsertest"
)

// wallet takes part in transfers for one agent: its state is a number, and what a
// transfer asks is a number to add.
func wallet(agent *client.Agent) client.Participant {
	return client.Participant{Prepare: func(ctx context.Context, req client.TxnRequest) ([]byte, error) {
		balance, err := client.RestoreJSON[int](ctx, agent)
		if err != nil {
			return nil, err // it is called again
		}
		var change int
		if err := json.Unmarshal(req.Payload, &change); err != nil {
			return nil, client.VoteNo(err.Error())
		}
		if balance+change < 0 {
			return nil, client.VoteNo("no funds")
		}
		return json.Marshal(balance + change)
	}}
}

// Two agents change together, or not at all. Each is owned by a process that
// votes; anybody may begin.
func ExampleClient_Transact() {
	endpoint, stop := hawsertest.StartExample()
	defer stop()
	c := exampleInstance(endpoint, "worker-a")
	defer c.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 2)
	for _, name := range []string{"alice", "bob"} {
		agent := c.Agent(name)
		if _, err := client.SaveJSON(ctx, agent, 100); err != nil {
			fmt.Println(err)
			return
		}
		own, err := agent.Claim(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		go func() { done <- own.Participate(ctx, wallet(agent)) }()
	}

	transfer := func(amount int) error {
		t, err := c.Transact(ctx, client.Txn{Participants: []client.TxnTask{
			{Agent: "alice", Payload: fmt.Append(nil, -amount)}, {Agent: "bob", Payload: fmt.Append(nil, amount)},
		}})
		fmt.Println(amount, t.State)
		return err
	}
	fmt.Println(transfer(30))
	err := transfer(100)
	var aborted *hawser.TxnAbortedError
	fmt.Println(errors.As(err, &aborted), aborted.Txn.Reason)
	for _, name := range []string{"alice", "bob"} {
		balance, err := client.RestoreJSON[int](ctx, c.Agent(name))
		fmt.Println(name, balance, err)
	}
	cancel()
	<-done
	<-done
	// Output:
	// 30 COMMITTED
	// <nil>
	// 100 ABORTED
	// true "alice" voted no: no funds
	// alice 70 <nil>
	// bob 130 <nil>
}
