// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"hash/crc32"
	"io"
	"slices"

	"google.golang.org/grpc"

	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
	"github.com/hawserdb/hawser/internal/record"
)

// unendedError is the end of an attempt whose stream of requests did not come
// to its end, without which a node executes nothing.
type unendedError struct{ err error }

func (e *unendedError) Error() string { return e.err.Error() }
func (e *unendedError) Unwrap() error { return e.err }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// partsStream sends a save in parts.
type partsStream struct {
	stream grpc.ClientStreamingClient[hawserv1.SavePartsRequest, hawserv1.SaveResponse]
	parts  uint32
	crc    uint32
}

// sendParts sends req, whose payload is too long for one message, in parts:
// those of its data, or if it has none, of the state, packed on the way.
func sendParts(ctx context.Context, s sending, req *hawserv1.SaveRequest, state []byte) (*hawserv1.SaveResponse, error) {
	stream, err := hawserv1.NewStateClient(s.conn).SaveParts(ctx, s.options...)
	if err != nil {
		return nil, &unendedError{err}
	}
	p := partsStream{stream: stream}
	data := req.GetPayload().GetData()
	if err := p.begin(req); err != nil {
		return nil, err
	}
	if len(data) == 0 {
		_, err = record.Pack(state, p.part)
	} else {
		for part := range slices.Chunk(data, record.PartSize) {
			if err = p.part(part); err != nil {
				break
			}
		}
	}
	if err != nil {
		return nil, err
	}
	err = p.send(&hawserv1.SavePartsRequest{Message: &hawserv1.SavePartsRequest_End{End: &hawserv1.PartsEnd{Parts: p.parts, Crc32C: p.crc}}})
	if err != nil {
		return nil, err
	}
	return stream.CloseAndRecv()
}

// begin sends req without the data of its payload.
func (p *partsStream) begin(req *hawserv1.SaveRequest) error {
	payload := req.GetPayload()
	head := &hawserv1.SaveRequest{
		Agent: req.GetAgent(), Request: req.GetRequest(), Sha256: req.GetSha256(), ExpectVersion: req.ExpectVersion,
		Instance: req.GetInstance(), Labels: req.GetLabels(), ContentType: req.GetContentType(), Schema: req.GetSchema(),
		DerivedFrom: req.GetDerivedFrom(), StateSize: req.GetStateSize(), Fence: req.GetFence(), Force: req.GetForce(), Vote: req.GetVote(),
		Effects: req.GetEffects(),
		Payload: &hawserv1.Payload{Encoding: payload.GetEncoding(), Size: payload.GetSize(), Base: payload.GetBase()},
	}
	return p.send(&hawserv1.SavePartsRequest{Message: &hawserv1.SavePartsRequest_Save{Save: head}})
}

func (p *partsStream) part(part []byte) error {
	p.parts++
	p.crc = crc32.Update(p.crc, castagnoli, part)
	return p.send(&hawserv1.SavePartsRequest{Message: &hawserv1.SavePartsRequest_Part{Part: part}})
}

// send sends one message. When the stream has ended, the error is the answer.
func (p *partsStream) send(m *hawserv1.SavePartsRequest) error {
	err := p.stream.Send(m)
	if errors.Is(err, io.EOF) {
		_, err = p.stream.CloseAndRecv()
		if err == nil { // an answer before the end is none
			err = errors.New("the node answered before the end of the request")
		}
	}
	if err == nil {
		return nil
	}
	return &unendedError{err}
}
