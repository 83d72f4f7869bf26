// Package effects says what the text of a statement may do to its session, by
// what has to be done about it: what follows a client from server to server,
// what PostgreSQL can be asked for, what keeps a client where it is, and what
// outlives even DISCARD ALL. It builds on package sqlscan, which reads texts and
// draws no conclusions. It knows neither sessions nor servers.
package effects
