//go:build !linux

package load

import "time"

// preciseSleep is as precise as the runtime's timers here.
func preciseSleep() (sleepUntil func(time.Time), release func()) {
	return func(t time.Time) { time.Sleep(time.Until(t)) }, func() {}
}
