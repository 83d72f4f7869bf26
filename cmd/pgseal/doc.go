// Command pgseal is a TLS-terminating connection proxy and pooler for
// PostgreSQL.
//
// main.go finds the command, each command has a file of its own, and
// instance.go wires the packages together as the configuration says. The
// program owns the signals, the log and every goroutine that no package owns.
package main
