#!/bin/sh
# Makes sure that what the tests run is on this machine: PostgreSQL 15 with
# psql and pgbench, PostgreSQL 18, and openssl.
set -eu
cd "$(dirname "$0")"
./install-postgres.sh 15
./install-postgres.sh 18
if ! command -v openssl >/dev/null; then
	apt-get update >/dev/null
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends openssl >/dev/null
	echo "openssl installed"
fi
