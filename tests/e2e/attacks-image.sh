#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Images that mean harm (hostile_images.py), built from, loaded and pulled, as root and as a plain
# user: nothing outside of the root changes or shows, and what is refused says why. The numbers are
# those of docs/security.md.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

at_end_of_test() { bare_gone; }

canary=$scratch/canary
images=$scratch/images
secret=host-secret-$RANDOM$RANDOM

# Programs that an image or a directory of PATH offers to whoever looks for a decompressor.
fake_programs()
{
	local name

	mkdir "$scratch/fake"
	for name in gzip gunzip unpigz pigz xz unxz zstd unzstd tar bzip2; do
		printf '#!/bin/sh\ntouch %s/ran-%s\n' "$canary" "$name" >"$scratch/fake/$name"
	done
	chmod -R a+rx "$scratch/fake"
}

new_canary()
{
	mkdir -p "$canary"
	echo outside >"$canary/file"
	chmod 700 "$canary"
	chmod 600 "$canary/file"
	[ "$who" = root ] || chown -R "$plain_user:" "$canary"
	canary_was=$(canary_state)
}

canary_state() { find "$canary" "$canary/file" -printf '%p %m %u %g %s %n %l %T@\n'; cat "$canary/file"; }

# build NAME LINE...: FROM the image, and the lines.
build()
{
	printf '%s\n' 'FROM evil' "${@:2}" >"$context/Dockerfile"
	mine --progress=plain --no-cache -t "built-$1" --build-context "evil=oci-layout://$images/$1" "$context"
}

# mine ARGUMENT...: cbuild by the user whose turn it is, with a secret and false friends around it.
mine()
{
	$as env HOST_SECRET="$secret" PATH="$scratch/fake:$PATH" timeout 60 "$CBUILD" --root "$place" "$@"
}

unharmed()
{
	equal "$canary_was" "$(canary_state)" || return 1
	equal '' "$(ls -A "$place/tmp")" || return 1
	! grep -E 'ssertion|Sanitizer|core dumped|\(null\)|signal 11' "$scratch/said"
}

# tame WHAT NAME COMMAND OUTPUT: a RUN in the image prints OUTPUT, and nothing outside changed.
tame()
{
	check "$who: $1" in_image "${@:2}"
}

in_image()
{
	build "$1" "RUN echo '<'\$( ($2) 2>&1)'>'" >"$scratch/said" 2>&1 || { cat "$scratch/said"; return 1; }
	grep -qF -- " <$3>" "$scratch/said" || { cat "$scratch/said"; return 1; }
	unharmed
}

# refused WHAT NAME PATTERN [LINE...]: a build is an error that says so.
refused()
{
	check "$who: $1" not_built "${@:2}"
}

not_built()
{
	local name=$1 pattern=$2

	shift 2
	[ $# -gt 0 ] || set -- 'RUN true'
	fails 1 build "$name" "$@" || return
	grep -qE -- "$pattern" "$scratch/said" || { echo "does not say $pattern"; cat "$scratch/said"; return 1; }
	unharmed
}

# peak COMMAND...: its exit status, and on the last line the kilobytes of its largest process and the
# seconds of processor time of all.
peak()
{
	$as /usr/bin/python3 -c 'import resource, subprocess, sys
status = subprocess.run(sys.argv[1:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_maxrss, int(used.ru_utime + used.ru_stime))
sys.exit(status)' "$@"
}

# tried NAME: built from or refused, without a crash.
tried()
{
	build "$1" 'COPY f /d/' 'WORKDIR /up/w' 'FROM scratch' 'COPY --from=0 / /all' >"$scratch/said" 2>&1
	[ $? -le 1 ] || { cat "$scratch/said"; return 1; }
}

test_names()
{
	tame '1: ../ and absolute names' climb "cat $canary/climbed $canary/absolute" 'in in'
	tame '2: through a link of the same layer' link-parent "cat $canary/through" in
	tame '3: a directory replaces the link of a layer below' link-parent-later \
		'[ ! -L /d ] && cat /d/through' in
	tame '3: and so does one that is only implied' link-parent-implied 'cat /d/through' in
	tame 'a file replaces a link' link-overwritten '[ ! -L /f ] && cat /f' in
	refused '4: a hard link out' hard-out 'not in the layer'
	refused '4: a hard link to nothing' hard-missing 'not in the layer'
	tame '5: a hard link with an absolute target' hard-absolute 'cat /h; stat -c %h /h' 'in 2'
	tame 'a hard link to a link, written over' hard-to-link '[ ! -L /h ] && cat /h; readlink /s' \
		"in $canary/file"
	refused 'a hard link with content' hard-with-content 'has content'
	refused '8: a root that is a link' root-is-a-link 'root entry'
}

test_whiteouts()
{
	refused '9: .wh.' whiteout-empty 'invalid whiteout'
	refused '9: .wh..' whiteout-dot 'invalid whiteout'
	refused '9: .wh...' whiteout-dots 'invalid whiteout'
	tame 'whiteouts through a link' whiteout-by-link 'echo in' in
	tame '11: a whiteout and a file, in both orders' whiteout-and-file 'cat /f /g' 'in in'
	tame 'bookkeeping of AUFS' aufs 'ls -A / | grep wh' ''
	refused 'a character device 0:0' char-0-0 'character device 0:0'
	tame '12: overlay.opaque hides nothing' opaque 'ls /d' 'lower upper'
	tame 'overlay.redirect shows nothing' redirect 'ls -A /r; ls -d /secret' \
		'ls: /secret: No such file or directory'
	tame 'overlay.metacopy shows nothing' metacopy 'wc -c </m' 0
	tame 'overlay.whiteout hides nothing' whiteout-xattr 'ls /d' f
}

test_owners()
{
	refused 'uid 4294967295' uid-minus-one 'owner of f is out of range'
	refused 'uid 4294967296' uid-too-large 'owner of f is out of range|corrupt'
	refused 'uid -1' uid-negative 'owner of f is out of range|corrupt'
	if [ "$who" = root ]; then
		tame '17: uid 200000' uid-200000 'stat -c %u /f' 200000
		tame '15: devices of a layer cannot be opened' devices \
			'for d in b mem; do head -c 1 /devs/$d && echo read; done 2>&1 | sed "s/.*: //"; ls /devs' \
			'Permission denied Permission denied b mem'
	else
		refused '17: uid 200000' uid-200000 'owned by 200000:.*/etc/subuid'
		tame '15: devices of a layer are not there' devices 'ls -A /devs' ''
	fi
	check "$who: 12, 15: layers are handed on as they came" same_layers opaque devices redirect
	tame 'setuid files' setuid 'stat -c %a /suid' 6755
	check "$who: setuid files are behind a directory that is its owner's alone" \
		equal 700 "$(stat -c %a "$place")"
}

# The bytes of the last layer are in the archive of what was built on it.
same_layers()
{
	local name digest

	for name; do
		digest=$(python3 -c 'import json, sys
top = json.load(open(sys.argv[1] + "/index.json"))["manifests"][0]["digest"][7:]
print(json.load(open(sys.argv[1] + "/blobs/sha256/" + top))["layers"][-1]["digest"][7:])' "$images/$name")
		mine save --format oci -o "$shared/saved.tar" "built-$name" >/dev/null || return
		layers_of "$shared/saved.tar" >"$scratch/layers" || return
		grep -qx "layer $digest" "$scratch/layers" || { echo "$name: no $digest"; return 1; }
	done
}

test_sizes()
{
	check "$who: 19: 10 GiB of zeros, limit 1 GiB" bomb CBUILD_MAX_LAYER_SIZE=1g
	check "$who: 19: the same, pulled" eval 'mine pull "$registry/evil/zeros-10g" && pulled_bomb'
	refused 'a sparse file of 2^60 bytes' sparse-bomb 'unpacks to more'
	refused '20: a negative size' size-negative 'bad size|corrupt'
	refused '20: a size of 2^62' size-2-62 'ends in the middle|unpacks to more'
	refused '20: a size of -1 by pax' size-pax 'size|corrupt'
	refused '20: a pax header of 200 MiB' pax-200m 'larger than'
	refused '20: a tar that ends early' truncated 'ends|cut|short'
	refused '20: a wrong checksum' checksum checksum
	refused 'a component of 300 bytes' name-too-long 'too long'
	tame '23: a component of 255 bytes' name-255 'ls / | grep -c nnn' 1
	[ "$who" = user ] || test_deep # the user has 3500, which are enough: it is slow
	tame '23: deep by a link' deep-by-link 'p=$(for i in $(seq 1500); do printf e/; done); cd /w && cd -P $p && cat f' in
	refused '23: a path of 66000 bytes' path-too-long 'too long'
}

test_deep()
{
	tame '23: 5000 directories deep' deep \
		'for i in 1 2 3 4 5; do cd -P ./$(for i in $(seq 1000); do printf d/; done); done; cat f; echo 2 >g' in
	check "$who: 23: they are layers again" deep_again
}

# What the last step added 5000 directories deep: handed on, taken, and removed.
deep_again()
{
	mine save --format oci -o "$shared/deep.tar" built-deep >/dev/null || return
	$as "$CBUILD" --root "$shared/store" load -i "$shared/deep.tar" >/dev/null || return
	# shellcheck disable=SC2016 # for the shell in the image
	prints 'in 2' $as "$CBUILD" --root "$shared/store" run built-deep sh -c 'cd /
		for i in 1 2 3 4 5; do cd -P ./$(for i in $(seq 1000); do printf d/; done); done; echo $(cat f g)' || return
	$as "$CBUILD" --root "$shared/store" rmi built-deep >/dev/null && equal '' "$(ls -A "$shared/store/trees")"
}

bomb()
{
	local rss seconds

	printf 'FROM evil\nRUN true\n' >"$context/Dockerfile"
	fails 1 peak env "$@" "$CBUILD" --root "$place" --build-context "evil=oci-layout://$images/zeros-10g" \
		"$context" || return
	read -r rss seconds < <(tail -n 1 "$scratch/said")
	grep -q 'unpacks to more than 1073741824 bytes' "$scratch/said" || { cat "$scratch/said"; return 1; }
	[ "$seconds" -le 5 ] || { echo "took $seconds s"; return 1; }
	[ "$rss" -lt 65536 ] || { echo "$rss kB"; return 1; }
	unharmed
}

pulled_bomb()
{
	fails 125 peak "$CBUILD" --root "$place" --max-layer-size 1g run "$registry/evil/zeros-10g" true || return
	grep -q 'unpacks to more than 1073741824 bytes' "$scratch/said" || { cat "$scratch/said"; return 1; }
	[ "$(tail -n 1 "$scratch/said" | cut -d " " -f 1)" -lt 65536 ] || { cat "$scratch/said"; return 1; }
	unharmed
}

test_accounts()
{
	refused '25: passwd is a FIFO' passwd-fifo 'not a regular file|/etc/passwd' 'USER root' 'RUN true'
	refused '25: passwd is /proc/self/mem' passwd-mem '/etc/passwd' 'USER root' 'RUN true'
	refused '25: passwd is /dev/zero' passwd-zero '/etc/passwd' 'USER root' 'RUN true'
	refused '25: passwd is a file of the host' passwd-out '/etc/passwd' 'USER root' 'RUN true'
	refused '25: passwd has 11 MiB' passwd-huge '/etc/passwd.*larger' 'USER root' 'RUN true'
	refused '25: the same for COPY --chown' passwd-fifo '/etc/passwd' 'COPY --chown=root f /'
	tame 'a user whose name is a number' user-number 'id -u' 1000
	refused 'user 2^32' user-2-32 'out of range'
	refused 'user 2^32-1' user-minus-one 'out of range'
	refused 'user 0x0' user-hex '0x0'
	tame "groups are the image's, none of the host's" user-member 'id -u; id -G' '7 8 9'
	tame '27: variables without a value' env 'env | grep -v -e ^PWD -e ^SHLVL | sort' 'HOME=/root PATH=/bin'
	check "$who: 27: nothing of the environment" eval '! grep -F "$secret" "$scratch/said"'
}

test_places()
{
	local name

	for name in dev proc sys; do
		refused "28: /$name is a link" "$name-link" "not a directory: $name"
	done
	tame 'resolv.conf is a link' resolv-link 'grep -c outside /etc/resolv.conf; readlink /etc/resolv.conf' 0
	refused 'etc is a link to a directory of the host' etc-link 'leads nowhere: /etc'
	refused '30: WORKDIR /proc/self/fd/7' workdir-fd '/proc/self/fd/7'
	refused '30: WORKDIR is a link to a directory of the host' workdir-link '/w|File exists'
	refused '30: WORKDIR is below such a link' workdir-below-link '/w'
	tame '30: WORKDIR climbs' workdir-up 'pwd' "$canary"
	refused '30: WORKDIR of the Dockerfile too' climb '/proc/self/fd/7' 'WORKDIR /proc/self/fd/7' 'RUN true'
}

test_documents()
{
	refused 'ONBUILD of ONBUILD' onbuild-onbuild 'ONBUILD'
	refused '501 layers' layers-501 '500|layers'
	refused 'a layer with another diff_id' diff-id 'expected sha256:0000'
	refused 'manifest and index in one' manifest-and-index 'manifests'
	refused 'a path as digest' digest-path 'digest'
	refused 'a layer with other bytes' layer-lies 'expected sha256|is sha256'
}

# What comes by a registry or in an archive is unpacked by the same code: one of each.
test_pull()
{
	check "$who: 1: pulled" eval 'mine pull "$registry/evil/climb" >"$scratch/said" 2>&1 && unharmed'
	check "$who: 1: pulled and run" prints 'in' mine run "$registry/evil/climb" cat "$canary/climbed"
	check "$who: 4: pulled" eval 'mine pull "$registry/evil/hard-out" >"$scratch/said" 2>&1;
		! mine run "$registry/evil/hard-out" true >"$scratch/said" 2>&1 && grep -q "not in the layer" "$scratch/said" && unharmed'
	check "$who: a wrong diff_id, pulled" eval 'mine pull "$registry/evil/diff-id" >"$scratch/said" 2>&1;
		fails 125 mine run "$registry/evil/diff-id" true && grep -q "expected sha256:0000" "$scratch/said" && unharmed'
	check "$who: 1: loaded" eval 'tar -C "$images/climb" -cf "$shared/climb.tar" . && chmod a+r "$shared/climb.tar" &&
		mine load -i "$shared/climb.tar" >"$scratch/said" 2>&1 && unharmed'
	check "$who: 4: imported" eval 'fails 1 mine import "$shared/hard.tar" hard || mine run hard true >"$scratch/said" 2>&1;
		grep -qE "not in the layer" "$scratch/said" && unharmed'
}

mkdir "$images"
busybox_tar
python3 "$srcdir/tests/e2e/hostile_images.py" "$scratch/root.tar" "$images" "$canary" || exit 1
chmod -R a+rX "$images"
python3 - "$scratch/hard.tar" "$canary" <<-'EOF'
	import sys, tarfile
	with tarfile.open(sys.argv[1], "w") as tar:
	    link = tarfile.TarInfo("h"); link.type = tarfile.LNKTYPE
	    link.linkname = "../" * 12 + sys.argv[2].lstrip("/") + "/file"
	    tar.addfile(link)
EOF
registry_start "$scratch" || exit 1
for name in climb hard-out diff-id zeros-10g; do
	skopeo copy -q --dest-tls-verify=false "oci:$images/$name:latest" "docker://$registry/evil/$name:latest" || exit 1
done
user_ready
context=$scratch/context
mkdir "$context"
echo f >"$context/f"
for who in root user; do
	as= place=$store
	[ "$who" = root ] || as=as_user place=$user_home/store
	shared=$scratch/shared-$who
	mkdir "$shared" && cp "$scratch/hard.tar" "$shared/"
	[ "$who" = root ] || chown -R "$plain_user:" "$shared"
	new_canary
	[ "$who" = user ] || fake_programs
	for part in names whiteouts owners sizes accounts places documents pull; do
		"test_$part"
	done
done
# Where nobody may have a root of his own, nothing is run; unpacked and looked into they all are.
bare_ready || { echo "$test_name: no bare place" >&2; exit 1; }
as="as_bare $plain_user" place=$user_home/bare
for name in $(ls "$images"); do
	check "no rights: $name is harmless" eval 'tried "$name" && unharmed'
done
check 'no decompressor of somebody else was run' equal '' "$(ls "$canary" | grep ran-)"
finish
