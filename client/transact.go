// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hawserdb/hawser"
	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/wire"
)

// Txn is a transaction to begin: agents that change together or not at all.
type Txn struct {
	// ID names it in the client's namespace; empty for a random one. The same id
	// with the same participants, payloads and Deadline is the same transaction,
	// from whichever process: it is joined, and never begun again. See Deadline.
	ID string
	// Participants are 1 to 64 agents. Whoever owns them votes: see
	// [Claim.Participate].
	Participants []TxnTask
	// Timeout is how long it may stay undecided, hawser.DefaultTxnTimeout if it
	// is 0, at most hawser.MaxTxnTimeout. Then it is aborted.
	Timeout time.Duration
	// Deadline is the moment instead, on the cluster's clock, [Client.Now]. It is
	// for a transaction that another process may have to go on with: keep it,
	// with the id, before the first attempt. Past it nothing is begun any more:
	// the error matches hawser.ErrRequestExpired, and the transaction was either over
	// before, which the participants' versions tell (Version.Txn), or never begun.
	Deadline time.Time
	// Decide, if it is set, is called once all have voted yes: nil commits, an
	// error aborts for that reason. It may be called again after a failure.
	Decide func(context.Context, hawser.TxnInfo) error
}

// TxnTask is what one agent is asked to do. What the payload means is between
// the initiator and the agent; all of a transaction together may have
// hawser.MaxTxnPayload bytes.
type TxnTask struct {
	Agent   string
	Payload []byte
}

// decisionSlack is how long after its deadline a transaction is still asked for.
const decisionSlack = 5 * time.Second

// Transact begins a transaction and waits until it is decided. A transaction
// that is committed has the versions that the participants' states became.
//
// Errors: *hawser.TxnAbortedError says who voted no, and why, or that time ran
// out; *hawser.UnknownTxnError that ctx ended first, or no node answers: it is
// decided at its deadline at the latest, and [Client.Txn] tells how. Others
// mean that nothing was begun: hawser.ErrNotFound for an agent that is not
// there, hawser.ErrInvalid, hawser.ErrRequestMismatch for an id that names
// another transaction.
func (c *Client) Transact(ctx context.Context, t Txn) (hawser.TxnInfo, error) {
	x, err := c.newInitiator(ctx, t)
	if err != nil {
		return hawser.TxnInfo{}, err
	}
	for {
		err := x.follow(ctx)
		switch {
		case x.info.State == hawser.TxnCommitted:
			return x.info, nil
		case x.info.State == hawser.TxnAborted:
			return x.info, &hawser.TxnAbortedError{Txn: x.info}
		case x.info.State == hawser.TxnPrepared && err == nil:
			err = x.decide(ctx, t.Decide)
		}
		if ctx.Err() == nil && (err == nil || isPassing(err)) && c.clock.now().Before(x.deadline.Add(decisionSlack)) {
			continue // do and follow have paused
		}
		if !x.open && ctx.Err() == nil && (errors.Is(err, hawser.ErrRequestExpired) || errors.Is(err, hawser.ErrInvalid)) && !x.renewed {
			x.renewed = true // its idea of the clock was old: nothing was begun
			if err = x.schedule(ctx, t.Timeout, true); err == nil {
				continue
			}
		}
		return x.info, x.failure(ctx, err)
	}
}

// initiator is one call of Transact.
type initiator struct {
	client   *Client
	id       hawser.TxnID
	request  *hawserv1.TransactRequest
	deadline time.Time // on the cluster's clock
	// open: it may have been begun.
	open, renewed bool
	info          hawser.TxnInfo
}

func (c *Client) newInitiator(ctx context.Context, t Txn) (*initiator, error) {
	x := &initiator{client: c, id: hawser.TxnID{Namespace: c.cfg.Namespace, ID: t.ID}}
	if t.ID == "" {
		x.id = hawser.NewTxnID(c.cfg.Namespace)
	}
	refuse := func(code hawser.Code, format string, args ...any) (*initiator, error) {
		return nil, &hawser.Error{Code: code, Op: "begin transaction", Key: x.id.String(), Msg: fmt.Sprintf(format, args...)}
	}
	if err := x.id.Check(); err != nil {
		return nil, err
	}
	switch n := len(t.Participants); {
	case n == 0 || n > hawser.MaxParticipants:
		return refuse(hawser.CodeInvalid, "%d participants, 1 to %d are possible", n, hawser.MaxParticipants)
	case t.Timeout < 0 || t.Timeout > hawser.MaxTxnTimeout:
		return refuse(hawser.CodeInvalid, "a timeout of %s, at most %s are possible", t.Timeout, hawser.MaxTxnTimeout)
	}
	x.request = &hawserv1.TransactRequest{Id: wire.TxnIDToProto(x.id), Manual: t.Decide != nil}
	size := 0
	for _, task := range t.Participants {
		agent, err := hawser.NewAgentID(c.cfg.Namespace, task.Agent)
		if err != nil {
			return nil, err
		}
		size += len(task.Payload)
		x.request.Participants = append(x.request.Participants, &hawserv1.TransactionTask{Agent: wire.AgentToProto(agent), Payload: task.Payload})
	}
	if size > hawser.MaxTxnPayload {
		return refuse(hawser.CodeTooLarge, "its payloads have %d bytes, %d are possible", size, hawser.MaxTxnPayload)
	}
	if x.renewed = !t.Deadline.IsZero(); x.renewed {
		x.fix(t.Deadline)
		return x, nil
	}
	return x, x.schedule(ctx, t.Timeout, c.clock.now().IsZero())
}

// schedule fixes the deadline, after the leader was asked for its clock if that
// has to be.
func (x *initiator) schedule(ctx context.Context, timeout time.Duration, ask bool) error {
	if ask {
		if err := x.client.askTime(ctx); err != nil {
			return err
		}
	}
	if timeout == 0 {
		timeout = hawser.DefaultTxnTimeout
	}
	x.fix(x.client.clock.now().Add(timeout))
	return nil
}

func (x *initiator) fix(deadline time.Time) {
	x.deadline = deadline
	x.request.Deadline, x.request.Generation = timestamppb.New(deadline), x.client.generation.Load()
}

// Now asks the leader for the cluster's clock.
func (c *Client) Now(ctx context.Context) (time.Time, error) {
	err := c.askTime(ctx)
	return c.clock.now(), err
}

// askTime has the leader tell the cluster's clock.
func (c *Client) askTime(ctx context.Context) error {
	return c.do(ctx, &call{
		op: "ask for the time", leader: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			resp, err := hawserv1.NewClusterClient(s.conn).Status(ctx, &hawserv1.StatusRequest{}, s.options...)
			return resp.GetHeader(), err
		},
	})
}

// follow begins the transaction, or goes on, until it is decided, or is the
// initiator's to decide.
func (x *initiator) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err := follow(ctx, x.client, &call{op: "transact", key: x.id.String(), write: true, harmless: true, leader: true},
		func(ctx context.Context, s sending) (grpc.ServerStreamingClient[hawserv1.TransactResponse], error) {
			return hawserv1.NewTransactionsClient(s.conn).Transact(ctx, x.request, s.options...)
		},
		func(m *hawserv1.TransactResponse) bool {
			x.open, x.info = true, wire.TxnFromProto(m.GetTransaction())
			return x.info.State == hawser.TxnPending
		})
	x.open = x.open || errors.Is(err, hawser.ErrOutcomeUnknown)
	return err
}

// decide asks whoever began it.
func (x *initiator) decide(ctx context.Context, ask func(context.Context, hawser.TxnInfo) error) error {
	within, cancel := context.WithTimeout(ctx, x.deadline.Sub(x.client.clock.now()))
	defer cancel()
	req := &hawserv1.DecideRequest{Id: wire.TxnIDToProto(x.id), Commit: true, Generation: x.request.GetGeneration()}
	if err := ask(within, x.info); err != nil {
		req.Commit, req.Reason = false, reasonOf(err)
	}
	info, err := x.client.decide(ctx, x.id, req)
	if err == nil || info.State.Decided() {
		x.info = info
	}
	if errors.Is(err, hawser.ErrRefused) || errors.Is(err, hawser.ErrNotFound) {
		x.info.State, err = hawser.TxnPending, nil // decided meanwhile: look again
	}
	return err
}

// failure is the error of a transaction that nobody could tell the end of.
func (x *initiator) failure(ctx context.Context, err error) error {
	if !x.open {
		if ctx.Err() != nil && hawser.CodeOf(err) != hawser.CodeOutcomeUnknown {
			return notStarted("begin transaction", x.id.String(), joinCause(ctx.Err(), err))
		}
		return err
	}
	return &hawser.UnknownTxnError{ID: x.id, Err: joinCause(ctx.Err(), err)}
}

// reasonOf is an error as the reason of something, which is short and of one
// line.
func reasonOf(err error) string {
	reason := []rune{}
	for _, r := range err.Error() {
		if r < ' ' {
			r = ' '
		}
		reason = append(reason, r)
	}
	for len(string(reason)) > hawser.MaxReason {
		reason = reason[:len(reason)-1]
	}
	if len(reason) == 0 {
		return "for no reason given"
	}
	return string(reason)
}

func (c *Client) decide(ctx context.Context, id hawser.TxnID, req *hawserv1.DecideRequest) (info hawser.TxnInfo, err error) {
	err = c.do(ctx, &call{
		op: "decide", key: id.String(), write: true, harmless: true, leader: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			resp, err := hawserv1.NewTransactionsClient(s.conn).Decide(ctx, req, s.options...)
			info = wire.TxnFromProto(resp.GetTransaction())
			return resp.GetHeader(), err
		},
	})
	return info, err
}

// AbortTxn aborts a transaction that is not decided, for a reason that all who
// ask are told. One that is committed is refused with hawser.ErrRefused.
func (c *Client) AbortTxn(ctx context.Context, id, reason string) (hawser.TxnInfo, error) {
	t := hawser.TxnID{Namespace: c.cfg.Namespace, ID: id}
	if err := t.Check(); err != nil {
		return hawser.TxnInfo{}, err
	}
	return c.decide(ctx, t, &hawserv1.DecideRequest{Id: wire.TxnIDToProto(t), Reason: reason, Generation: c.generation.Load()})
}

// ResolveTxn acknowledges a decision in the place of an agent that nobody owns
// and that is not coming back. What the agent was to do elsewhere is not done
// by that. A committed transaction then stays until [Client.ForgetTxn].
func (c *Client) ResolveTxn(ctx context.Context, id, agent, reason string) (info hawser.TxnInfo, err error) {
	t := hawser.TxnID{Namespace: c.cfg.Namespace, ID: id}
	if err := t.Check(); err != nil {
		return info, err
	}
	name, err := hawser.NewAgentID(c.cfg.Namespace, agent)
	if err != nil {
		return info, err
	}
	req := &hawserv1.ResolveRequest{Id: wire.TxnIDToProto(t), Agent: wire.AgentToProto(name), Reason: reason, Generation: c.generation.Load()}
	err = c.do(ctx, &call{
		op: "resolve", key: t.String(), write: true, harmless: true, leader: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			resp, err := hawserv1.NewTransactionsClient(s.conn).Resolve(ctx, req, s.options...)
			info = wire.TxnFromProto(resp.GetTransaction())
			return resp.GetHeader(), err
		},
	})
	return info, err
}

// ForgetTxn removes a transaction that was resolved by hand.
func (c *Client) ForgetTxn(ctx context.Context, id string) error {
	t := hawser.TxnID{Namespace: c.cfg.Namespace, ID: id}
	if err := t.Check(); err != nil {
		return err
	}
	req := &hawserv1.ForgetRequest{Id: wire.TxnIDToProto(t), Generation: c.generation.Load()}
	return c.do(ctx, &call{
		op: "forget", key: t.String(), write: true, harmless: true, leader: true,
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			resp, err := hawserv1.NewTransactionsClient(s.conn).Forget(ctx, req, s.options...)
			return resp.GetHeader(), err
		},
	})
}

// Txn describes a transaction. hawser.ErrNotFound means that it was never
// begun, or is over: its record is removed after its deadline once every
// participant has acknowledged the decision.
func (c *Client) Txn(ctx context.Context, id string) (info hawser.TxnInfo, err error) {
	return c.showTxn(ctx, id, &hawserv1.ReadOptions{})
}

// TxnOf describes the transaction for which something is prepared in another
// resource, as it is now. What is prepared counts only if the agent has voted yes
// under the id's epoch; see [hawser.PreparedID]. The namespace is the client's,
// and whether the id is of this cluster is for the caller to see.
//
// hawser.ErrNotFound means that nothing that is still prepared counts: the
// transaction was never begun, or was aborted, or every participant has said that
// it is done. hawser.ErrWrongGeneration means that nobody can tell: the id is of
// another life of the cluster, which may have decided otherwise than this one
// remembers.
func (c *Client) TxnOf(ctx context.Context, id hawser.PreparedID) (hawser.TxnInfo, error) {
	return c.showTxn(ctx, id.Txn, &hawserv1.ReadOptions{Generation: uint64(id.Generation)})
}

func (c *Client) showTxn(ctx context.Context, id string, read *hawserv1.ReadOptions) (info hawser.TxnInfo, err error) {
	t := hawser.TxnID{Namespace: c.cfg.Namespace, ID: id}
	if err := t.Check(); err != nil {
		return info, err
	}
	req := &hawserv1.ShowTransactionRequest{Id: wire.TxnIDToProto(t), Read: read}
	err = c.do(ctx, &call{
		op: "transaction", key: t.String(),
		send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
			resp, err := hawserv1.NewTransactionsClient(s.conn).ShowTransaction(ctx, req, s.options...)
			info = wire.TxnFromProto(resp.GetTransaction())
			return resp.GetHeader(), err
		},
	})
	return info, err
}

// Txns lists the transactions of the namespace that are not over, in the order
// of their ids. It ends with the first error.
func (c *Client) Txns(ctx context.Context, opts ...ListOption) iter.Seq2[hawser.TxnInfo, error] {
	o := listOptions(opts)
	return list(o.limit, func(limit uint32, token string) ([]hawser.TxnInfo, string, error) {
		req := &hawserv1.ListTransactionsRequest{Namespace: c.cfg.Namespace, Limit: limit, PageToken: token, Read: o.proto()}
		var resp *hawserv1.ListTransactionsResponse
		err := c.do(ctx, &call{
			op: "transactions", key: c.cfg.Namespace,
			send: func(ctx context.Context, s sending) (*hawserv1.Header, error) {
				var err error
				resp, err = hawserv1.NewTransactionsClient(s.conn).ListTransactions(ctx, req, s.options...)
				return resp.GetHeader(), err
			},
		})
		return convert(resp.GetTransactions(), wire.TxnFromProto), resp.GetNextPageToken(), err
	})
}
