// Program pgx does the steps of package steps with pgx as it is by default:
// statements are prepared under names and kept.
package main
