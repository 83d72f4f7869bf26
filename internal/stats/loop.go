package stats

// Loop is an event loop.
type Loop struct {
	Connections int          // of clients and servers that it has
	Panics      uint64       // of their handlers
	Lag         Distribution // the time that it took to come to a task
}
