// Package machine tells on what a benchmark ran: kernel, processor, cores and
// memory. What it can't learn is "unknown" or zero; it never fails.
package machine
