// Program pq does the steps of package steps with lib/pq as it is by default:
// it prepares the unnamed statement in one round trip and runs it in the next.
package main
