#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Other users of the same machine: what they can read, plant and hold. Each of root and a plain user is
# once the one who builds, and once the other. And other processes of the same user.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

context=$scratch/context
mkdir "$context"
printf 'FROM scratch\nCOPY file /\n' >"$context/Dockerfile"
echo data >"$context/file"

refused() { fails 1 "${@:2}" && grep -qE -- "$1" "$scratch/said"; }

# nobody_else: no entry of the store can be reached by others, whatever the umask was.
nobody_else()
{
	equal 700 "$(stat -c %a "$place")" || return
	! $other ls "$place" >/dev/null 2>&1 && ! $other cat "$place/format" >/dev/null 2>&1
}

test_store()
{
	check "$who: a store is one's own, whatever the umask" eval '(umask 000; $as "$CBUILD" --root "$place" -q -t x "$context") >/dev/null && nobody_else'
	check "$who: what is below it, too" equal '' "$(find "$place" -mindepth 1 -perm /022 -not -path '*/fs/*')"
	[ "$who" = root ] || check 'root does not use the store of a user' refused "belongs to user $(id -u "$plain_user")" \
		"$CBUILD" --root "$place" images
	[ "$who" = user ] || check "a user does not use root's store" refused 'ermission denied|belongs to user 0' \
		as_user "$CBUILD" --root "$place" images
	chmod 770 "$place"
	check "$who: a store that others can write to is refused" refused 'can be written by others' \
		$as "$CBUILD" --root "$place" images
	chmod 700 "$place"
	check "$who: and works again" $as "$CBUILD" --root "$place" images
}

# In a directory that everybody may write to, like /tmp.
test_planted()
{
	local shared=$scratch/everybody-$who

	mkdir -m 1777 "$shared"
	$other mkdir -m 777 "$shared/made"
	check "$who: a directory that somebody else made is no store" refused 'belongs to user' \
		$as "$CBUILD" --root "$shared/made" images
	$other ln -s "$shared/made" "$shared/link"
	check "$who: nor is a link to it" refused 'belongs to user' $as "$CBUILD" --root "$shared/link" images
	$as mkdir "$shared/mine" && $as touch "$shared/mine/precious"
	$other ln -s "$shared/mine" "$shared/link2"
	check "$who: a link to a directory of one's own with other things is not" refused 'is not a store: it holds' \
		$as "$CBUILD" --root "$shared/link2" images
	check "$who: nothing of it changed" equal precious "$(ls -A "$shared/mine")"
	$other mkdir -m 755 "$shared/above"
	check "$who: nor one below a directory of somebody else" eval \
		'[ "$who" = root ] || refused "ermission denied" $as "$CBUILD" --root "$shared/above/store" images'
}

# Nothing has a name that could be guessed: what is made is in the store.
test_names()
{
	[ "$who" = root ] || return 0
	check 'root: no file is made outside of the store' made_inside
	check 'root: without HOME there is no store in /tmp' eval \
		'fails 2 env -i setpriv --reuid "$plain_user" --regid "$plain_user" --clear-groups "$CBUILD" images &&
			grep -q -- "--root" "$scratch/said"'
}

made_inside()
{
	printf 'FROM busybox\nRUN --mount=type=cache,target=/c --mount=target=/b,rw echo made >/made\nCOPY file /\n' >"$context/D"
	tar -C / -c bin/busybox bin/sh | "$CBUILD" --root "$place" import - busybox >/dev/null || return
	strace -f -qq -e trace=open,openat,mkdir,mkdirat,symlink,symlinkat,mknod,mknodat,link,linkat,rename,renameat,renameat2 \
		-o "$scratch/trace" "$CBUILD" --root "$place" -q -f "$context/D" "$context" >/dev/null 2>&1
	# absolute names that are made, but for the store's own
	! grep -E 'O_CREAT|O_TMPFILE|^[0-9]+ +(mkdir|symlink|mknod|link|rename)' "$scratch/trace" |
		grep -E '\(("|AT_FDCWD, "/)|, "/(tmp|var/tmp|run|dev/shm)' | grep -vF "\"$place" |
		grep -E '"/(tmp|var/tmp|run|dev/shm)' || return 1
	grep -q O_CREAT "$scratch/trace" # it has seen something
}

# Root sees everything, so this is about a user.
test_peek()
{
	busybox_tar && $as "$CBUILD" --root "$place" import "$scratch/root.tar" busybox >/dev/null || exit 1
	printf 'FROM busybox\nRUN --mount=type=secret,id=s echo started && sleep 20\n' >"$context/Peek"
	for isolation in namespace chroot; do
		check "$who, $isolation: a build with a secret cannot be looked into by the same user" prints '' \
			$as python3 "$srcdir/tests/e2e/peek.py" "secret.$RANDOM" "$CBUILD" --root "$place" build --progress plain \
			"--isolation=$isolation" --secret id=s,env=SECRET -f "$context/Peek" "$context"
	done
}

user_ready
chmod a+rx "$context"
for who in root user; do
	as= other=as_user place=$store
	[ "$who" = root ] || as=as_user other= place=$user_home/store
	[ "$who" = root ] || other="setpriv --reuid 65534 --regid 65534 --clear-groups"
	test_store
	test_planted
	test_names
	[ "$who" = root ] || test_peek
done
finish
