# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What every end-to-end test sources: a scratch directory, a store of its own, the servers it asks
# for, and checks that are counted. Each test file runs alone, as root:
#
#	tests/e2e/basic.sh            with the cbuild of the source tree, or $CBUILD
#
# $scratch is gone and every server stopped when the file ends, however it ends.
set -uo pipefail

srcdir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/lib/peers.sh
. "$srcdir/tests/lib/peers.sh"

CBUILD=$(readlink -f "${CBUILD:-$srcdir/cbuild}")
test_name=$(basename "$0" .sh)
passed=0 failed=0 skipped=0

[ "$(id -u)" = 0 ] || { echo "$test_name: to be run as root" >&2; exit 2; }
[ -x "$CBUILD" ] || { echo "$test_name: no cbuild at $CBUILD" >&2; exit 2; }

scratch=$(mktemp -d "/var/tmp/cbuild-e2e.XXXXXX")
chmod 755 "$scratch"
cd "$scratch" || exit 2
store=$scratch/store
trap 'at_end' EXIT
trap 'exit 130' INT TERM

# What a test has to undo of its own: it defines this anew.
at_end_of_test() { :; }

at_end()
{
	local status=$?

	trap - EXIT
	at_end_of_test
	registry_stop
	docker_stop
	user_gone
	umount "$scratch/podman/overlay" "$scratch/small" 2>/dev/null # podman's, and a small disk
	cd / && rm -rf "$scratch"
	exit "$status"
}

# cbuild ARGUMENT...: the program under test on this test's store.
cbuild() { "$CBUILD" --root "$store" "$@"; }

ok() { passed=$((passed + 1)); echo "ok - $test_name: $1"; }

not_ok()
{
	failed=$((failed + 1))
	echo "not ok - $test_name: $1"
	[ $# -lt 2 ] || head -c 4000 "$2" | sed 's/^/    /'
}

skip() { skipped=$((skipped + 1)); echo "skip - $test_name: $1"; }

# check WHAT COMMAND...: WHAT holds when COMMAND succeeds; its output is shown when it does not.
check()
{
	local what=$1

	shift
	if "$@" >"$scratch/output" 2>&1; then ok "$what"; else not_ok "$what" "$scratch/output"; fi
}

# fails STATUS COMMAND...: COMMAND exits with STATUS. Its output is left in $scratch/said.
fails()
{
	local want=$1 got=0

	shift
	"$@" >"$scratch/said" 2>&1 || got=$?
	[ "$got" = "$want" ] || { echo "exit status $got, not $want:"; cat "$scratch/said"; return 1; }
}

# prints TEXT COMMAND...: COMMAND succeeds and its standard output is TEXT.
prints()
{
	local want=$1 got

	shift
	got=$("$@") || { echo "failed with $?"; return 1; }
	[ "$got" = "$want" ] || { printf 'printed: %s\nwanted: %s\n' "$got" "$want"; return 1; }
}

# says PATTERN COMMAND...: COMMAND succeeds and its standard output matches the extended regexp.
says()
{
	local want=$1 got

	shift
	got=$("$@") || { echo "failed with $?"; return 1; }
	grep -qE -- "$want" <<<"$got" || { printf 'printed: %s\nwanted: %s\n' "$got" "$want"; return 1; }
}

equal() { [ "$1" = "$2" ] || { printf 'one: %s\ntwo: %s\n' "$1" "$2"; return 1; }; }

# finish: the closing line; the file's status says whether all passed.
finish()
{
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
	exit
}

# bases_registry: a registry that holds the stand-in bases and is everybody's Docker Hub.
bases_registry()
{
	local bases

	bases=$("$srcdir/tests/e2e/make-bases.sh") || exit 1
	cp -al "$bases" "$scratch/registry" 2>/dev/null || cp -a "$bases" "$scratch/registry"
	registry_start "$scratch" || exit 1
	cat >"$scratch/registries.conf" <<-EOF
		[[registry]]
		prefix = "docker.io"
		location = "docker.io"
		[[registry.mirror]]
		location = "$registry"
		insecure = true
	EOF
	export CONTAINERS_REGISTRIES_CONF=$scratch/registries.conf
}

# A plain user with subordinate ids. One that we made is removed at the end.
plain_user=${CBUILD_TEST_USER:-cbuildtest$$}

user_ready()
{
	if ! id "$plain_user" >/dev/null 2>&1; then
		useradd --create-home --shell /bin/bash "$plain_user" && user_made=1
	fi
	grep -q "^$plain_user:" /etc/subuid ||
		usermod --add-subuids 3000000-3065535 --add-subgids 3000000-3065535 "$plain_user"
	user_home=$scratch/home
	install -d -o "$plain_user" -g "$plain_user" "$user_home"
}

user_gone()
{
	[ -z "${user_made:-}" ] || userdel --remove "$plain_user" >/dev/null 2>&1
	user_made=
}

# as_user COMMAND...: with an environment of the user's own, and a store of its own for `cbuild`.
as_user()
{
	setpriv --reuid "$plain_user" --regid "$plain_user" --init-groups --reset-env -- \
		env HOME="$user_home" PATH="$PATH" \
		${CONTAINERS_REGISTRIES_CONF:+CONTAINERS_REGISTRIES_CONF="$CONTAINERS_REGISTRIES_CONF"} \
		${CBUILD_LIBEXEC_DIR:+CBUILD_LIBEXEC_DIR="$CBUILD_LIBEXEC_DIR"} "$@"
}

user_cbuild() { as_user "$CBUILD" --root "$user_home/store" "$@"; }

# bare_ready, then as_bare USER COMMAND...: by USER (also "root") without any capability, where
# nobody may make a namespace. That place is a user namespace itself, which bare_gone ends.
bare_ready()
{
	unshare --user sleep 1000 >/dev/null 2>&1 &
	bare_pid=$!
	until [ "$(cat "/proc/$bare_pid/comm")" = sleep ]; do
		sleep 0.01
	done
	echo 0 0 4000000 >"/proc/$bare_pid/uid_map" && echo 0 0 4000000 >"/proc/$bare_pid/gid_map" &&
		in_bare sh -c 'echo 0 >/proc/sys/user/max_user_namespaces'
}

bare_gone()
{
	[ -z "${bare_pid:-}" ] || kill "$bare_pid" 2>/dev/null
	bare_pid=
}

in_bare() { nsenter --user="/proc/$bare_pid/ns/user" --setuid 0 --setgid 0 "$@"; }

as_bare()
{
	in_bare setpriv --reuid "$1" --regid "$1" --clear-groups --bounding-set -all --inh-caps -all \
		-- env HOME="$user_home" "${@:2}"
}

# busybox_tar: a root directory with busybox in it and two users.
busybox_tar()
{
	local root=$scratch/root applet

	mkdir -p "$root/bin" "$root/etc" "$root/tmp"
	cp /bin/busybox "$root/bin/"
	for applet in $(/bin/busybox --list); do
		[ "$applet" = busybox ] || ln -sf busybox "$root/bin/$applet"
	done
	printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n' \
		>"$root/etc/passwd"
	tar -C "$root" --owner=0 --group=0 --numeric-owner -cf "$scratch/root.tar" .
}

# cbuild_root DIR: a root directory with busybox, cbuild and the libraries it is linked with.
cbuild_root()
{
	local root=$1 library

	mkdir -p "$root"/{bin,etc,tmp,proc,sys,dev,var/lib,usr/bin} && chmod 1777 "$root/tmp" || return 1
	cp /bin/busybox "$root/bin/" && chroot "$root" /bin/busybox --install -s /bin || return 1
	printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n' >"$root/etc/passwd"
	cp "$CBUILD" "$root/usr/bin/cbuild"
	for library in $(ldd "$CBUILD" | grep -oE '/[^ ]+'); do
		cp -L --parents "$library" "$root" || return 1
	done
}

# layers_of ARCHIVE: what archive_layers.py says of an OCI archive.
layers_of() { python3 "$srcdir/tests/e2e/archive_layers.py" "$1"; }

# image_id NAME: from docker's JSON.
image_id()
{
	cbuild inspect "$1" | sed -nE 's/^ *"Id": *"(sha256:[0-9a-f]+)".*/\1/p' | head -n 1
}
