// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Order is a shop in which an order is taken by three agents together, or by none:
// the book has it, the stock falls, the payment is due. Each agent is a process; kill
// any of them with -9.
//
//	go run ./cmd/hawser dev --nodes 3      # in another terminal
//	go run ./examples/order                # all of them, one process each, and what became of 30 orders
//	go run ./examples/order stock          # one of them alone, in this process
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
	"github.com/hawserdb/hawser/client/agent"
	"github.com/hawserdb/hawser/client/recovery"
)

// The agents. The customer places orders, the clerk has each decided by the other
// three.
const (
	customerName = "order/customer"
	clerkName    = "order/clerk"
	bookName     = "order/book"
	stockName    = "order/stock"
	paymentName  = "order/payment"
)

const (
	orders = 30
	// timeLimit is how long the three have to decide on an order.
	timeLimit = 10 * time.Second
	// credit is the highest price in EUR at which an order is taken.
	credit = 100
)

// initialStock is what there is to sell.
var initialStock = stock{Left: map[string]int{"rope": 20, "anchor": 8}}

type order struct {
	ID    string `json:"id"`
	Item  string `json:"item"`
	Count int    `json:"count"`
	Price int    `json:"price"` // of all, in EUR
}

// nth is the nth order of the customer, from 1.
func nth(n int) order {
	o := order{ID: fmt.Sprintf("order-%d", n), Item: "rope", Count: 1 + n%2, Price: 10 * (1 + n%2)}
	if n%3 == 0 {
		o.Item, o.Count, o.Price = "anchor", 1, 40
	}
	if n%10 == 0 {
		o.Price = 500 // above the credit
	}
	return o
}

// outcome is what became of an order.
type outcome struct {
	Order   order  `json:"order"`
	Receipt string `json:"receipt,omitempty"`
	Refused string `json:"refused,omitempty"`
}

func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // numbers, times and texts can be encoded
	}
	return data
}

// customer places orders, and notes what becomes of them.
type customer struct {
	Placed   int       `json:"placed"`
	Outcomes []outcome `json:"outcomes"`
}

func buy(ctx context.Context, t *agent.Turn[customer]) error {
	switch {
	case t.State.Placed < orders:
		t.State.Placed++
		t.Send(clerkName, encode(nth(t.State.Placed)))
		return nil
	case len(t.State.Outcomes) == orders:
		return agent.Done
	}
	m, err := t.Message(ctx)
	if err != nil {
		return err
	}
	var o outcome
	if err := json.Unmarshal(m.Payload, &o); err != nil {
		return err
	}
	t.State.Outcomes = append(t.State.Outcomes, o)
	return nil
}

// clerk has orders decided, one at a time.
type clerk struct {
	// Current is the order that is being decided.
	Current *attempt `json:"current,omitempty"`
}

// attempt is all that makes a transaction the same one when it is begun again.
type attempt struct {
	Order    order     `json:"order"`
	Deadline time.Time `json:"deadline"`
}

// take takes an order in one step, and has it decided in the next. What is saved
// between them is what another process needs to go on with the same transaction.
func take(c *client.Client) agent.Step[clerk] {
	return func(ctx context.Context, t *agent.Turn[clerk]) error {
		if t.State.Current == nil {
			m, err := t.Message(ctx)
			if err != nil {
				return err
			}
			var next attempt
			if err := json.Unmarshal(m.Payload, &next.Order); err != nil {
				return err
			}
			now, err := c.Now(ctx)
			next.Deadline = now.Add(timeLimit)
			t.State.Current = &next
			return err
		}
		o := t.State.Current.Order
		refused, err := decide(ctx, c, *t.State.Current)
		if err != nil {
			return err
		}
		if refused == "" {
			t.Send(paymentName, nil) // there is something to charge
		} else {
			t.Send(customerName, encode(outcome{Order: o, Refused: refused}))
		}
		t.State.Current = nil
		return nil
	}
}

// decide begins the transaction of an order, or joins it, and returns why the order
// was refused, "" if it was taken.
func decide(ctx context.Context, c *client.Client, a attempt) (refused string, err error) {
	txn := client.Txn{ID: a.Order.ID, Deadline: a.Deadline}
	for _, name := range []string{bookName, stockName, paymentName} {
		txn.Participants = append(txn.Participants, client.TxnTask{Agent: name, Payload: encode(a.Order)})
	}
	_, err = c.Transact(ctx, txn)
	if aborted, ok := errors.AsType[*hawser.TxnAbortedError](err); ok {
		return aborted.Txn.Reason, nil
	}
	if errors.Is(err, hawser.ErrRequestExpired) {
		// It was over before its deadline, or was never begun. If it was committed, the
		// book has the order.
		found, err := client.RestoreJSON[book](ctx, c.Agent(bookName))
		if _, taken := found.Orders[a.Order.ID]; err != nil || taken {
			return "", err
		}
		return "time ran out", nil
	}
	return "", err
}

// asked is the order that a transaction is about.
func asked(req client.TxnRequest) (o order, err error) {
	if err = json.Unmarshal(req.Payload, &o); err != nil || o.Count < 1 {
		err = client.VoteNo("that is no order")
	}
	return o, err
}

// book has the orders that were taken.
type book struct {
	Orders map[string]order `json:"orders"`
}

func (b *book) prepare(req client.TxnRequest) error {
	o, err := asked(req)
	if err != nil {
		return err
	}
	if _, taken := b.Orders[o.ID]; taken {
		return client.VoteNo("it was taken before")
	}
	if b.Orders == nil {
		b.Orders = map[string]order{}
	}
	b.Orders[o.ID] = o
	return nil
}

// stock is how many of each item there are.
type stock struct {
	Left map[string]int `json:"left"`
}

func (s *stock) prepare(req client.TxnRequest) error {
	o, err := asked(req)
	if err != nil {
		return err
	}
	if s.Left[o.Item] < o.Count {
		return client.VoteNo(fmt.Sprintf("only %d left", s.Left[o.Item]))
	}
	s.Left[o.Item] -= o.Count
	return nil
}

// payment has what is to be charged, and what was.
type payment struct {
	Due  []order   `json:"due"`
	Paid []outcome `json:"paid"`
}

func (p *payment) prepare(req client.TxnRequest) error {
	o, err := asked(req)
	if err != nil {
		return err
	}
	if o.Price > credit {
		return client.VoteNo(fmt.Sprintf("%d EUR are too much", o.Price))
	}
	p.Due = append(p.Due, o)
	return nil
}

// charge charges what is due: orders that are committed, and no others. What the bank
// says is an effect under the order's id, so that a process that dies in between does
// not have it charged twice.
func charge(bank func(ctx context.Context, key string, o order) ([]byte, error)) agent.Step[payment] {
	return func(ctx context.Context, t *agent.Turn[payment]) error {
		if len(t.State.Due) == 0 {
			_, err := t.Message(ctx) // meanwhile transactions go on
			return err
		}
		o := t.State.Due[0]
		receipt, err := t.Effect(ctx, "charge "+o.ID, hawser.OnUnknownRetry, func(ctx context.Context, key string) ([]byte, error) {
			return bank(ctx, key, o)
		})
		if err != nil {
			return err
		}
		paid := outcome{Order: o, Receipt: string(receipt)}
		t.State.Due, t.State.Paid = t.State.Due[1:], append(t.State.Paid, paid)
		t.Send(customerName, encode(paid))
		return nil
	}
}

// idle is the step of an agent that only takes part in transactions.
func idle[S any](ctx context.Context, t *agent.Turn[S]) error {
	_, err := t.Message(ctx)
	return err
}

// takesPart makes a participant of a function that changes a state, or votes no.
func takesPart[S any](prepare func(*S, client.TxnRequest) error) agent.Participant[S] {
	return agent.Participant[S]{Prepare: func(_ context.Context, s *S, req client.TxnRequest) (*S, error) {
		return s, prepare(s, req)
	}}
}

// run runs one agent in this process, until it is done or ctx ends.
func run(ctx context.Context, c *client.Client, name string) error {
	quiet := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	switch name {
	case customerName:
		return agent.Run(ctx, c, agent.Config[customer]{Name: name, Logger: quiet}, buy)
	case clerkName:
		return agent.Run(ctx, c, agent.Config[clerk]{Name: name, Logger: quiet}, take(c))
	case bookName:
		return agent.Run(ctx, c, agent.Config[book]{Name: name, Logger: quiet, Participant: takesPart((*book).prepare)}, idle)
	case stockName:
		return agent.Run(ctx, c, agent.Config[stock]{Name: name, Logger: quiet, Participant: takesPart((*stock).prepare)}, idle)
	case paymentName:
		return agent.Run(ctx, c, agent.Config[payment]{Name: name, Logger: quiet, Participant: takesPart((*payment).prepare)}, charge(bankAt(os.Getenv("BANK_URL"))))
	}
	return fmt.Errorf("%s is none of %s", name, strings.Join(shop, ", "))
}

var shop = []string{customerName, clerkName, bookName, stockName, paymentName}

// open makes the agents that are not there: messages and transactions need somebody
// to be for.
func open(ctx context.Context, c *client.Client) error {
	for _, name := range shop {
		state := []byte("{}")
		if name == stockName {
			state = encode(initialStock)
		}
		_, err := c.Agent(name).Save(ctx, state, client.ExpectVersion(0))
		if err != nil && !errors.Is(err, hawser.ErrConflict) && !errors.Is(err, hawser.ErrFenced) {
			return err
		}
	}
	return nil
}

// superviseAll runs each agent as a process, and brings back those that fail, until
// the customer knows of all orders; then it prints what became of them.
func superviseAll(ctx context.Context, c *client.Client, program string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if err := open(ctx, c); err != nil {
		return err
	}
	bank := os.Getenv("BANK_URL")
	if bank == "" {
		var closeBank func()
		var err error
		if bank, closeBank, err = openBank(); err != nil {
			return err
		}
		defer closeBank()
	}
	errs := make([]error, len(shop))
	var all sync.WaitGroup
	for i, name := range shop {
		all.Go(func() {
			if errs[i] = supervise(ctx, c, program, name, bank); errs[i] != nil || name == customerName {
				stop() // the others are not needed any more
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return report(context.WithoutCancel(ctx), c)
}

func supervise(ctx context.Context, c *client.Client, program, name, bank string) error {
	build := recovery.Build{Name: "this", Command: []string{program, strings.TrimPrefix(name, "order/")}, Env: []string{"BANK_URL=" + bank}}
	child, err := recovery.StartProcess(ctx, recovery.Process{Agent: name, Client: c, Builds: []recovery.Build{build}, Output: os.Stderr})
	if err != nil {
		return err
	}
	defer func() { _ = child.Close() }() //nolint:contextcheck // it ends the process also after ctx has ended
	fmt.Fprintf(os.Stderr, "%s is process %d\n", name, child.PID())
	return recovery.Supervise(ctx, recovery.Config{Agent: name, Client: c, Subject: child, StableFor: 1})
}

func report(ctx context.Context, c *client.Client) error {
	found, err := client.RestoreJSON[customer](ctx, c.Agent(customerName))
	if err != nil {
		return err
	}
	left, err := client.RestoreJSON[stock](ctx, c.Agent(stockName))
	if err != nil {
		return err
	}
	slices.SortFunc(found.Outcomes, func(a, b outcome) int {
		return cmp.Or(cmp.Compare(len(a.Order.ID), len(b.Order.ID)), cmp.Compare(a.Order.ID, b.Order.ID))
	})
	for _, o := range found.Outcomes {
		became := "paid, " + o.Receipt
		if o.Refused != "" {
			became = "refused, " + o.Refused
		}
		fmt.Printf("%-9s %d %-7s %3d EUR  %s\n", o.Order.ID, o.Order.Count, o.Order.Item, o.Order.Price, became)
	}
	fmt.Printf("left: %d ropes, %d anchors\n", left.Left["rope"], left.Left["anchor"])
	return nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := start(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "order:", err)
	}
	os.Exit(recovery.ExitCode(err))
}

func start(ctx context.Context, args []string) error {
	endpoints := strings.Split(cmp.Or(os.Getenv("HAWSER_ENDPOINTS"), client.DefaultEndpoint), ",")
	c, err := client.Dial(client.Config{Endpoints: endpoints, Instance: os.Getenv(recovery.EnvInstance)})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if len(args) == 1 {
		return run(ctx, c, "order/"+args[0])
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return superviseAll(ctx, c, self)
}
