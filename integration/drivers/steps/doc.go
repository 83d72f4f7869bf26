// Package steps is what the driver programs in Go have in common: each does
// the same steps with two connections, a and b, and prints a line for each:
//
//	ok STEP
//	FAIL STEP: what went wrong
//	n/a STEP: why the driver has none
//
// The programs in other languages print the same. Where to connect to stands
// in libpq's environment variables; PGSEAL_TEST_TAG begins the names of all
// that a program creates, and PGSEAL_TEST_ASIDE is another name of the same
// database, with servers of its own, to notify from.
package steps
