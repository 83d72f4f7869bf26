// Command pgseal is a TLS-terminating connection proxy and pooler for
// PostgreSQL.
//
// main.go finds the command, and each command has a file of its own. What serve
// runs is internal/app; the program's own are flags, exit statuses and signals.
package main
