#!/bin/sh
# Makes sure that what the benchmark compares pgseal with is on this machine
# where Debian's package manager can bring it: PgBouncer, HAProxy, and pgbench
# to drive them. May be run any number of times. It always exits 0: what is
# missing is named as left out by the benchmark's report.
#
# Neither package's service is left running or enabled: the benchmark starts
# its own processes.
set -u

say() { echo "install-bench-peers: $*" >&2; }

# pgbench_is_there: in PATH, or where Debian keeps it.
pgbench_is_there() {
	command -v pgbench >/dev/null && return
	for bin in /usr/lib/postgresql/*/bin/pgbench; do
		[ -x "$bin" ] && return
	done
	return 1
}

# is_there NAME: Debian puts daemons where a user's PATH often does not look.
is_there() { PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null; }

missing=
is_there pgbouncer || missing="$missing pgbouncer"
is_there haproxy || missing="$missing haproxy"
pgbench_is_there || missing="$missing postgresql-15"
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
	say "no apt-get here: install$missing your system's way to have them compared"
	exit 0
fi
sudo=
if [ "$(id -u)" -ne 0 ]; then
	if ! sudo -n true 2>/dev/null; then
		say "not root and no sudo without a password: left as missing:$missing"
		exit 0
	fi
	sudo=sudo
fi

log=$(mktemp)
policy=/usr/sbin/policy-rc.d
made_policy=
cleanup() {
	[ -z "$made_policy" ] || $sudo rm -f "$policy"
	rm -f "$log"
}
trap cleanup EXIT
trap 'exit 0' INT TERM

# Debian starts a daemon when its package is installed, unless this policy
# says no (invoke-rc.d(8)). One that is there already is the owner's business.
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null && $sudo chmod 755 "$policy" && made_policy=yes
fi

# switch_off UNIT...: where systemd runs, neither now nor at the next boot.
switch_off() {
	[ -d /run/systemd/system ] || return 0
	for unit in "$@"; do
		$sudo systemctl disable --now "$unit" >/dev/null 2>&1
	done
}

$sudo apt-get update >"$log" 2>&1
for package in $missing; do
	if $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$package" >"$log" 2>&1; then
		echo "$package installed"
		case $package in pgbouncer | haproxy) switch_off "$package" ;; esac
	else
		tail -n 5 "$log" >&2
		say "apt-get did not install $package: it will be left out"
	fi
done
exit 0
