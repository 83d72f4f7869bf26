// Package metrics shows pgseal's counters to Prometheus. It keeps none: a scrape
// reads what the other packages have counted, so that a query costs nothing
// more where nobody scrapes.
//
// How many series there are is bounded: see maxPools. No label holds anything
// that a client chose before it was logged in, nor a client's address.
//
// The names and meanings of all metrics stand in names.go, and docs/metrics.md
// is made from there. The package is internal/app's: nothing else knows the metrics
// client.
package metrics
