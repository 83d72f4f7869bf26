#!/bin/sh
# Makes sure that what the tests run is on this machine: PostgreSQL in the
# versions named, 15 and 18 without a name, psql and pgbench, openssl, sslscan,
# testssl.sh, slapd, Chromium for the status page, PgBouncer, whose console ours
# is compared with, its exporter for Prometheus, and the drivers of
# integration/drivers with what runs them. May be run any number of times; what
# is there is left alone and needs no network.
set -eu
cd "$(dirname "$0")"
[ $# -gt 0 ] || set -- 15 18
for version in 15 "$@"; do
	./install-postgres.sh "$version"
done

./install-bench-peers.sh

# Debian's packages, each with a file that it brings.
missing=
while read -r package file; do
	[ -e "$file" ] || missing="$missing $package"
done <<END
openssl /usr/bin/openssl
sslscan /usr/bin/sslscan
testssl.sh /usr/bin/testssl
python3-psycopg2 /usr/lib/python3/dist-packages/psycopg2/__init__.py
python3-psycopg /usr/lib/python3/dist-packages/psycopg/__init__.py
python3-asyncpg /usr/lib/python3/dist-packages/asyncpg/__init__.py
python3-sqlalchemy /usr/lib/python3/dist-packages/sqlalchemy/__init__.py
python3-pyodbc /usr/share/doc/python3-pyodbc
odbc-postgresql /usr/share/doc/odbc-postgresql
ruby-pg /usr/share/doc/ruby-pg
php-cli /usr/bin/php
php-pgsql /usr/share/doc/php-pgsql
libpostgresql-jdbc-java /usr/share/java/postgresql.jar
slapd /usr/sbin/slapd
chromium /usr/bin/chromium
prometheus-pgbouncer-exporter /usr/bin/prometheus-pgbouncer-exporter
END
command -v java >/dev/null && command -v javac >/dev/null || missing="$missing default-jdk-headless"
command -v node >/dev/null && command -v npm >/dev/null || missing="$missing nodejs npm"
if [ -n "$missing" ]; then
	log=$(mktemp)
	policy=/usr/sbin/policy-rc.d
	made_policy=
	trap 'rm -f "$log"; [ -z "$made_policy" ] || rm -f "$policy"' EXIT
	# Debian starts a daemon when its package is installed, unless this policy
	# says no (invoke-rc.d(8)). The tests start their own.
	if [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
		made_policy=yes
	fi
	# shellcheck disable=SC2086 # a list of packages
	if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		exit 1
	fi
	echo "installed:$missing"
fi

# The drivers for Node.js, in the releases that package-lock.json pins.
cd ../integration/drivers
if ! cmp -s package-lock.json node_modules/.pgseal-installed; then
	npm ci --silent --no-audit --no-fund
	cp package-lock.json node_modules/.pgseal-installed
	echo "drivers for Node.js installed"
fi
