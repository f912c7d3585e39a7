#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Dockerfiles and contexts that mean harm, as root and as a plain user. What comes by URL, tar and
# git is in remote.sh, RUN --mount in mounts.sh. The numbers are those of docs/security.md.
#
#	CBUILD_TEST_SWAPS=10 tests/e2e/attacks-context.sh	seconds of the race, each (default 2)
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

canary=$scratch/canary
context=$scratch/context

# mine ARGUMENT...: cbuild by the user whose turn it is.
mine() { $as timeout 30 "$CBUILD" --root "$place" "$@"; }

# build LINE...: a Dockerfile of these lines. What it says is in $scratch/said.
build()
{
	printf '%s\n' "$@" >"$context/Dockerfile"
	mine --progress=plain -t built "$context" >"$scratch/said" 2>&1
}

said() { sed -nE 's/^#[0-9]+ [0-9.]+ //p' "$scratch/said"; }

# gives TEXT LINE...: the steps print TEXT. refuses PATTERN LINE...: an error that says so.
gives()
{
	local want=$1

	shift
	build "$@" || { cat "$scratch/said"; return 1; }
	equal "$want" "$(said)" && unharmed
}

refuses()
{
	local want=$1 status=0

	shift
	build "$@" || status=$?
	[ "$status" = 1 ] || { echo "status $status"; cat "$scratch/said"; return 1; }
	grep -qE -- "$want" "$scratch/said" || { cat "$scratch/said"; return 1; }
	unharmed
}

unharmed() { equal outside "$(cat "$canary/file")" && equal file "$(ls -A "$canary")" && ! grep -q outside "$scratch/said"; }

test_links()
{
	check "$who: 31: a link out is copied as a link" gives "$canary/file" \
		'FROM busybox' 'COPY links /links/' 'RUN readlink /links/out-file'
	check "$who: 31: by its name it is followed, inside" refuses 'Dockerfile:2.*is a link to something' 'FROM busybox' 'COPY links/out-file /'
	check "$who: 31: a directory that is a link out" refuses 'Dockerfile:2' 'FROM busybox' 'COPY out/file /'
	check "$who: 31: by a pattern" gives 0 'FROM busybox' 'COPY o*t/fi* /none/' 'RUN ls -A /none 2>/dev/null | wc -l'
	check "$who: 31: ADD" refuses 'Dockerfile:2' 'FROM busybox' 'ADD out/file /'
	check "$who: 31: links that climb" refuses 'Dockerfile:2' 'FROM busybox' 'COPY up/etc/passwd /'
	check "$who: 31: COPY --from: links are those of the stage" gives 'in the stage' 'FROM busybox AS s' \
		"RUN mkdir -p $canary /d && echo in the stage >$canary/file && ln -s $canary /d/out" \
		'FROM busybox' 'COPY --from=s /d/out/file /got' 'RUN cat /got'
	check "$who: a destination that is a link" gives inside 'FROM busybox' "RUN ln -s $canary /l" \
		'COPY inside /l/' "RUN cat $canary/inside"
	check "$who: 30: WORKDIR through such a link" gives "$canary/w" 'FROM busybox' "RUN mkdir -p $canary && ln -s $canary /l" \
		'WORKDIR /l/w' 'RUN pwd -P'
	check "$who: 30: WORKDIR through one that dangles" gives "$canary/w" 'FROM busybox' "RUN ln -s $canary /l" \
		'WORKDIR /l/w' 'RUN pwd -P'
	check "$who: 30: WORKDIR of a descriptor" refuses '/proc/self/fd/7' 'FROM busybox' 'WORKDIR /proc/self/fd/7' 'RUN true'
	check "$who: ADD of a tar that climbs" gives 'in in in' 'FROM busybox' 'ADD climb.tar /a/' \
		"RUN echo \$(cat /a/$canary/absolute /a/climbed $canary/through)"
	check "$who: FIFOs and devices are not read" eval 'build "FROM busybox" "COPY special /s" "RUN ls /s" || cat "$scratch/said"; unharmed'
}

# A build that runs nothing reads owners from what an earlier one unpacked.
test_owners()
{
	build 'FROM busybox' 'RUN true' # unpacks the base
	check "$who: owners of directories are the image's" gives $'0 7\n7 0 0' 'FROM busybox' 'COPY inside /home/seven/' \
		'WORKDIR /home/seven/w' "RUN stat -c %u /home /home/seven | xargs; stat -c %u /home/seven /home/seven/w /home/seven/inside | xargs"
	check "$who: in the layers too" eval 'mine save --format oci -o "$shared/owners.tar" built >/dev/null && owners "$shared/owners.tar"'
}

# owners ARCHIVE: 0 and 7 own all that is in it.
owners()
{
	layers_of "$1" >"$scratch/layers" && grep -q ' 7:7 ' "$scratch/layers" &&
		! grep -vE '^layer |^[0-9] [0-7]+ (0:0|7:7) ' "$scratch/layers"
}

# swap SECONDS: d and d-other change names as fast as they can; one is a link out.
swap()
{
	/usr/bin/python3 - "$context/d" "$context/d-other" "$1" <<-'EOF'
		import ctypes, sys, time
		libc = ctypes.CDLL(None)
		one, two = (x.encode() for x in sys.argv[1:3])
		end = time.monotonic() + float(sys.argv[3])
		while time.monotonic() < end:
		    for _ in range(1000):
		        libc.renameat2(-100, one, -100, two, 2)
	EOF
}

test_race()
{
	local swapper builds=0

	mkdir -p "$context/d" && echo inside >"$context/d/file" && ln -sfn "$canary" "$context/d-other"
	$as chmod -R a+rX "$context" 2>/dev/null
	swap "${CBUILD_TEST_SWAPS:-2}" &
	swapper=$!
	printf 'FROM busybox\nARG N\nCOPY d /one\nCOPY d/fil* /two/\nRUN --mount=source=d,target=/m cat /one/file /two/file /m/file\n' \
		>"$scratch/race"
	: >"$scratch/raced"
	while kill -0 "$swapper" 2>/dev/null; do
		mine --no-cache -q -t "race" -f - "$context" <"$scratch/race" >>"$scratch/raced" 2>&1 &&
			mine run race cat /one/file /two/file >>"$scratch/raced" 2>&1
		builds=$((builds + 1))
	done
	wait "$swapper"
	rm -rf "$context/d" "$context/d-other"
	[ "$builds" -gt 5 ] || { echo "only $builds builds"; return 1; }
	! grep -a outside "$scratch/raced"
}

test_input()
{
	check "$who: no frontend is fetched or run" gives in "# syntax=localhost:1/evil/frontend" 'FROM busybox' 'RUN echo in'
	rm -f "$context/Dockerfile"; mkfifo "$context/Dockerfile"
	check "$who: the Dockerfile is a FIFO" fails 1 mine "$context"
	rm "$context/Dockerfile"; ln -s /dev/zero "$context/Dockerfile"
	check "$who: the Dockerfile is /dev/zero" fails 1 mine "$context"
	rm "$context/Dockerfile"; head -c 3000000 /dev/zero | tr '\0' '#' >"$context/Dockerfile"
	check "$who: the Dockerfile is too large" fails 1 mine "$context"
	mkfifo "$context/.dockerignore"
	check "$who: .dockerignore is a FIFO" refuses 'dockerignore' 'FROM busybox' 'COPY inside /'
	rm "$context/.dockerignore"; ln -s /dev/zero "$context/.dockerignore"
	check "$who: .dockerignore is /dev/zero" refuses 'dockerignore' 'FROM busybox' 'COPY inside /'
	rm "$context/.dockerignore"
	check "$who: 20000 stages" eval 'seq 20000 | sed "s/^/FROM busybox AS s/" >"$context/Dockerfile"; fails 1 mine "$context"'
	check "$who: an expansion without end" eval '{ echo FROM busybox; echo ARG a0=xxxxxxxxxxxxxxxx
		for i in $(seq 30); do echo "ARG a$i=\${a$((i - 1))}\${a$((i - 1))}"; done; } >"$context/Dockerfile"; fails 1 mine "$context"'
	check "$who: nesting without end" eval '{ echo FROM busybox; printf "ENV a="; printf "\${b:-%.0s" $(seq 50000); echo; } >"$context/Dockerfile"; fails 1 mine "$context"'
	check "$who: a pattern without end" eval 'printf "%s\n" "FROM busybox" "COPY $(printf "*a%.0s" $(seq 2000))b /" >"$context/Dockerfile"; mine "$context"; [ $? -le 1 ]'
	echo 'FROM busybox' >"$context/Dockerfile"
}

# A name for output that is a link is replaced, not followed.
test_output()
{
	ln -sf "$canary/file" "$shared/out.tar"
	check "$who: save -o through a link" eval 'mine save -o "$shared/out.tar" busybox >/dev/null; equal outside "$(cat "$canary/file")"'
}

mkdir -p "$context/special"
busybox_tar
mkdir -p "$scratch/more/home/seven"
tar -C "$scratch/more" --owner=7 --group=7 --numeric-owner -rf "$scratch/root.tar" home/seven
mkdir "$canary" && echo outside >"$canary/file"
echo inside >"$context/inside"
mkdir "$context/links"
ln -s "$canary/file" "$context/links/out-file"
ln -s "$canary" "$context/out"
ln -s ../../../../../../../.. "$context/up"
mkfifo "$context/special/fifo"
mknod "$context/special/zero" c 1 5
python3 - "$context/climb.tar" "$canary" <<-'EOF'
	import io, sys, tarfile
	with tarfile.open(sys.argv[1], "w") as tar:
	    for name in ("../" * 12 + "climbed", sys.argv[2] + "/absolute", "out/through"):
	        if name.startswith("out"):
	            link = tarfile.TarInfo("out"); link.type = tarfile.SYMTYPE; link.linkname = sys.argv[2]
	            tar.addfile(link)
	        member = tarfile.TarInfo(name); member.size = 3
	        tar.addfile(member, io.BytesIO(b"in\n"))
EOF
user_ready
for who in root user; do
	as= place=$store shared=$scratch/shared-$who
	mkdir "$shared"
	[ "$who" = root ] || { as=as_user place=$user_home/store; chown -R "$plain_user:" "$canary" "$shared"; }
	mine import "$scratch/root.tar" busybox >/dev/null || exit 1
	test_links
	test_owners
	check "$who: links that change under the build" test_race
	test_input
	test_output
done
finish
