#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The wrong hits and needless misses that are known of other builders, and contexts that lie: clocks
# that jump, file systems without good timestamps, files that change while they are read, builds at
# once, a damaged index. The result is right, always.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

context=$scratch/context dockerfile=$scratch/Dockerfile
mkdir -p "$context" "$scratch/root/bin" "$scratch/root/tmp"
cp /bin/busybox "$scratch/root/bin/"
for link in sh cat ls echo true; do ln -s busybox "$scratch/root/bin/$link"; done
tar -C "$scratch/root" --owner=0 --group=0 --numeric-owner -cf "$scratch/root.tar" .
cbuild import "$scratch/root.tar" base >/dev/null || exit 1

# build [OPTION...]: with the Dockerfile of this test; what it says is in $scratch/said.
build() { cbuild build -t image -f "$dockerfile" "$@" "$context" >"$scratch/said" 2>&1; }

# runs N [OPTION...]: it is built, and N of its steps run.
runs()
{
	if ! build "${@:2}" || ! grep -q "($1 run, " "$scratch/said"; then cat "$scratch/said"; return 1; fi
}

image_has() { prints "$1" cbuild run image cat "$2"; }

# begin LINE...: a Dockerfile from base, in a context with the files a and b.
begin()
{
	rm -rf "$context" && mkdir -p "$context/dir"
	echo a >"$context/a"; echo b >"$context/b"; echo 1 >"$context/dir/1"; echo 2 >"$context/dir/2"
	printf '%s\n' 'FROM base' "$@" >"$dockerfile"
	sleep 0.05 # equal stat data is no proof for files as young as the index
	build
	build || cat "$scratch/said"
}

edit() { sed -i "$1" "$dockerfile"; }

# in_place FILE TEXT: other content of the same size, under the same mtime.
in_place()
{
	touch -r "$1" "$scratch/times"
	printf '%s\n' "$2" | dd of="$1" conv=notrunc status=none
	touch -r "$scratch/times" "$1"
}

# --- wrong hits
begin 'COPY a /a'
in_place "$context/a" x
check 'same size and mtime, other content: copied' runs 1
check 'same size and mtime, other content: right' image_has x /a
begin 'COPY a b dir/1 /to/'
echo x >"$context/b"
check 'the second of three sources: copied' runs 1
check 'the second of three sources: right' image_has x /to/b
begin 'ARG V=1' 'ENV X=$V' 'RUN echo $X >/x'
check 'ENV of an ARG: runs' runs 1 --build-arg V=2
check 'ENV of an ARG: right' image_has 2 /x
begin 'ARG V=1' 'COPY a /$V/'
check 'destination of an ARG: copied' runs 1 --build-arg V=2
check 'destination of an ARG: right' image_has a /2/a
begin 'RUN --mount=target=/m cat /m/a >/x'
echo x >"$context/a"
check 'mount without a type: runs' runs 1
check 'mount without a type: right' image_has x /x
begin 'RUN cat /x >/y'
printf '%s\n' 'FROM base AS s' 'COPY a /a' 'FROM base' 'RUN --mount=from=s,target=/m cat /m/a >/x' >"$dockerfile"
build; echo staged >"$context/a"
check 'mount of a stage: runs' runs 2
check 'mount of a stage: right' image_has staged /x
begin 'COPY --from=named f /f'
mkdir "$scratch/named" && echo 1 >"$scratch/named/f"
build --build-context named="$scratch/named"
check 'named context: known again' runs 0 --build-context named="$scratch/named"
echo 2 >"$scratch/named/f"
check 'named context: copied' runs 1 --build-context named="$scratch/named"
check 'named context: right' image_has 2 /f
begin 'COPY dir /dir' 'RUN ls /dir >/x'
mv "$context/dir/2" "$context/dir/3"
check 'renamed in its place: runs' runs 2
check 'renamed in its place: right' says '^3$' cbuild run image cat /x
begin 'COPY dir /dir' 'RUN cat /dir/1 /dir/2 >/x'
mv "$context/dir/1" "$context/dir/t"; mv "$context/dir/2" "$context/dir/1"; mv "$context/dir/t" "$context/dir/2"
check 'two names exchanged: runs' runs 2
printf '%s\n' 'FROM base AS s' 'COPY a b /s/' 'FROM base' 'COPY --from=s /s/a /x' >"$dockerfile"
build; echo y >"$context/a"
check 'COPY --from: copied' runs 2
check 'COPY --from: right' image_has y /x
begin 'COPY a /a' 'RUN cat /a >/x'
edit 's|cat /a|cat  /a|'
check 'below a cached COPY: runs' runs 1
check 'below a cached COPY: and is known then' runs 0
begin 'RUN ls /proc >/x'
check '--isolation=chroot, which has no /proc: runs' runs 1 --isolation=chroot
check '--isolation=chroot: right' image_has '' /x
check '--isolation=chroot: known again' runs 0 --isolation=chroot
begin 'RUN --mount=type=cache,id=one,target=/c echo x >>/c/f; cat /c/f >/x'
edit 's|id=one|id=two|'
check 'id of a cache: runs' runs 1

# --- needless misses
begin 'COPY a /a' 'RUN echo x >/x'
touch "$context/a"; chown 1:1 "$context/a"
check 'mtime and owner: nothing runs' runs 0
check 'an argument nobody declares: nothing runs' runs 0 --build-arg NOBODY=1
edit '$aARG SHA=none\nLABEL sha=$SHA'
build
check 'ARG below all steps: nothing runs' runs 0 --build-arg SHA=1
begin 'WORKDIR /w' 'RUN echo x >x'
check 'SOURCE_DATE_EPOCH: nothing runs' runs 0 --build-arg SOURCE_DATE_EPOCH=1000000000
check 'nor for the next' runs 0 --source-date-epoch 1000000001
begin 'RUN --mount=type=secret,id=s cat /run/secrets/s >/x'
echo 1 >"$scratch/s"; build --secret id=s,src="$scratch/s"; echo 2 >"$scratch/s"
check 'value of a secret: nothing runs, as docker has it' runs 0 --secret id=s,src="$scratch/s"
begin 'RUN echo x >/x'
cbuild save --format docker -o "$scratch/docker.tar" image
cbuild save --format oci -o "$scratch/oci.tar" image
check 'saved in two formats: nothing runs' runs 0
printf '%s\n' 'FROM base AS s' 'COPY a b /s/' 'RUN echo x >/s/x' 'FROM base' 'COPY --from=s /s/x /x' 'RUN cat /x' >"$dockerfile"
build; echo z >"$context/a"
check 'a stage that gives the same: nothing below runs' runs 2

# --- ADD of a URL
port=$((20000 + RANDOM % 20000)); mkdir "$scratch/www"; echo 1 >"$scratch/www/file"
python3 "$srcdir/tests/e2e/remote_server.py" "$port" "$scratch/www" "$scratch/requests" &
server=$!
at_end_of_test() { kill "$server" 2>/dev/null; }
for _ in {1..50}; do curl -s "http://127.0.0.1:$port/" >/dev/null && break; sleep 0.1; done
begin "ADD http://127.0.0.1:$port/files/file /f" 'RUN cat /f >/x'
check 'ADD of a URL: known again' runs 0
echo 2 >"$scratch/www/file"
check 'ADD of a URL: what follows runs' runs 2
check 'ADD of a URL: right' image_has 2 /x
check 'ADD of a URL: why' says '^step 2 ADD .*: file changed \(sha256:' cbuild explain -f "$dockerfile" "$context"
echo 3 >"$scratch/www/file"
check 'ADD of a URL without cache: fetched' runs 2 --no-cache
check 'ADD of a URL without cache: right' image_has 3 /x
kill $server

# --- clocks
begin 'COPY a /a'
touch -d '2037-01-01' "$context/a"; build
echo future >"$context/a"; touch -d '2037-01-01' "$context/a"
check 'mtime in the future: seen' runs 1
touch -d '1971-01-01' "$context/a"; build; in_place "$context/a" FUTURE
check 'mtime in the past: seen' runs 1
check 'mtime in the past: right' image_has FUTURE /a

# disk_gone: unmounted, when nobody is in it any more.
disk_gone()
{
	local _

	for _ in {1..50}; do
		mountpoint -q "$scratch/small" || return 0
		umount "$scratch/small" 2>/dev/null || sleep 0.1
	done
}

# with_disk MAKE...: a small disk, made by that command, is $disk while it is mounted.
with_disk()
{
	local image=$scratch/disk.img

	disk=$scratch/small
	disk_gone
	mkdir -p "$disk"
	rm -f "$image"; truncate -s 16M "$image"
	"$@" "$image" >/dev/null 2>&1 && mount -o loop "$image" "$disk" 2>/dev/null
}

# from_the_future IMAGE: a disk as a clock leaves it that was wrong when the file was written.
from_the_future()
{
	mkfs.ext2 -q -I 128 -d "$scratch/written" "$1" &&
		debugfs -w -R 'set_inode_field a ctime 20370101' "$1"
}

# quick_changes WHAT: files that change twice within a tick, each time built.
quick_changes()
{
	local i wrong=''

	printf '%s\n' 'FROM base' 'COPY a /a' >"$dockerfile"
	context=$disk
	for i in {10..29}; do
		if [ "$i" = 10 ]; then echo "$i" >"$disk/a"; else in_place "$disk/a" "$i"; fi
		build && [ "$(cbuild run image cat /a)" = "$i" ] || wrong+=" $i"
	done
	check "$1: each change is seen" equal '' "$wrong"
	context=$scratch/context
}

if with_disk mkfs.ext2 -q -I 128; then
	quick_changes 'whole seconds'
	disk_gone
	mkdir "$scratch/written" && echo 29 >"$scratch/written/a"
	with_disk from_the_future
	check 'ctime in the future: is it so' says '^2037' stat -c %z "$disk/a"
	context=$disk; runs 0 >/dev/null
	check 'ctime in the future: known by its content' runs 0
	in_place "$disk/a" 77
	check 'ctime in the future: a change is seen' runs 1
	check 'ctime in the future: right' image_has 77 /a
	context=$scratch/context
else
	skip 'a disk with whole seconds: no loop device here'
fi
if with_disk mkfs.vfat; then quick_changes 'vfat'; else skip 'vfat: not in this kernel'; fi
disk_gone
mkdir -p "$scratch/small"
mount -t tmpfs none "$scratch/small" && disk=$scratch/small quick_changes 'tmpfs'
disk_gone

# --- a file that is written while it is read
begin 'COPY a /big' 'RUN cat /big >/dev/null'
edit 's|COPY a|COPY big|'
head -c 4000000 /dev/zero | tr '\0' 0 >"$context/big"
(while sleep 0.001; do for c in 1 2; do head -c 4000000 /dev/zero | tr '\0' "$c" >"$context/big"; done; done) &
writer=$!
noticed=0 mixed=0
for _ in {1..20}; do
	if cbuild build -q -t image -f "$dockerfile" "$context" >"$scratch/said" 2>&1; then
		continue
	elif grep -q 'changed while it was read' "$scratch/said"; then
		noticed=$((noticed + 1))
	else
		mixed=1; cat "$scratch/said"
	fi
done
kill $writer; wait $writer 2>/dev/null
sleep 0.3 # what it started writes to its end
check 'a file that is written: no other error' equal 0 "$mixed"
check 'a file that is written: it is noticed' test "$noticed" -gt 0
echo end >"$context/big"
check 'a file that was written: right at last' eval 'build && image_has end /big'

# --- builds at once on one context
begin 'COPY dir /dir' 'RUN cat /dir/1 >/x'
wrong=''
for i in {1..10}; do
	echo "$i" >"$context/dir/1"
	for k in {1..4}; do
		cbuild build -q -t "at-once$k" -f "$dockerfile" "$context" >"$scratch/id$k" 2>&1 &
	done
	for k in {1..4}; do wait -n || wrong+=" failed$i"; done
	for k in {1..4}; do [ "$(cbuild run "at-once$k" cat /x)" = "$i" ] || wrong+=" $i/$k"; done
done
check 'four builds at once on one context: right' equal '' "$wrong"

# --- damage
begin 'COPY dir /dir' 'RUN cat /dir/1 >/x'
for name in "$store"/contexts/*; do printf x | dd of="$name" bs=1 seek=200 conv=notrunc status=none; done
check 'damaged index: nothing runs' runs 0
check 'damaged index: said' grep -q 'index of the context .* was damaged: all of it was read again' "$scratch/said"
check 'damaged index: once' eval 'runs 0 && ! grep -q damaged "$scratch/said"'
for name in "$store"/contexts/*; do truncate -s 50 "$name"; done
check 'cut index: nothing runs' runs 0
for name in "$store"/contexts/*; do : >"$name"; done
check 'empty index: nothing runs' runs 0
find "$store/steps" -type f | while read -r name; do printf x | dd of="$name" bs=1 seek=20 conv=notrunc status=none; done
check 'damaged records: all runs again' runs 2
check 'damaged records: said' grep -q 'the step is run again: .*damaged' "$scratch/said"
check 'damaged records: once' eval 'runs 0 && ! grep -q damaged "$scratch/said"'

# --- one digest
begin 'WORKDIR /w' 'COPY dir dir' 'RUN echo x >/x; rm /bin/true' 'COPY --from=base /bin/busybox /b'
build --source-date-epoch 1000000000 --iidfile "$scratch/one"
sleep 1.1
build --source-date-epoch 1000000000 --iidfile "$scratch/two" --no-cache
check 'epoch: one digest, whenever it is built' cmp "$scratch/one" "$scratch/two"
cp -r "$store/" "$scratch/store2" 2>/dev/null; rm -rf "$scratch/store2/steps"
cp -r "$context" "$scratch/elsewhere"
SOURCE_DATE_EPOCH=1000000000 "$CBUILD" --root "$scratch/store2" build -q -f "$dockerfile" --iidfile "$scratch/two" \
	"$scratch/elsewhere" >/dev/null 2>&1
check 'epoch: wherever' cmp "$scratch/one" "$scratch/two"
check 'epoch: the time of the image' says '"Created": "2001-09-09T01:46:40Z"' cbuild inspect image
edit '1iARG SOURCE_DATE_EPOCH=1000000000'
build --iidfile "$scratch/two"
check 'epoch: of a global ARG' cmp "$scratch/one" "$scratch/two"
edit 1d
build --source-date-epoch 1000000000 --rewrite-timestamp=false --iidfile "$scratch/two"
check 'epoch: files keep their times when told' fails 1 cmp -s "$scratch/one" "$scratch/two"
check 'epoch: no time' fails 1 cbuild build --build-arg SOURCE_DATE_EPOCH=today -f "$dockerfile" "$context"
check 'epoch: is named' grep -q 'SOURCE_DATE_EPOCH: expected seconds since 1970, got "today"' "$scratch/said"
begin 'COPY dir a b /x/'
for name in three four; do
	"$CBUILD" --root "$scratch/$name" import "$scratch/root.tar" base >/dev/null
	"$CBUILD" --root "$scratch/$name" build -q -t image -f "$dockerfile" "$context" >/dev/null
	"$CBUILD" --root "$scratch/$name" inspect --format '{{json .RootFS.Layers}}' image >"$scratch/layers.$name"
	sleep 1.1
done
check 'without an epoch: layers of files alone are the same' cmp "$scratch/layers.three" "$scratch/layers.four"
finish
