// Package app runs pgseal under one configuration file: it wires the packages
// together, reloads, and stops in order.
//
//	cmd/pgseal ─ Load ─ Start ─ Serve ─────────┬─ Close
//	              │                            │
//	   part.go: each part loads         reload.go: load all, compare all, apply all or nothing
//	                                    stop.go: drain, end what is left
//
// What the configuration asks for is loaded in parts, each a type in a file of
// its own, which all answer the questions of the interface part. The package owns
// the log and every goroutine that no package below owns. Signals are its
// caller's, and only cmd/pgseal calls it.
package app
