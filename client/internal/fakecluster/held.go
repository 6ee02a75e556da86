// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fakecluster

import (
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	hawserv1 "github.com/hawserdb/hawser/api/hawser/v1"
)

// newRequest makes a message of the requests of each stream.
var newRequest = map[string]func() proto.Message{
	hawserv1.State_SaveParts_FullMethodName: func() proto.Message { return &hawserv1.SavePartsRequest{} },
	hawserv1.State_Restore_FullMethodName:   func() proto.Message { return &hawserv1.RestoreRequest{} },
	hawserv1.State_Verify_FullMethodName:    func() proto.Message { return &hawserv1.VerifyRequest{} },
	hawserv1.Archive_Export_FullMethodName:  func() proto.Message { return &hawserv1.ExportRequest{} },
	hawserv1.Archive_Import_FullMethodName:  func() proto.Message { return &hawserv1.ImportRequest{} },
}

// heldStream keeps the requests that a fault received for the handler.
type heldStream struct {
	grpc.ServerStream
	request  func() proto.Message
	received []proto.Message
}

func (h *heldStream) receive() (any, error) {
	m := h.request()
	if err := h.RecvMsg(m); err != nil {
		return nil, err
	}
	h.received = append(h.received, m)
	return m, nil
}

// heldRun is one execution of a held call. It keeps the responses.
type heldRun struct {
	*heldStream
	next int
	sent Messages
}

// RecvMsg implements grpc.ServerStream.
func (r *heldRun) RecvMsg(m any) error {
	if r.next == len(r.received) {
		if _, err := r.receive(); err != nil {
			return err
		}
	}
	proto.Merge(m.(proto.Message), r.received[r.next])
	r.next++
	return nil
}

// SendMsg implements grpc.ServerStream.
func (r *heldRun) SendMsg(m any) error {
	r.sent = append(r.sent, proto.Clone(m.(proto.Message)))
	return nil
}
