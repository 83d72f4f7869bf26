package stats

import "time"

// Who an error comes from.
const (
	ErrorOurs   = "pgseal"
	ErrorServer = "server"
)

// ErrorClass is a kind of error that clients were sent.
type ErrorClass struct {
	Source string // ErrorOurs or ErrorServer
	Class  string // the first two characters of its SQLSTATE, or "other"
}

// Error is an error that a client was sent.
type Error struct {
	Time     time.Time
	Client   uint64 // its number in the log
	Database string // what the client asked for, also where it did not log in
	User     string
	Source   string // ErrorOurs or ErrorServer
	Severity string
	Code     string // SQLSTATE
	Message  string // empty for a server's, since it may hold data
}
