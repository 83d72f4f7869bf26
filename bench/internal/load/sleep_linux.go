package load

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// preciseSleep returns a sleep that is late by microseconds. The runtime's
// timers are late by up to a millisecond, which would show as latency. It keeps
// the calling goroutine on its thread until release.
func preciseSleep() (sleepUntil func(time.Time), release func()) {
	runtime.LockOSThread()
	// The kernel gathers wake-ups within 50 µs unless it is told not to. If it
	// does not listen, the sleep is that much less exact.
	unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	sleepUntil = func(t time.Time) {
		for {
			d := time.Until(t)
			if d <= 0 {
				return
			}
			ts := unix.NsecToTimespec(d.Nanoseconds())
			unix.Nanosleep(&ts, nil) // interrupted: the loop goes on
		}
	}
	return sleepUntil, func() {
		unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // 0 restores the default
		runtime.UnlockOSThread()
	}
}
