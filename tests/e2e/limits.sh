#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What ends a RUN: time, Ctrl-C, limits, system calls that a profile refuses; as root and as a plain
# user. Limits by cgroups are tested in a kernel of their own (user-mode Linux), since that has
# cgroup v2 with all controllers whatever this machine has, and is one of the older ones that RUN
# works on: tests/e2e/limits_vm.sh runs in there.
# shellcheck disable=SC2015,SC2086 # what follows || is for both; lists of options
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

context=$scratch/context
mark=3$RANDOM$RANDOM # seconds of a sleep that nobody else does

dockerfile() { cat >"$context/Dockerfile"; }

build() { $by build --progress=plain "$@" "$context"; }

# failed TEXT OPTION...: the build fails with status 1 and says TEXT.
failed()
{
	local want=$1

	shift
	fails 1 build "$@" && { grep -qE -- "$want" "$scratch/said" || { cat "$scratch/said"; return 1; }; }
}

# built TEXT OPTION...
built()
{
	local want=$1

	shift
	build "$@" >"$scratch/said" 2>&1 && grep -qE -- "$want" "$scratch/said" || { cat "$scratch/said"; return 1; }
}

nothing_left()
{
	local i

	for i in 1 2 3 4 5 6 7 8 9 10; do
		pgrep -f "sleep $mark" >/dev/null || break
		sleep 0.1
	done
	! pgrep -af "sleep $mark" && ! grep -F "$scratch" /proc/self/mountinfo
}

# within SECONDS COMMAND...: it takes no longer.
within()
{
	local limit=$1 start=$EPOCHREALTIME

	shift
	"$@" || return 1
	awk "BEGIN { took = $EPOCHREALTIME - $start; print took \" s\"; exit took > $limit }"
}

# interrupted STATUS SIGNAL...: a build is sent the signals while a RUN is at work.
interrupted()
{
	local want=$1 pid status=0 signal i

	shift
	$background build --progress=plain "$context" >"$scratch/said" 2>&1 &
	pid=$!
	for ((i = 0; i < 100; i++)); do
		pgrep -f "sleep $mark" >/dev/null && break
		sleep 0.1
	done
	pid=$(pgrep -f "^$CBUILD .*$context" | head -n 1)
	for signal; do
		kill "-$signal" "$pid"
		sleep 0.3
	done
	wait "$!" || status=$?
	equal "$status" "$want" || { cat "$scratch/said"; return 1; }
	nothing_left && grep -E '^cbuild: .*interrupted by SIG' "$scratch/said"
}

# The filter is root's, so that it does not keep newuidmap from its rights.
refused_to_user()
{
	"$scratch/refuse" clone3 setpriv --reuid "$plain_user" --regid "$plain_user" --init-groups --reset-env -- \
		env PATH="$PATH" "$CBUILD" --root "$user_home/store" "$@"
}

test_timeout()
{
	dockerfile <<-EOF
		FROM busybox
		RUN sleep $mark & trap '' TERM; sleep $mark
	EOF
	check "$who: --run-timeout ends the step" within 5 failed \
		'Dockerfile:2:1: process .* was killed: it took longer than 1.5s \(--run-timeout\)' --run-timeout 1.5s
	check "$who: --run-timeout leaves no process" nothing_left
	dockerfile <<-EOF
		FROM busybox
		RUN yes
	EOF
	check "$who: --run-timeout of a step that never stops writing" within 10 \
		failed 'took longer than 1s' --quiet --run-timeout 1s
	dockerfile <<-EOF
		FROM busybox
		RUN sleep 0.4
		RUN sleep 0.5
	EOF
	check "$who: --run-timeout is of each step" built 'Built' --run-timeout 800ms
	check "$who: --run-timeout is no part of the key" built '0 run, 2 cached' --run-timeout 2s
	check "$who: --run-timeout: not a duration" fails 2 build --run-timeout 10
	check "$who: --run-timeout: negative" fails 2 build --run-timeout=-1s
}

test_signals()
{
	dockerfile <<-EOF
		FROM busybox
		RUN echo started; sleep $mark & sleep $mark
	EOF
	check "$who: Ctrl-C ends a build with 130" within 6 interrupted 130 INT
	check "$who: SIGTERM ends a build with 143" within 6 interrupted 143 TERM
	dockerfile <<-EOF
		FROM busybox
		RUN trap '' INT TERM; sleep $mark; sleep $mark
	EOF
	check "$who: a second Ctrl-C ends a step that does not listen" within 6 interrupted 130 INT INT
	dockerfile <<-EOF
		FROM busybox
		RUN echo after
	EOF
	check "$who: the next build finds the store free" within 5 built 'Built'
}

test_profiles()
{
	cat >"$scratch/no-mkdir.json" <<-'EOF'
		{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
			{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 11}]}
	EOF
	chmod a+r "$scratch/no-mkdir.json"
	dockerfile <<-'EOF'
		FROM busybox
		RUN mkdir /x; echo status $?; grep Seccomp: /proc/self/status
	EOF
	check "$who: seccomp=FILE refuses what it says" built 'x.: Resource temporarily unavailable' \
		--security-opt "seccomp=$scratch/no-mkdir.json"
	check "$who: seccomp=FILE is part of the key" built 'status 0' --security-opt seccomp=unconfined
	check "$who: seccomp=unconfined" grep -qE 'Seccomp:.0$' "$scratch/said"
	check "$who: without, it is docker's" built 'Seccomp:.2$'
	check "$who: docker's own profile works" built 'status 0' \
		--security-opt "seccomp=$srcdir/testdata/seccomp/default.json"
	check "$who: it is cached" built '0 run, 1 cached' \
		--security-opt "seccomp=$srcdir/testdata/seccomp/default.json"
	echo '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "NO"}]}' \
		>"$scratch/bad.json"
	chmod a+r "$scratch/bad.json"
	check "$who: a mistake is named" failed 'bad.json: syscalls\[0\].action: unknown action "NO"' \
		--security-opt "seccomp=$scratch/bad.json"
	check "$who: a profile that is not there" failed 'no such file' --security-opt seccomp=/none.json
	check "$who: other options are refused" fails 2 build --security-opt apparmor=unconfined
}

test_values()
{
	local option

	while read -r option; do
		check "$who: $option" fails 2 build $option
	done <<-'EOF'
		--memory 1m
		--memory much
		--memory-swap 1g
		--memory 1g --memory-swap 512m
		--cpus many
		--cpus 0.001
		--cpus 1 --cpu-quota 50000
		--cpu-quota 5
		--cpu-shares 1
		--cpuset-cpus 0-
		--pids-limit -5
		--pids-limit 1k
		--cgroup-parent=
	EOF
}

# What is asked for and cannot be had is an error that says why and what to do.
test_refusal()
{
	dockerfile <<-'EOF'
		FROM busybox
		RUN echo limited
	EOF
	if [ -e /sys/fs/cgroup/cgroup.controllers ] && [ "$who" = root ]; then
		check "$who: --memory is enforced or refused" eval "build --memory 64m || failed '--memory cannot be enforced here: .*fix: ' --memory 64m"
	else
		check "$who: --memory without a delegated cgroup" failed '--memory cannot be enforced here: .*\(fix: ' --memory 64m
		check "$who: --cpus without a delegated cgroup" failed '--cpus cannot be enforced here: .*\(fix: ' --cpus 1
		check "$who: --pids-limit without a delegated cgroup" failed '--pids-limit cannot be enforced here: .*\(fix: ' --pids-limit 100
	fi
	check "$who: without limits it runs" built 'limited'
	[ "$who" = user ] || return
	dockerfile <<-'EOF'
		FROM busybox
		RUN grep processes /proc/self/limits
	EOF
	check "$who: a fork bomb has an end" built 'Max processes +(8192|[1-7]?[0-9]{1,3}) '
}

# Where clone3() is refused, as by the policies of many containers, it is clone().
test_clone()
{
	local old=$by

	dockerfile <<-'EOF'
		FROM busybox
		RUN echo "pid 1 is $(cat /proc/1/comm)"; grep Seccomp_filters: /proc/self/status
	EOF
	by="$refused"
	check "$who: without clone3 the namespaces come from clone" built 'pid 1 .*init' --no-cache
	check "$who: the call was refused" grep -qE 'filters:.2$' "$scratch/said"
	by=$old
}

# What the caller's session keyring leads to.
test_keys()
{
	local old=$by

	cp "$scratch/keys" "$context/keys"
	dockerfile <<-'EOF'
		FROM busybox
		COPY keys /keys
		RUN /keys find
	EOF
	"$scratch/keys" add "$scratch/keys" find >"$scratch/said"
	check "$who: keys: the test can find its key" grep -qx 'key: found' "$scratch/said"
	by="$scratch/keys add $CBUILD --root $store"
	[ "$who" = root ] || by=keys_of_user
	check "$who: keys of the caller are out of reach" built 'key: out of reach' --no-cache --security-opt seccomp=unconfined
	by=$old
	[ "$who" = root ] || return
	by="$scratch/refuse !keyctl $CBUILD --root $store"
	check "$who: keys that cannot be left are an error" failed "leave the caller's session keyring" \
		--no-cache --security-opt seccomp=unconfined
	check "$who: but for the filter that keeps them away" built 'key: out of reach' --no-cache
	by=$old
}

keys_of_user() { as_user "$scratch/keys" add "$CBUILD" --root "$user_home/store" "$@"; }

# A kernel that runs as a process, with this root directory, read-only, and a disk of its own.
test_vm()
{
	local kernel=/usr/bin/linux.uml line

	[ -x "$kernel" ] || { skip 'no user-mode Linux: limits by cgroups'; return; }
	mkdir "$scratch/vm"
	cp "$CBUILD" "$scratch/cbuild" # in there, /tmp is another
	truncate -s 400M "$scratch/disk"
	mkfs.ext4 -q -F "$scratch/disk"
	TMPDIR=/dev/shm timeout 300 "$kernel" mem=512M root=/dev/root rootfstype=hostfs rootflags=/ ro quiet \
		"init=$srcdir/tests/e2e/limits_vm.sh" "ubd0=$scratch/disk" con0=fd:0,fd:1 con=null \
		"CBUILD=$scratch/cbuild" "SCRATCH=$scratch" "PLAIN_USER=$plain_user" \
		</dev/null >"$scratch/console" 2>&1
	stty sane 2>/dev/null
	tr -d '\r' <"$scratch/console" >"$scratch/vm-said"
	while read -r line; do
		case $line in
		'ok - '*) ok "vm: ${line#ok - }" ;;
		'not ok - '*) not_ok "vm: ${line#not ok - }" ;;
		esac
	done <"$scratch/vm-said"
	check 'vm: all was run' grep -qx 'vm: end' "$scratch/vm-said"
	! grep -q '^not ok' "$scratch/vm-said" || cat "$scratch/vm-said"
}

mkdir -p "$context"
chmod 755 "$context"
busybox_tar
user_ready
cc -O2 -o "$scratch/refuse" "$srcdir/tests/e2e/refuse.c" -lseccomp || exit 2
cc -O2 -static -o "$scratch/keys" "$srcdir/tests/e2e/keys.c" || exit 2
[ $# -gt 0 ] && whos= || whos='root user' # with an argument: the part in the kernel alone
for who in $whos; do
	by=cbuild background="env --default-signal=INT,TERM $CBUILD --root $store"
	refused="$scratch/refuse clone3 $CBUILD --root $store"
	[ "$who" = root ] || by=user_cbuild background="as_user env --default-signal=INT,TERM $CBUILD --root $user_home/store" \
		refused="refused_to_user"
	$by import "$scratch/root.tar" busybox >/dev/null || exit 1
	test_timeout
	test_signals
	test_profiles
	test_refusal
	test_clone
	test_keys
done
[ $# -gt 0 ] || test_values
test_vm
finish
