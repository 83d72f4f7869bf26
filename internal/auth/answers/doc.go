// Package answers remembers what somebody else was asked about roles, such as
// their secrets: for how long an answer holds, that the same question is asked
// once however many want to know, and what to do where nobody answers.
//
// It asks nobody itself and keeps no goroutine: who asks first does the asking,
// and the others wait for him.
package answers
