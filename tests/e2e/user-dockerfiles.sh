#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The Dockerfiles that cbuild was asked for, testdata/users/a to e, build and run, as root and as a
# plain user, from stand-ins of their real bases.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

# Two of them on one loopback tell each other their names.
talk()
{
	local run=$1 first=0 second=0

	"$run" run p1 127.0.0.1:10002 127.0.0.1:10003 >"$scratch/first" 2>&1 &
	"$run" run p1 127.0.0.1:10003 127.0.0.1:10002 >"$scratch/second" 2>&1 || second=$?
	wait $! || first=$?
	cat "$scratch/first" "$scratch/second"
	[ "$first$second" = 00 ] &&
		grep -qx '127.0.0.1:10002 heard: hello from 127.0.0.1:10003' "$scratch/first" &&
		grep -qx '127.0.0.1:10003 heard: hello from 127.0.0.1:10002' "$scratch/second"
}

# The web application answers, and no part of it outlives the command.
serve()
{
	local run=$1 port pid answered=0

	port=$(free_port)
	"$run" run -e "PORT=$port" p4 >"$scratch/serve" 2>&1 &
	pid=$!
	# It looks up a host called `redis` first, which may take the resolver a while.
	wait_until 30 port_answers "$port" &&
		says '<h3>Hello World!</h3>' curl -sS --max-time 30 "http://localhost:$port/" || answered=1
	# Our background shell's child is the command itself. TERM alone may not do: a process 1 that
	# has no handler for it, as python has none, never sees it.
	pkill -TERM -P "$pid"
	wait_until 3 eval "! kill -0 $pid" || pkill -KILL -P "$pid"
	wait "$pid"
	[ "$answered" = 0 ] || { cat "$scratch/serve"; return 1; }
	wait_until 5 eval "! port_answers $port"
}

build() { (cd "$2" && "$1" -t "$3" .); }

all()
{
	local run=$1 who=$2 from=$scratch/users-$2

	cp -r "$srcdir/testdata/users" "$from"
	chmod -R a+rX "$from"
	check "$who: (a) golang builds" build "$run" "$from/a" p1
	check "$who: (a) two of them talk over UDP" talk "$run"
	check "$who: (b) node builds" build "$run" "$from/b" p2
	check "$who: (b) runs" prints 'Hello, node!' "$run" run p2
	check "$who: (c) python and pip build" build "$run" "$from/c" p3
	check "$who: (c) runs" prints '0 1 4 9 16' "$run" run p3
	check "$who: (d) Flask and Redis build from a file called dockerfile" build "$run" "$from/d" p4
	check "$who: (d) serves" serve "$run"
	check "$who: (e) apt-get installs" build "$run" "$from/e" p5
	check "$who: (e) the cow speaks" says '\(oo\)' "$run" run p5 wisdom
	check "$who: (e) CMD bash" prints '' "$run" run p5 </dev/null
}

bases_registry
all cbuild root
user_ready
all user_cbuild user
finish
