#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# No leak and no bad access in a pull, a build and a push, in cbuild and its registry helper.
#
# Debian 12's valgrind knows none of the system calls that a RUN is started with (clone3, fsopen,
# move_mount, ...), so RUN steps are done before and found again; the sanitized end-to-end run has
# them. openat2 it does not know either: see openat2_shim.c.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

watched()
{
	LD_PRELOAD=$scratch/shim.so valgrind --quiet --error-exitcode=99 --leak-check=full \
		--show-leak-kinds=definite,possible --errors-for-leak-kinds=definite,possible \
		--trace-children=yes "$CBUILD" --root "$store" "$@"
}

gcc -O1 -shared -fPIC -o "$scratch/shim.so" "$srcdir/tests/e2e/openat2_shim.c" || exit 1
bases_registry
check 'pull' watched pull busybox
cp -r "$srcdir/examples/hello" "$scratch/hello"
cat >>"$scratch/hello/Dockerfile" <<-'EOF'
	ENV A=1 B=$A
	WORKDIR /work
	COPY . .
	ADD context.tar /unpacked/
EOF
tar -C "$srcdir" -cf "$scratch/hello/context.tar" examples
check 'build, not watched' cbuild -t p1 "$scratch/hello"
echo changed >"$scratch/hello/new"
check 'build: WORKDIR, COPY, ADD' watched -t p1 "$scratch/hello"
check 'build, unchanged' watched -t p1 "$scratch/hello"
check 'push' eval 'cbuild tag p1 "$registry/u/p1" && watched push "$registry/u/p1"'
check 'pull of it, to another store' eval '(store=$scratch/other; watched pull "$registry/u/p1")'
check 'save, load' eval 'watched save -o "$scratch/p1.tar" p1 && cbuild rmi p1 &&
	watched load -i "$scratch/p1.tar"'
check 'images, inspect, history' eval 'watched images && watched inspect p1 && watched history p1'
mkdir "$scratch/bad"
echo 'RUNN' >"$scratch/bad/Dockerfile"
check 'a build that fails' fails 1 watched "$scratch/bad"
finish
