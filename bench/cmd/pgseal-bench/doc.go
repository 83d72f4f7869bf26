// Command pgseal-bench measures pgseal beside what a user would pick instead,
// or whatever a DSN reaches, and compares two runs.
//
// main.go chooses the command; each command has its own file and returns the
// exit status: 0 fine, 1 it ran with errors, 2 wrong usage. All measuring is in
// internal/run, all drawing in internal/report.
package main
