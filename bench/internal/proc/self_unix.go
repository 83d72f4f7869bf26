//go:build unix

package proc

import (
	"syscall"
	"time"
)

// Own is the CPU time of this process and of the children it has waited for:
// the load generator's own cost.
func Own() CPU {
	var sum CPU
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			sum = sum.add(CPU{User: time.Duration(u.Utime.Nano()), System: time.Duration(u.Stime.Nano())})
		}
	}
	return sum
}

// RaiseFileLimit lifts the number of open files as far as it may, to want if
// possible, for this process and for those that it starts, and returns the
// limit that holds now.
func RaiseFileLimit(want uint64) uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	// Setting it, even to what it is, tells Go's runtime to hand it down: it
	// would otherwise give children the limit this process was started with.
	for _, try := range []syscall.Rlimit{
		{Cur: max(want, limit.Max), Max: max(want, limit.Max)},
		{Cur: limit.Max, Max: limit.Max},
	} {
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &try) == nil {
			return try.Cur
		}
	}
	return limit.Cur
}
