// Package reload builds values from files, checks them, swaps them as a whole,
// and watches the files for changes.
//
//	files --read--> Contents --build--> an immutable value --swap--> Store
//	  ^                                                                |
//	  |                                                              Load
//	Watcher: events, poll, SIGHUP                                      v
//	                                                             its user
//
// A reload reads all files of a [Store], builds a whole new value, checks it,
// and only then swaps one pointer. Whatever is wrong (a file that is missing,
// torn or readable by others, content that does not build, a [Successor] that
// refuses to follow) leaves the old value in force and is reported once, until
// the content changes again.
//
// Which files there are is known beforehand ([NewStore]), or while the value is
// built ([NewTreeStore]).
//
// It also holds the rule that files with secrets in them are readable by their
// owner alone. It knows nothing of what the files mean, writes none, and puts
// nothing of what they hold into an error or a log line of its own.
//
// # Ownership
//
// A Store is safe for use by any goroutine and owns none; the goroutine that
// reloads runs the callbacks. A [Watcher] owns one source of file events for
// as long as Run runs, and Run returns only after that source has ended.
package reload
