#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Places with less than usual: a bare chroot, root without CAP_SYS_ADMIN, users without one thing or
# another. What can be done is done; what cannot says why, and what would help, in these words.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

context=$scratch/context
root=$scratch/root
canary=cbuild-canary.$$

at_end_of_test()
{
	bare_gone
	umount "$root/proc" "$root" "$scratch/overlay/merged" "$scratch/nosuid" 2>/dev/null
	rm -f "/$canary" "$scratch/$canary"
	[ -z "${single:-}" ] || userdel --remove "$single" >/dev/null 2>&1
}

mkdir "$context"
cbuild_root "$root" || { echo "$test_name: no root" >&2; exit 1; }
tar -C "$root" --exclude=./usr --exclude='./lib*' --numeric-owner -cf "$context/busybox.tar" .
gcc -static -O1 -o "$context/escape" "$srcdir/tests/e2e/chroot_escape.c" || exit 1
for node in null:3 zero:5 full:7 random:8 urandom:9; do
	mknod -m 666 "$root/dev/${node%:*}" c 1 "${node#*:}"
done
mknod -m 666 "$root/dev/tty" c 5 0
cat >"$context/Dockerfile" <<-EOF
	FROM busybox
	COPY escape /
	RUN /escape /$canary > /where && id -u > /id
	RUN test "\$(cat /where)" = in && test ! -e /$canary
EOF
printf 'FROM busybox\nCOPY --chown=1000:5 escape /\nWORKDIR /w\n' >"$context/Copy"
chmod -R a+rX "$context"

# --- a chroot into a plain directory, without anything mounted in it

cp -a "$context" "$root/context"
touch "/$canary" "$scratch/$canary"
build='export CBUILD_ROOT=/var/lib/cbuild
	cbuild import /context/busybox.tar busybox >/dev/null && cbuild build --no-cache /context'
in_root() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" "$@"; }

check 'a bare chroot: RUN works and cannot get out' in_root sh -c "$build"
check 'nothing is left mounted' eval '! grep -q "$root" /proc/self/mountinfo'
mount -t proc proc "$root/proc"
check 'the same with /proc' in_root sh -c "$build"
umount "$root/proc"
mount --bind "$root" "$root"
check 'the same on a mount of its own' in_root sh -c "$build"
umount "$root"
check 'the same by --isolation=chroot' in_root sh -c "export CBUILD_ISOLATION=chroot; mkdir -p /tmp/p; $build"

# --- root without a capability

# less CAPABILITY COMMAND...
less() { setpriv --bounding-set "-$1" --inh-caps "-$1" "${@:2}"; }

cbuild import "$context/busybox.tar" busybox >/dev/null
check 'root without CAP_SYS_ADMIN: RUN works, in a user namespace' \
	less sys_admin "$CBUILD" --root "$store" build --no-cache "$context"
check 'info says so' says '^Isolation: root in a user namespace' less sys_admin "$CBUILD" --root "$store" info

# What a step leaves behind may belong to other users.
check 'root without CAP_KILL: --isolation=chroot is refused' fails 1 less sys_admin,-kill \
	"$CBUILD" --root "$store" build --no-cache --isolation=chroot "$context"
check 'saying what is missing' grep -q 'dac_override, fowner, kill, setgid' "$scratch/said"

# Which directories hide what is below them is written where only root of the machine can read it,
# or where all can. A store that both use must not show again what a layer removed.
# opaque NAME: Opaque makes the image, in which /d is another directory than below; List looks at it.
opaque()
{
	printf 'FROM busybox\nRUN mkdir /d && touch /d/old\nRUN rm -r /d && mkdir /d && touch /d/%s\n' "$1" >"$context/Opaque"
	printf 'FROM %s\nRUN test "$(ls -A /d)" = %s\n' "$1" "$1" >"$context/List"
}
opaque by-nested
check 'a layer of root in a user namespace' less sys_admin "$CBUILD" --root "$store" build -f "$context/Opaque" -t by-nested "$context"
check 'is what it was for root' cbuild build --no-cache -f "$context/List" "$context"
opaque by-root
check 'a layer of root' cbuild build -f "$context/Opaque" -t by-root "$context"
check 'is refused where it cannot be read' fails 1 less sys_admin "$CBUILD" --root "$store" build --no-cache -f "$context/List" "$context"
check 'saying why' grep -q 'was made by root outside of this user namespace' "$scratch/said"
off='echo 0 >/proc/sys/user/max_user_namespaces'
check 'and without user namespaces: RUN fails' fails 1 unshare --user --map-root-user sh -c \
	"$off; exec setpriv --bounding-set -sys_admin --inh-caps -sys_admin \
	'$CBUILD' --root '$store' build --no-cache '$context'"
check 'saying both reasons' grep -q 'cannot run containers here: as root: cannot create a mount namespace: Operation not permitted (CAP_SYS_ADMIN is missing, as in a container; fix: start it with --privileged); as root in a user namespace: cannot create a user namespace: No space left on device (user.max_user_namespaces is 0; fix: sudo sysctl -w user.max_user_namespaces=15000, or run as root); without namespaces: --isolation=chroot, which is weaker' "$scratch/said"

# --- what info remembers

# answers COMMAND...: of info, without the line that says whether they are remembered.
answers() { "$@" info | grep -v '^Probes:'; }
# record CHANGE: the record of them, its text changed by this expression of python, with a right crc.
record()
{
	python3 - "$1" "$store"/probes/* <<-'EOF'
		import re, sys, zlib
		with open(sys.argv[2]) as file:
		    text = eval(sys.argv[1], {"text": file.read()[18:], "re": re})
		with open(sys.argv[2], "w") as file:
		    file.write('{"crc":"%08x",%s' % (zlib.crc32(text.encode()), text))
	EOF
}
remembered='^Probes: remembered \(--no-cache tries again\)$' tried='^Probes: tried now$'
check 'info tries' says "$tried" cbuild info
check 'and remembers' says "$remembered" cbuild info
check 'the same' equal "$(answers cbuild)" "$(cbuild info --no-cache | grep -v ^Probes:)"
check 'but tries when it is told to' says "$tried" cbuild info --no-cache
check 'and says so in JSON' prints true cbuild info --format '{{.ProbesRemembered}}'
check 'a record of the same content is taken' eval 'record text && says "$remembered" cbuild info'
check 'one of another time or place is not' eval \
	'record "re.sub(r\"sha256:....\", \"sha256:0000\", text)" && says "$tried" cbuild info'
check 'nor one of a rung that is never remembered' eval \
	'record "re.sub(r\"\\\"rung\\\":.\", \"\\\"rung\\\":5\", text)" && says "$tried" cbuild info'
check 'nor a damaged one' eval 'truncate -s -1 "$store"/probes/* && says "$tried" cbuild info'
rm -f "$store"/probes/*~damaged
check 'a new tool is found at once' eval 'cbuild info >/dev/null && mkdir "$scratch/tools" &&
	cp /bin/true "$scratch/tools/pasta" &&
	says "network program +yes: $scratch/tools/pasta is used" env PATH="$scratch/tools:$PATH" "$CBUILD" --root "$store" info'
check 'and a missing one, with the fix' says \
	'network program +no: neither pasta nor slirp4netns is installed \(fix: apt-get install passt' \
	env PATH=/nonexistent "$CBUILD" --root "$store" info
check 'a missing tun device, with the fix' says 'tun device +no: open /dev/net/tun \(fix: sudo modprobe tun; in a container --device' \
	unshare --mount sh -c "mkdir -p /dev/net && mount -t tmpfs none /dev/net && exec '$CBUILD' --root '$store' info"
# Where no mount namespace can be made any more, which no switch that info knows of says.
check 'what a build finds refused is forgotten' unshare --user --map-root-user sh -c "
	'$CBUILD' --root '$store' info --no-cache >/dev/null
	'$CBUILD' --root '$store' info | grep -E '$remembered' || exit 1
	echo 0 >/proc/sys/user/max_mnt_namespaces
	'$CBUILD' --root '$store' info | grep -E '$remembered' || exit 2
	'$CBUILD' --root '$store' build --no-cache '$context' 2>/dev/null && exit 3
	'$CBUILD' --root '$store' info | tee '$scratch/now' | grep -E '$tried' || exit 4
	grep -E '^Isolation: chroot only' '$scratch/now' || exit 5
	'$CBUILD' --root '$store' info | grep -E '$tried'"

# --- where the store may not be

mkdir -p "$scratch/overlay/"{lower,upper,work,merged} "$scratch/nosuid"
mount -t overlay overlay -o "lowerdir=$scratch/overlay/lower,upperdir=$scratch/overlay/upper,workdir=$scratch/overlay/work" "$scratch/overlay/merged"
on_overlay() { "$CBUILD" --root "$scratch/overlay/merged/store" "$@"; }
on_overlay import "$context/busybox.tar" busybox >/dev/null
check 'a store on an overlayfs: COPY is built' on_overlay build -q -f "$context/Copy" "$context"
check 'RUN fails' fails 1 on_overlay build "$context"
check 'saying why' grep -q 'the store lies on an overlayfs, as in a container, and overlayfs cannot be stacked on itself (fix, one of: put the store on a volume or a tmpfs by --root or CBUILD_ROOT, or --isolation=chroot, which is weaker)' "$scratch/said"
check 'RUN works by --isolation=chroot' on_overlay build --isolation=chroot "$context"
mount -t tmpfs -o nosuid tmpfs "$scratch/nosuid"
check 'a nosuid store is told' says 'store +no: its file system is mounted nosuid: su and sudo do not work in RUN \(fix: --root on another one\)' \
	"$CBUILD" --root "$scratch/nosuid/store" info

# --- one copy of the root for all RUNs of a stage

cat >"$context/Many" <<-'EOF'
	FROM busybox
	RUN mkdir -p /a/b && echo one >/a/f && echo one >/a/secretly && cp -a /a /z
	RUN true
	COPY --chown=5:6 escape /a/b/copied
	RUN touch -r /a/secretly /ref && printf 'two\n' >/a/secretly && touch -r /ref /a/secretly && rm /ref
	WORKDIR /w
	RUN mv /a /moved && ln /z/f /z/linked && chmod 700 /z/b
	RUN rm -r /moved/b && cp /moved/secretly x && mkfifo fifo && rm /bin/zcat
	FROM busybox
	RUN true
	COPY --from=0 /w /z /copied/
	RUN cat /copied/x && rm /copied/x
EOF
chmod a+r "$context/Many"
# layers_by ISOLATION CBUILD...: the layers of that stage, in times that are always the same.
layers_by()
{
	"${@:2}" build -q --no-cache --isolation="$1" -t "$1" --build-arg SOURCE_DATE_EPOCH=1000000000 \
		--target "$target" -f "$context/Many" "$context" >/dev/null &&
		"${@:2}" inspect --format '{{json .RootFS}}' "$1"
}
by_copy=("$CBUILD" --root "$scratch/chroot-store")
"${by_copy[@]}" import "$context/busybox.tar" busybox >/dev/null
for target in 0 1; do
	check "by --isolation=chroot the RUNs of stage $target give the layers they give elsewhere" \
		prints "$(layers_by namespace cbuild)" layers_by chroot "${by_copy[@]}"
done
check 'nothing of the copies is left' equal '' "$(ls "$scratch/chroot-store/tmp")"
printf 'FROM busybox\nRUN true\nRUN echo x >/x; false\n' >"$context/Fails"
check 'a RUN fails there' fails 1 "${by_copy[@]}" build --isolation=chroot -f "$context/Fails" "$context"
check 'and nothing of the copy is left' equal '' "$(ls "$scratch/chroot-store/tmp")"

# --- users

user_ready
user_cbuild import "$context/busybox.tar" busybox >/dev/null
check 'a user with ranges: RUN works' user_cbuild build --no-cache "$context"
check 'a user by --isolation=chroot: RUN works' user_cbuild build --no-cache --isolation=chroot "$context"
by_copy=(as_user "$CBUILD" --root "$user_home/store-chroot")
"${by_copy[@]}" import "$context/busybox.tar" busybox >/dev/null
for target in 0 1; do
	check "there, too, stage $target has the layers it has elsewhere" \
		prints "$(layers_by namespace user_cbuild)" layers_by chroot "${by_copy[@]}"
done
check 'without newuidmap: RUN fails' fails 1 as_user env PATH=/nonexistent "$CBUILD" \
	--root "$user_home/store" build --no-cache "$context"
check 'saying what to install' grep -q "newuidmap: No such file or directory (fix: install it, Debian's package is uidmap)" "$scratch/said"
check 'a masked /proc: RUN fails' fails 1 unshare --mount sh -c "mount -t tmpfs tmpfs /proc/irq &&
	exec setpriv --reuid '$plain_user' --regid '$plain_user' --init-groups \
	'$CBUILD' --root '$user_home/store' build --no-cache '$context'"
check 'saying so' grep -q 'mount proc (parts of /proc are masked, as in a container; fix, one of: start it with --security-opt systempaths=unconfined (podman: unmask=ALL), or --isolation=chroot, which is weaker): Operation not permitted' "$scratch/said"
check 'by --isolation=chroot RUN works there' unshare --mount sh -c "mount -t tmpfs tmpfs /proc/irq &&
	exec setpriv --reuid '$plain_user' --regid '$plain_user' --init-groups \
	'$CBUILD' --root '$user_home/store' build --no-cache --isolation=chroot '$context'"
# --- a user without ranges: owners are recorded

mkdir -p "$scratch/many/d"
echo a >"$scratch/many/a" && echo b >"$scratch/many/d/b"
chown 1000:5 "$scratch/many/a" "$scratch/many/d" && chown 7:8 "$scratch/many/d/b"
tar -C "$scratch" -cf "$scratch/many.tar" many && chmod a+r "$scratch/many.tar"
cat >"$context/Single" <<-'EOF'
	FROM many AS base
	COPY --chown=1000:9 escape /many/added
	FROM busybox
	COPY --from=base /many /copied
	RUN echo more >> /copied/a && touch /copied/new && mv /copied/d/b /copied/d/c && ! chown 5 /copied/new
EOF
single=${plain_user}x
useradd --create-home --shell /bin/bash "$single" && sed -i "/^$single:/d" /etc/subuid /etc/subgid
single_cbuild()
{
	setpriv --reuid "$single" --regid "$single" --init-groups --reset-env -- \
		"$CBUILD" --root "/home/$single/store" "$@"
}
# owners IMAGE NAME...: what the last layer says of each name, on one line.
owners()
{
	local last

	rm -rf "$scratch/saved" && mkdir "$scratch/saved" &&
		single_cbuild save "$1" | tar -C "$scratch/saved" -xf - || return 1
	last=$(grep -oE 'blobs/sha256/[0-9a-f]+' "$scratch/saved/manifest.json" | tail -n 1)
	tar --numeric-owner -tvf "$scratch/saved/$last" |
		awk '$6 !~ /wh/ { printf "%s%s %s", sep, $6, $2; sep = ", " }'
}
single_cbuild import "$context/busybox.tar" busybox >/dev/null
single_cbuild import "$scratch/many.tar" many >/dev/null
check 'a user with a single id: RUN works' single_cbuild build -q -t out -f "$context/Single" "$context"
check 'owners are right in the layer of RUN' prints \
	'copied/ 0/0, copied/a 1000/5, copied/d/ 1000/5, copied/d/c 7/8, copied/new 0/0' owners out
check 'and in that of COPY --chown' eval \
	'single_cbuild build -q -t base --target base -f "$context/Single" "$context" >/dev/null &&
	prints "many/ 0/0, many/added 1000/9" owners base'
check 'info names what is missing' says \
	'subordinate ids +no: no range in /etc/subuid \(fix: sudo usermod --add-subuids' single_cbuild info

# --- nothing at all: no namespace, no root of one's own

# A foreign image in which much is shut, and links lead out.
python3 - "$scratch/foreign.tar" <<-'EOF'
	import io, sys, tarfile

	def add(name, kind=tarfile.REGTYPE, mode=0o644, owner=0, link="", data=b""):
	    member = tarfile.TarInfo(name)
	    member.type, member.mode, member.uid, member.gid = kind, mode, owner, owner
	    member.linkname, member.size, member.mtime = link, len(data), 1000
	    tar.addfile(member, io.BytesIO(data))

	with tarfile.open(sys.argv[1], "w") as tar:
	    add("etc", tarfile.DIRTYPE, 0o755)
	    add("etc/passwd", data=b"joe:x:1234:55::/:/bin/sh\n")
	    add("etc/shadow", mode=0, owner=42, data=b"s\n")
	    add("closed", tarfile.DIRTYPE, 0o555, 7)
	    add("closed/a", mode=0o4755, owner=9, data=b"a")
	    add("closed/b", tarfile.LNKTYPE, link="closed/a")
	    add("shut", tarfile.DIRTYPE, 0, 7)
	    add("shut/sub", tarfile.DIRTYPE, 0o1777, 3)
	    add("shut/sub/x", mode=0o400, owner=3, data=b"x")
	    add("link", tarfile.SYMTYPE, 0o777, link="/closed")
	    add("link/c", data=b"c")
	    add("out", tarfile.SYMTYPE, 0o777, link="../../../../../../..")
	    add("out/cbuild-out", data=b"o")
EOF
chmod a+r "$scratch/foreign.tar"
cat >"$context/Bare" <<-'EOF'
	FROM foreign AS b
	COPY --chown=joe:0 escape /link/new
	WORKDIR /out/w
	FROM scratch
	COPY --from=b / /all
	COPY --from=foreign /shut /shut
EOF
chmod a+r "$context/Bare"
# contents COMMAND...: members of the layers of the image that COMMAND builds, but for new times.
contents()
{
	local layer

	rm -rf "$scratch/saved" && mkdir "$scratch/saved" &&
		"$@" build -q --no-cache -t bare -f "$context/Bare" "$context" >/dev/null &&
		"$@" save bare | tar -C "$scratch/saved" -xf - || return 1
	for layer in $(grep -oE 'blobs/sha256/[0-9a-f]+' "$scratch/saved/manifest.json" | tail -n 2); do
		tar --numeric-owner -tvf "$scratch/saved/$layer"
	done | sed 's/ 20[0-9-]* [0-9:]*//'
}
bare_ready || { echo "$test_name: no bare place" >&2; exit 1; }
cbuild import "$scratch/foreign.tar" foreign >/dev/null
contents cbuild >"$scratch/want"
check 'the foreign image says what it should' grep -q '^-rwsr-xr-x 9/9 .* all/closed/a$' "$scratch/want"
for who in "$plain_user" root; do
	install -d -o "$who" "$scratch/bare-$who"
	bare() { as_bare "$who" "$CBUILD" --root "$scratch/bare-$who/store" "$@"; }
	bare import "$context/busybox.tar" busybox >/dev/null
	bare import "$scratch/foreign.tar" foreign >/dev/null
	check "nothing but files, ${who/$plain_user/a user}: no capability is left" \
		as_bare "$who" grep -q '^CapEff:.0*$' /proc/self/status
	contents bare >"$scratch/got"
	check 'COPY, WORKDIR and COPY --from of a foreign image are built as elsewhere' \
		diff "$scratch/want" "$scratch/got"
	check 'nothing is written outside' test ! -e /cbuild-out
	check 'nothing on the disk is setuid' equal '' "$(find "$scratch/bare-$who" -perm /6000)"
	check 'RUN fails' fails 1 bare build "$context"
	check 'saying why' grep -q 'user.max_user_namespaces is 0' "$scratch/said"
	check 'also by --isolation=chroot' fails 1 bare build --isolation=chroot "$context"
	check 'an image can be removed' bare rmi bare
done

check 'a user: info remembers, too' eval 'user_cbuild info --no-cache >/dev/null && says "$remembered" user_cbuild info'
check 'info names the rung of a user' says '^Isolation: user with subordinate id ranges' user_cbuild info
check 'CBUILD_ISOLATION that means nothing is a usage error' fails 2 env CBUILD_ISOLATION=magic "$CBUILD" \
	--root "$store" build "$context"

finish
