// Package scenario knows what is measured: for each scenario the cases it
// consists of, and for each case how one sample of one target is taken.
//
// It neither starts targets nor decides about turns and rounds. A case belongs
// to one goroutine; samples are taken one at a time.
package scenario
