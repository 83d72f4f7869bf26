// Package answers caches the results of lookups about roles, such as their secrets,
// with a time to live. Concurrent lookups of the same key are made once, and a stale
// result is used for a while if a lookup fails.
//
// It owns no goroutine: the first caller makes the lookup, and the others wait for
// it.
package answers
