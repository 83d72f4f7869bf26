#!/bin/sh
# Makes sure that what the tests run is on this machine: PostgreSQL 15 with
# psql and pgbench, PostgreSQL 18, openssl and sslscan.
set -eu
cd "$(dirname "$0")"
./install-postgres.sh 15
./install-postgres.sh 18
for tool in openssl sslscan; do
	command -v "$tool" >/dev/null && continue
	apt-get update >/dev/null
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$tool" >/dev/null
	echo "$tool installed"
done
