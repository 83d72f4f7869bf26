// Package bench is the room of the load generator and of the comparison with
// other poolers. It is a module of its own, so that what it needs to measure
// and to plot never becomes a dependency of pgseal.
package bench
