// Package params compares run-time parameters: what a client wishes for, what a
// server was opened with, what was set in its session since, and what it
// reports. Lists of them that sessions and servers share are replaced and never
// changed. It sends nothing.
package params
