// Package compare tells what changed between two runs beyond the noise. It reads
// no files and decides no exit status; package stats holds the arithmetic and
// says what noise is.
//
// The machine of one run is not that of the other, so a figure is not held
// against the same figure of the other run, but its ratio to a peer, taken round
// by round, against the same ratio. The peer is the first of PgBouncer, HAProxy
// and the direct connection that both runs measured in that case and metric.
// Where there is none, the figures themselves are compared, and it is said.
package compare
