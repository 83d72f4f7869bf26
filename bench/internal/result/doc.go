// Package result holds what a benchmark run found: the tree that results.json
// is, the catalogue of metrics, and nothing that measures or draws.
//
// A Run has cases, a case has rounds, and in each round every target took its
// turn once. Comparisons are made round by round, between samples taken within
// the same minute, because a machine is never the same a minute later.
package result
