// Package client is a lean PostgreSQL client for generating load: it logs in
// by TLS and SCRAM-SHA-256, runs queries in the simple, extended and prepared
// protocol, and copies in bulk, while costing as little CPU as it can, because
// it shares the machine with what it measures.
//
// It reads results without decoding their values, keeps no pool, retries
// nothing and verifies only what libpq's sslmode asks for. The CPU-heavy part
// of SCRAM, the salted password, is computed once for each salt and kept.
//
// An Endpoint never changes and may be shared. A Conn belongs to one goroutine
// at a time; Close may be called from any.
package client
