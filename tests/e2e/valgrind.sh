#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# No leak and no bad access in a pull, a build and a push, in cbuild, its children and its registry
# helper. Programs of RUN are not watched.
#
# Debian 12's valgrind does not know clone3, fsopen, move_mount and such: steps are run by the older
# calls. For openat2 there are none: see openat2_shim.c.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

# In a forked copy, what other threads were at is lost, which is no leak: leaks are those of programs,
# which their exit status tells. Bad accesses are looked for in all that was written.
watched()
{
	local status=0

	LD_PRELOAD=$scratch/shim.so valgrind --quiet --vgdb=no --log-fd=9 --error-exitcode=99 \
		--leak-check=full --show-leak-kinds=definite,possible \
		--errors-for-leak-kinds=definite,possible --trace-children=yes \
		--trace-children-skip='/bin/*,/usr/bin/*' "$CBUILD" --root "$store" "$@" \
		9>"$scratch/log" || status=$?
	[ "$status" != 99 ] || cat "$scratch/log"
	! grep -A 15 -E '^==[0-9]+== (Invalid|Conditional|Use of|Syscall param|Source and|Mismatched|Process)' \
		"$scratch/log" || status=99
	return "$status"
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
cat >"$scratch/Run" <<-'EOF'
	FROM p1
	RUN --mount=type=cache,target=/c --mount=type=bind,target=/b --mount=type=tmpfs,target=/t \
		--mount=type=secret,id=s,target=/s cat /s /b/new > /t/new && cp /t/new /c/new
	RUN --network=none id
	RUN --security=insecure id
EOF
run_options=(--no-cache --secret "id=s,src=$scratch/Run" --allow security.insecure -f "$scratch/Run")
check 'build: RUN' watched build "${run_options[@]}" "$scratch/hello"
check 'build: RUN by --isolation=chroot' watched build --isolation=chroot --no-cache "$scratch/hello"
check 'run' watched run p1 true
check 'a step that fails' fails 3 watched run p1 sh -c 'exit 3'
mkdir "$scratch/bad"
echo 'RUNN' >"$scratch/bad/Dockerfile"
check 'a build that fails' fails 1 watched "$scratch/bad"
finish
