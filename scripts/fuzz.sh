#!/bin/sh
# Runs every fuzz target of all modules for a while each:
#
#   scripts/fuzz.sh 1m
set -eu
[ $# -eq 1 ] || {
	echo "usage: fuzz.sh DURATION" >&2
	exit 2
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# fuzz DIR TARGET DURATION. The go command may report its own end of time as a
# failure, "context deadline exceeded"; only one with a failing input is one.
fuzz() {
	echo "== $1 $2"
	(cd "$1" && go test -run '^$' -fuzz "^$2\$" -fuzztime "$3" .) >"$log" 2>&1 && return
	if grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input' "$log"; then
		return
	fi
	cat "$log"
	exit 1
}

grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u | while read -r dir; do
	for target in $(grep -h --include='*_test.go' -o '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go | sed 's/^func //'); do
		fuzz "$dir" "$target" "$1"
	done
done
