// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client"
)

func (p *program) message() *cli.Command {
	return group("message", "send messages to agents, and list what waits for one", p.messageSend(), p.messageList())
}

func (p *program) messageSend() *cli.Command {
	return &cli.Command{
		Name: "send", Usage: "send a message to an agent", ArgsUsage: "AGENT",
		Description: `The message is read from stdin or a file, at most 64 KiB. It waits in the agent's
inbox until a save of the agent consumes it. The agent must have a version or be
claimed. When the answer is lost (exit code 6) it prints an id; the same command
with --request-id repeats the message, which is sent once.

Examples:
   echo 'go on' | hawser message send researcher-7
   hawser message send researcher-7 -f task.json --label kind=task`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: flagFile, Aliases: []string{"f"}, Usage: "read the message from `FILE`; - is stdin"},
			&cli.StringSliceFlag{Name: flagLabel, Usage: "give it the label `KEY=VALUE`; may be given repeatedly"},
			&cli.StringFlag{Name: flagRequestID, Usage: "repeat the message that printed this `ID`, unchanged"},
		},
		Action: p.runMessageSend,
	}
}

func (p *program) runMessageSend(c *cli.Context) error {
	var options []client.MessageOption
	for _, label := range c.StringSlice(flagLabel) {
		key, value, found := strings.Cut(label, "=")
		if !found || key == "" {
			return usageErrorf("--%s %q: is not KEY=VALUE", flagLabel, label)
		}
		options = append(options, client.Label(key, value))
	}
	if c.IsSet(flagRequestID) {
		id, err := hawser.ParseMessageID(c.String(flagRequestID))
		if err != nil {
			return err
		}
		options = append(options, client.WithMessageID(id))
	}
	payload, err := p.readInput(c.String(flagFile), "message", hawser.MaxMessage)
	if err != nil {
		return err
	}
	return withClient(c, func(ctx context.Context, conn *client.Client) error {
		sender := conn.Sender()
		m, err := sender.Send(ctx, c.Args().First(), payload, options...)
		if !errors.Is(err, hawser.ErrOutcomeUnknown) {
			_ = sender.Close(ctx) // else it ends by itself
		}
		if err != nil {
			return err
		}
		if wantsJSON(c) {
			m.Payload = payload
			return p.writeJSON(viewMessage(m))
		}
		_, err = fmt.Fprintf(p.stdout, "sent message %d to %s: %d bytes\n", m.Number, escape(m.Agent.String()), len(payload))
		return err
	})
}

func (p *program) messageList() *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list the messages that wait for an agent, oldest first", ArgsUsage: "AGENT",
		Description: "Those that a save has consumed are not there any more.\n\n" +
			"Examples:\n   hawser message list researcher-7\n   hawser message list researcher-7 -o json",
		Flags: []cli.Flag{limitFlag()},
		Action: listed(p, func(ctx context.Context, c *cli.Context, conn *client.Client, limit int) iter.Seq2[hawser.Message, error] {
			return conn.Agent(c.Args().First()).Messages(ctx, beyond(limit))
		}, viewMessage, p.printMessages),
	}
}

func (p *program) printMessages(found []hawser.Message) error {
	t := newTable("MESSAGE", "FROM", "SENT", "SIZE", "BEGINS WITH")
	for _, m := range found {
		t.add(number(m.Number), m.Sender(), clock(m.SentAt), fmt.Sprint(len(m.Payload)), beginning(m.Payload))
	}
	return t.write(p.stdout)
}

// maxBeginning is how many characters of a message a table shows.
const maxBeginning = 40

// beginning is the start of the first line of a text, and nothing of other bytes.
func beginning(payload []byte) string {
	line, _, _ := strings.Cut(string(payload[:min(len(payload), 4*maxBeginning)]), "\n")
	if !utf8.Valid(payload) {
		return ""
	}
	runes := []rune(strings.ToValidUTF8(line, "")) // a character may be cut
	if len(runes) > maxBeginning {
		return string(runes[:maxBeginning]) + "..."
	}
	return string(runes)
}

type messageView struct {
	Namespace   string            `json:"namespace"`
	Agent       string            `json:"agent"`
	Message     uint64            `json:"message"`
	FromAgent   string            `json:"from_agent,omitempty"`
	FromVersion uint64            `json:"from_version,omitempty"`
	RequestID   string            `json:"request_id,omitempty"`
	Instance    string            `json:"instance"`
	SentAt      string            `json:"sent_at"`
	Revision    uint64            `json:"revision"`
	Labels      map[string]string `json:"labels"`
	Size        int               `json:"size"`
	// Text is the payload if it is UTF-8; Payload is it in base64 in any case.
	Text    string `json:"text,omitempty"`
	Payload []byte `json:"payload"`
}

func viewMessage(m hawser.Message) messageView {
	v := messageView{
		Namespace: m.Agent.Namespace, Agent: m.Agent.Name, Message: m.Number, FromAgent: m.From.Agent.Name, FromVersion: m.From.Number,
		RequestID: m.ID.String(), Instance: m.Instance, SentAt: timestamp(m.SentAt), Revision: uint64(m.Revision),
		Labels: m.Labels, Size: len(m.Payload), Payload: m.Payload,
	}
	if v.Labels == nil {
		v.Labels = map[string]string{}
	}
	if v.Payload == nil {
		v.Payload = []byte{}
	}
	if utf8.Valid(m.Payload) {
		v.Text = string(m.Payload)
	}
	return v
}
