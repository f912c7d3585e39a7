#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# cbuild cache: the directories of RUN --mount=type=cache are listed, and carried to another store.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

# at STORE ARGUMENT...: cbuild as $who with a store of that name.
at()
{
	local name=$1

	shift
	if [ "$who" = root ]; then
		"$CBUILD" --root "$scratch/$name" "$@"
	else
		as_user "$CBUILD" --root "$user_home/$name" "$@"
	fi
}

# step STORE TEXT: run a RUN of that text there; its last line of output.
step()
{
	printf 'FROM base\nRUN %s\n' "$2" >"$context/Dockerfile"
	at "$1" build --no-cache --progress=plain "$context" 2>&1 | sed -nE 's/^#[0-9]+ [0-9.]+ //p' | tail -n 1
}

# evil NAME PYTHON: an archive that nobody exported; t is the tarfile, scope a scope's name.
evil()
{
	python3 - "$scratch/$1.tar" <<-EOF
		import io, sys, tarfile
		def add(name, kind=tarfile.REGTYPE, data=b"x", link=""):
		    i = tarfile.TarInfo(name); i.type = kind; i.size = len(data) if kind == tarfile.REGTYPE else 0
		    i.linkname = link; i.mode = 0o755
		    t.addfile(i, io.BytesIO(data) if kind == tarfile.REGTYPE else None)
		D, L, H = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
		scope = "a" * 64
		with tarfile.open(sys.argv[1], "w") as t:
		    $2
	EOF
}

unchanged() { equal "$before" "$(at two cache ls --format json)"; }

context=$scratch/context
mkdir -p "$context" "$scratch/root/bin"
cp "$(command -v busybox)" "$scratch/root/bin/busybox"
for applet in sh cat echo mkdir ln stat chown mkfifo; do ln -s busybox "$scratch/root/bin/$applet"; done
tar -C "$scratch/root" -cf "$scratch/root.tar" .
user_ready
mount='--mount=type=cache,target=/c,id=one'
for who in root user; do
	for name in one two; do at "$name" import "$scratch/root.tar" base >/dev/null || exit 1; done
	check "$who: nothing to list" prints 'ID        SCOPE     COPIES    SIZE      LAST USED' at one cache ls
	check "$who: nothing to export" at one cache export "/dev/null"
	step one "$mount echo first >/c/f && ln /c/f /c/hard && ln -s f /c/soft && chown 7:8 /c/f && mkdir -p /c/d/e" >/dev/null
	step one '--mount=type=cache,target=/c,id=../two echo second >/c/f' >/dev/null
	step one '--mount=type=cache,target=/c,id=../two,mode=700 echo third >/c/f' >/dev/null
	check "$who: lists ids" says '^one +[0-9a-f]{12} +1 +[0-9.]+kB +Less than a second ago|seconds? ago' at one cache ls
	check "$who: of one id, two scopes" equal 2 "$(at one cache ls | grep -c '^\.\./two ')"
	check "$who: as JSON" equal "$(printf '../two\n../two\none')" \
		"$(at one cache ls --format json | python3 -c 'import json, sys
for mount in json.load(sys.stdin): assert mount["size"] > 0 and mount["used"] and mount["copies"] == 1; print(mount["id"])')"

	out=$scratch/$who.tar.zst
	check "$who: exports all" eval "at one cache export - >'$out'"
	check "$who: it is zstd" equal 28b52ffd "$(head -c 4 "$out" | od -An -tx1 | tr -d ' ')"
	check "$who: imports" eval "at two cache import - <'$out'"
	check "$who: the other store has them" equal "$(at one cache ls | cut -c1-60 | sed 's/  [0-9].*//')" \
		"$(at two cache ls | cut -c1-60 | sed 's/  [0-9].*//')"
	check "$who: a step finds what was in it" equal 'first 7:8 2 first' \
		"$(step two "$mount echo \$(cat /c/hard) \$(stat -c %u:%g /c/f) \$(stat -c %h /c/f) \$(cat /c/soft)")"
	check "$who: and the scopes are theirs" equal third \
		"$(step two '--mount=type=cache,target=/c,id=../two,mode=700 cat /c/f')"

	step one "$mount echo newer >/c/f" >/dev/null
	step two '--mount=type=cache,target=/c,id=../two echo mine >/c/f' >/dev/null
	check "$who: exports one id" eval "at one cache export --id one - >'$scratch/$who.one'"
	check "$who: imports it over the old one" eval "at two cache import - <'$scratch/$who.one'"
	check "$who: that is the new one" equal newer "$(step two "$mount cat /c/f")"
	check "$who: the others are as they were" equal mine \
		"$(step two '--mount=type=cache,target=/c,id=../two cat /c/f')"
	check "$who: an id that is not there" fails 1 at one cache export --id nosuch -
	check "$who: is named" grep -q 'no cache mount has the id "nosuch"' "$scratch/said"

	before=$(at two cache ls --format json)
	while IFS='|' read -r name script; do
		evil "$name" "$script"
		check "$who: an archive with $name is refused" eval "fails 1 at two cache import - <'$scratch/$name.tar'"
		check "$who: $name changed nothing" unchanged
	done <<-'EOF'
		a-file-beside|add("README")
		no-id|add(scope, D); add(scope + "/0", D)
		another-name|add(scope, D); add(scope + "/id"); add(scope + "/x", D)
		a-number-that-is-none|add(scope, D); add(scope + "/id"); add(scope + "/01", D)
		a-file-for-a-directory|add(scope, D); add(scope + "/id"); add(scope + "/0")
		a-link-for-a-directory|add(scope, D); add(scope + "/id"); add(scope + "/0", L, link="/etc")
		a-link-for-a-scope|add(scope, L, link="../../../..")
		a-link-for-an-id|add(scope, D); add(scope + "/id", L, link="/etc/passwd"); add(scope + "/0", D)
		a-zero-byte-in-an-id|add(scope, D); add(scope + "/id", data=b"a\0b"); add(scope + "/0", D)
		a-short-scope|add("abc", D); add("abc/id"); add("abc/0", D)
	EOF
	evil escape 'add(scope, D); add(scope + "/id"); add(scope + "/0", D); add(scope + "/0/l", L, link="/"); add(scope + "/0/l/escaped")'
	eval "at two cache import - <'$scratch/escape.tar'" >/dev/null 2>&1
	check "$who: nothing escapes" test ! -e /escaped
	head -c 100 "$out" >"$scratch/cut"
	check "$who: a cut archive is refused" eval "fails 1 at two cache import - <'$scratch/cut'"

	check "$who: cache without a word" fails 2 at one cache
	check "$who: cache with another" fails 2 at one cache prune
	check "$who: export without a file" fails 2 at one cache export
	check "$who: ls with a file" fails 2 at one cache ls x
done

# a rename that fails takes nothing away, where two directories can change places and where not
who=root
step one "$mount echo newest >/c/f" >/dev/null
at one cache export --id one - >"$scratch/newest"
place=mounts/$(basename "$(dirname "$(grep -lx one "$scratch"/two/mounts/*/id)")")/0
import_with() # INJECTION...: of what strace is told
{
	strace -f -qq -o "$scratch/trace" -P "$place" -e trace=renameat,renameat2 "${@/#/--inject=}" \
		"$CBUILD" --root "$scratch/two" cache import "$scratch/newest"
}
if strace -o /dev/null true 2>/dev/null; then
	old=$(step two "$mount cat /c/f")
	check 'directories do not change places' fails 1 import_with renameat2:error=EIO
	check 'and the old one is there' equal "$old" "$(step two "$mount cat /c/f")"
	check 'the second of two renames fails' \
		fails 1 import_with renameat2:error=EINVAL renameat:error=EIO:when=2
	check 'and the old one is back' equal "$old" "$(step two "$mount cat /c/f")"
	check 'two renames' import_with renameat2:error=EINVAL
	check 'and the new one is there' equal newest "$(step two "$mount cat /c/f")"
else
	skip 'a rename that fails: strace may not trace here'
fi

# a step that has it mounted is waited for
printf 'FROM base\nRUN %s echo begun >/c/f; while [ ! -e /c/go ]; do :; done; echo done >/c/f\n' "$mount" >"$context/Dockerfile"
at one build "$context" >/dev/null 2>&1 &
build=$!
dir=$(dirname "$(grep -lx one "$scratch"/one/mounts/*/id)")
wait_until 10 grep -qx begun "$dir/0/f"
at one cache export --id one "$scratch/waited" 2>/dev/null &
export=$!
sleep 0.3
check 'an export waits for the step' kill -0 "$export"
touch "$dir/0/go"
check 'until it is done' wait "$export"
wait "$build"
at two cache import "$scratch/waited" >/dev/null 2>&1
check 'and has what it left' equal 'done' "$(step two "$mount cat /c/f")"
finish
