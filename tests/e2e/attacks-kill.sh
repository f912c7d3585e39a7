#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# SIGKILL of cbuild at random moments: of a RUN (48), also of one by --isolation=chroot, and of whole
# builds (57), as root and as a plain user. No process, mount or lock is left, the store is whole, and
# the next build is right. How many, each: $CBUILD_TEST_KILLS (default 15); the long form is
#
#	CBUILD_TEST_KILLS=200 tests/e2e/attacks-kill.sh run
#	CBUILD_TEST_KILLS=50 tests/e2e/attacks-kill.sh chroot
#	CBUILD_TEST_KILLS=500 tests/e2e/attacks-kill.sh storm
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

kills=${CBUILD_TEST_KILLS:-15}
parts=${*:-run chroot storm}
mark=cbuild-kill-$RANDOM$RANDOM

# A command that becomes cbuild by exec alone, so that its pid is that of cbuild.
new_mine()
{
	local become=

	[ "$who" = root ] || become="setpriv --reuid $plain_user --regid $plain_user --init-groups"
	printf '#!/bin/sh\nexec %s env -i HOME=%s PATH=%s MARK=%s %s --root %s "$@"\n' \
		"$become" "$user_home" "$PATH" "$mark" "$CBUILD" "$place" >"$scratch/mine"
	chmod a+rx "$scratch/mine"
}

# The processes of a build: pid 1 of a sandbox has wiped its arguments, but not its environment,
# and a step has the variable from its Dockerfile.
ours() { grep -lsazE "^MARK=$mark\$" /proc/[0-9]*/environ | grep -v "/proc/$$/"; }

no_process() { wait_until 3 eval '[ -z "$(ours)" ]' || { ours | while read -r f; do tr '\0' ' ' <"${f%environ}cmdline"; echo "$f"; done; return 1; }; }
no_mount() { ! grep -F "$scratch" /proc/self/mountinfo; }

# Waited for: a process that ends gives its memory back before its files.
no_lock() { wait_until 3 unlocked || unlocked; }

unlocked()
{
	local file

	for file in "$place"/locks/* "$place"/tmp/*; do
		[ -f "$file" ] || continue
		flock --nonblock --exclusive "$file" true || { echo "locked: $file"; return 1; }
	done
}

# killed AFTER OPTION...: a build is killed so many milliseconds after it began.
killed()
{
	local after=$1 pid status=0

	shift
	"$scratch/mine" --progress=plain "$@" >"$scratch/said" 2>&1 </dev/null &
	pid=$!
	sleep "$(printf '0.%03d' "$after")"
	kill -KILL "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null || status=$?
	[ "$status" = 137 ] && hits=$((hits + 1))
	[ "$status" = 137 ] || [ "$status" = 0 ] || { cat "$scratch/said"; return 1; }
}

# duration_ms COMMAND...
duration_ms()
{
	local began

	began=$(date +%s%N)
	"$@" >/dev/null 2>&1
	echo $((($(date +%s%N) - began) / 1000000))
}

# Whole builds run while others are killed: their images have these layers.
layers() { "$scratch/mine" inspect "$1" | grep -oE '"sha256:[0-9a-f]{64}"' | tail -n "$2"; }

# test_run ISOLATION [MOUNT...]: of a step with these mounts.
test_run()
{
	local i hits=0 window build=("$scratch/mine" "--isolation=$1" "$context")

	cat >"$context/Dockerfile" <<-EOF
		FROM busybox
		ENV MARK=$mark
		ARG ROUND
		RUN ${*:2} mkdir -p /c /b /t; \
			trap '' TERM INT HUP; (setsid sleep 4321 &) ; (sleep 4322 & sleep 4323 & wait) & \
			touch /c/x /b/x /t/x; sleep 0.15
	EOF
	"${build[@]}" --build-arg ROUND=first >/dev/null 2>&1 || return
	window=$(($(duration_ms "${build[@]}" --build-arg ROUND=second) + 5))
	for ((i = 1; hits < kills && i <= 5 * kills; i++)); do
		killed $((RANDOM % window)) "${build[@]:1}" --build-arg "ROUND=$i" || return
		no_process && no_mount && no_lock || { echo "in round $i"; return 1; }
	done
	echo "$hits killed in $((i - 1)) builds of $window ms"
	[ "$hits" = "$kills" ] || return
	"${build[@]}" --build-arg ROUND=last || return
	equal '' "$(ls -A "$place/tmp")" && python3 "$srcdir/tests/e2e/store_check.py" "$place"
}

test_storm()
{
	local i hits=0 window want

	cat >"$context/Dockerfile" <<-EOF
		FROM busybox AS one
		ENV MARK=$mark
		ARG ROUND
		COPY many /many
		RUN mkdir /r && for i in \$(seq 50); do echo \$i >/r/\$i; done; touch -d @1 /r /r/*
		FROM busybox
		ENV MARK=$mark
		COPY --from=one /r /r
		COPY many /many
		WORKDIR /w/\$ROUND
		RUN mkdir /o && cat /r/* /many/* | md5sum >/o/sum && touch -d @1 /o /o/sum
	EOF
	mkdir -p "$context/many"
	for i in $(seq 200); do echo "$i" >"$context/many/$i"; done
	"$scratch/mine" --build-arg ROUND=first -t first "$context" >/dev/null 2>&1 || return
	window=$(($(duration_ms "$scratch/mine" --build-arg ROUND=second "$context") + 5))
	want=$(layers first 1)
	for ((i = 1; hits < kills && i <= 5 * kills; i++)); do
		# steps of this round only, in a store that is new every tenth time
		[ $((i % 10)) != 0 ] || $as rm -rf "$place"
		[ $((i % 10)) != 0 ] || "$scratch/mine" import "$scratch/root.tar" busybox >/dev/null || return
		killed $((RANDOM % window)) --no-cache --build-arg "ROUND=$i" -t "storm:$i" "$context" || return
		no_process && no_lock || { echo "in round $i"; return 1; }
		"$scratch/mine" images >/dev/null || return # a command that only reads
	done
	echo "$hits killed in $((i - 1)) builds of $window ms"
	[ "$hits" = "$kills" ] || return
	python3 "$srcdir/tests/e2e/store_check.py" "$place" || return
	"$scratch/mine" --build-arg ROUND=last -t last "$context" || return
	equal "$want" "$(layers last 1)" && equal '' "$(ls -A "$place/tmp")" &&
		python3 "$srcdir/tests/e2e/store_check.py" "$place"
}

busybox_tar
user_ready
context=$scratch/context
mkdir "$context"
for who in root user; do
	as= place=$store
	[ "$who" = root ] || as=as_user place=$user_home/store
	new_mine
	"$scratch/mine" import "$scratch/root.tar" busybox >/dev/null || exit 1
	for part in $parts; do
		case $part in
		run) check "$who: 48: killed in a RUN: no process, mount, lock; the next build works" test_run \
			namespace --mount=type=cache,target=/c --mount=target=/b,rw --mount=type=tmpfs,target=/t ;;
		chroot) check "$who: 48: killed in a RUN by chroot: no process, mount, lock" test_run chroot ;;
		storm) check "$who: 57: killed anywhere: the store is whole, the next build is right" test_storm ;;
		esac
		grep ' killed in ' "$scratch/output" | sed 's/^/# /'
	done
done
finish
