// Package stats counts: distributions of times, and events by what they were.
// What is counted often costs an addition and takes no lock; what is seldom
// takes one. Nothing is reset: who wants to know of a span of time takes a copy
// at its beginning and one at its end, and subtracts.
//
// The package knows nothing of what is counted, and of nobody who reads it.
package stats
