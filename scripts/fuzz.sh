#!/bin/sh
# Runs every fuzz target of the root module for a while each:
#
#   scripts/fuzz.sh 1m
set -eu
[ $# -eq 1 ] || {
	echo "usage: fuzz.sh DURATION" >&2
	exit 2
}
grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u | while read -r dir; do
	for target in $(grep -h --include='*_test.go' -o '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go | sed 's/^func //'); do
		echo "== $dir $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" "$dir"
	done
done
