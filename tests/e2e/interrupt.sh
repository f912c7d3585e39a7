#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a failure, SIGINT and SIGTERM end, beside steps that run (jobs.sh): a pull, a file by URL, a
# git repository, a large COPY, an archive and a layer being unpacked; as root and as a plain user.
# It is over within 200 ms, and no process and no temporary file is left.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

LIMIT_MS=200 # that a build may take to end
TRIES=3	     # of which one must be as quick: others may be using the machine

context=$scratch/context
mkdir "$context"
busybox_tar
port=$(free_port)
python3 "$srcdir/tests/e2e/remote_server.py" "$port" "$scratch" "$scratch/log" 2>"$scratch/server.err" &
server=$!
at_end_of_test() { kill "$server"; }
wait_until 10 port_answers "$port"

# Zeros take long to hash and to unpack, and no room: a file, and an archive in gzip, whose parts
# may be repeated.
truncate -s 16G "$context/zeros"
python3 - "$context/zeros.tar.gz" <<-'END'
	import gzip, sys, tarfile
	header = tarfile.TarInfo("zeros")
	header.size = 4 << 30
	part = gzip.compress(bytes(64 << 20), 1)
	with open(sys.argv[1], "wb") as out:
	    out.write(gzip.compress(header.tobuf()) + part * 64 + gzip.compress(bytes(1024)))
END
chmod 644 "$context"/* "$scratch/root.tar"

# What takes long, as a stage that the target needs.
declare -A stages=(
	[pull]="FROM 127.0.0.1:$port/stalls:1 AS long"
	[file]="FROM busybox AS long\nADD http://127.0.0.1:$port/stall/file /"
	[git]="FROM busybox AS long\nADD http://127.0.0.1:$port/stall/repository.git /"
	[copy]="FROM busybox AS long\nCOPY zeros /"
	[archive]="FROM busybox AS long\nADD zeros.tar.gz /"
	[layer]="FROM zeros AS long\nRUN true"
)
ends='FROM busybox\nCOPY --from=long / /\nCOPY --from=short /bin /bin\n'
mkdir "$context/small"
printf 'FROM busybox\nRUN true\n' >"$context/small/Dockerfile"
for kind in "${!stages[@]}"; do
	printf 'FROM busybox AS short\nRUN sleep 1; cat /proc/uptime; exit 7\n%b\n%b' \
		"${stages[$kind]}" "$ends" >"$context/$kind.fails"
	printf 'FROM busybox AS short\n%b\n%b' "${stages[$kind]}" "$ends" >"$context/$kind.alone"
	printf 'FROM busybox AS short\nADD http://127.0.0.1:%s/stall/other /\n%b\n%b' \
		"$port" "${stages[$kind]}" "$ends" >"$context/$kind.beside"
done

now_ms() { awk '{ print int($1 * 1000) }' /proc/uptime; }

# What this test's builds have running still.
left() { pgrep -f -- "127.0.0.1:$port/|--root $store" | grep -v "^$server$"; }

gone()
{
	! left || { echo "they run on"; return 1; }
	[ -z "$(ls -A "$store/tmp")" ] || { ls -lAR "$store/tmp"; return 1; }
}

build() { $as "$CBUILD" --root "$store" build --no-cache --jobs 4 -f "$context/$1" "$context"; }

# fails_at_once KIND: the time from a failing step to the end of the build.
fails_at_once()
{
	local began

	fails 1 build "$1.fails" || return
	ms=$(now_ms)
	began=$(sed -nE 's/^#[0-9]+ [0-9.]+ ([0-9]+)\.([0-9]{2}) [0-9.]+$/\1\20/p' said)
	grep -q 'exit code: 7' said && grep -q '^#[0-9]* CANCELED' said && [ -n "$began" ] ||
		{ cat said; return 1; }
	ms=$((ms - began))
	gone
}

# dies_at_once FILE SIGNAL: the time from the signal to the end of the build. It is sent a second
# after the work has begun.
dies_at_once()
{
	local pid

	# a shell's background jobs ignore SIGINT
	$as env --default-signal=INT,TERM "$CBUILD" --root "$store" build --no-cache --jobs 4 \
		-f "$context/$1" "$context" >said 2>&1 &
	sleep 1
	pid=$(pgrep -of -- "^$CBUILD --root $store build") || { cat said; return 1; }
	ms=$(now_ms)
	kill -"$2" "$pid"
	wait $! && { echo "it succeeded"; return 1; }
	ms=$(($(now_ms) - ms))
	# what a build that died left there is the next one's to remove
	$as "$CBUILD" --root "$store" build --no-cache "$context/small" >/dev/null 2>&1
	gone
}

# in_time COMMAND...: it succeeds, and says in $ms that one of the tries was quick.
in_time()
{
	local all=

	for _ in $(seq $TRIES); do
		"$@" || return 1
		all+=" $ms"
		[ "$ms" -gt "$LIMIT_MS" ] || { echo "took$all ms"; return 0; }
		[ "$ms" -lt 5000 ] || break
	done
	echo "took$all ms"
	return 1
}

for who in root user; do
	as=
	if [ $who = user ]; then
		user_ready
		as=as_user store=$user_home/store
	fi
	$as "$CBUILD" --root "$store" import "$scratch/root.tar" busybox >/dev/null 2>&1
	$as "$CBUILD" --root "$store" import "$context/zeros.tar.gz" zeros >/dev/null 2>&1
	for kind in pull file git copy archive layer; do
		check "$who: $kind: a failure beside it" in_time fails_at_once $kind
		echo "# $(cat "$scratch/output")"
		check "$who: $kind: SIGINT" in_time dies_at_once $kind.beside INT
		check "$who: $kind: SIGTERM, alone" in_time dies_at_once $kind.alone TERM
	done
done
finish
