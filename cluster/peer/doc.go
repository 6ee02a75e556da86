// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

// Package peer is the port on which nodes talk to each other: one listener
// that carries Raft streams and the internal gRPC calls, both behind the
// cluster secret.
//
// # Who gets in
//
// A connection speaks TLS 1.3 with a certificate that each process makes for
// itself and nobody verifies: identity comes from the secret, not from a
// chain. Inside TLS:
//
//	dialer                                 acceptor
//	  hello (108 bytes)            ---->
//	                               <----     hello (108 bytes)
//	  proof (32 bytes)             ---->
//	                               <----     proof (32 bytes), verdict (1 byte)
//
//	proof = HMAC-SHA256(secret, role ‖ exported keying material ‖ dialer's hello ‖ acceptor's hello)
//
//	hello:  0        8        10     11    12           28        92        100        108
//	        | magic  | format | kind | 0   | cluster id | node id | boot id | reserved |
//
// The keying material ties a proof to one TLS session, so that it can be
// neither replayed nor relayed; the roles differ, so that it cannot be
// reflected. The dialer proves first: whoever lacks the secret gets the
// acceptor's hello and not one byte more. Everything before that is of fixed
// length, under a deadline, in a bounded number of goroutines; when that
// number is reached the oldest unfinished handshake is given up, so that
// silent connections cannot keep good ones out.
//
// # What it may do then
//
// The cluster ids must be equal. A dialer without one (zero) may call only
// Promise and Join; a node without one serves only such dialers. A Raft
// stream is taken only from a node that AllowRaft knows. Whoever holds the
// secret can claim any node id: the secret makes peers trusted, and Raft does
// not defend against its own members.
//
// # Lines
//
// A [Line] is a connection that carries nothing. When its process dies the
// kernel closes it, so whoever holds the other end knows within a moment that
// something happened; whether the process is gone, the next dial tells: refused,
// or answered under another boot id. At most 64 lines are held for others, the
// oldest gives way.
//
// # Goroutines and failure
//
// A [Port] runs one accept loop, one goroutine for each unfinished handshake and
// one for each line, at either end; [Port.Close] ends and joins them and closes every connection,
// including those that Raft or gRPC still hold. Failed handshakes are logged
// at most once a second, with the reason and the remote address and never
// with anything of the secret.
package peer
