#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Bad input gets one clear message that names the file and line or the reference, exit status 1 (2
# for the command line), and leaves nothing half done.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

context=$scratch/context
mkdir "$context"
echo data >"$context/file"

# refused STATUS PATTERN COMMAND...: it fails so and says so, and the store is as it was.
refused()
{
	local status=$1 pattern=$2 before after

	shift 2
	before=$(cbuild images)
	fails "$status" "$@" || return
	after=$(cbuild images)
	grep -qE -- "$pattern" "$scratch/said" || { echo "does not say $pattern:"; cat "$scratch/said"; return 1; }
	! grep -E 'ssertion|Sanitizer|core dumped|\(null\)' "$scratch/said" || return
	equal "$before" "$after" && equal '' "$(ls -A "$store/tmp" 2>/dev/null)"
}

# bad WHAT PATTERN: the Dockerfile on standard input does not build.
bad()
{
	cat >"$context/Dockerfile"
	check "$1" refused 1 "$2" cbuild -t bad "$context"
}

bases_registry
cbuild pull busybox >/dev/null 2>&1

bad 'unknown instruction' 'Dockerfile:2:1: .*RUNN' <<<$'FROM busybox\nRUNN true'
check 'unknown instruction: the line and a caret' grep -qE '^[ |]+\^' "$scratch/said"
check 'unknown instruction: a suggestion' grep -q 'RUN\b' "$scratch/said"
bad 'unknown flag of an instruction' 'Dockerfile:3:.*bogus' <<<$'FROM busybox\n\nCOPY --bogus=1 file /'
bad 'missing argument' 'Dockerfile:2:' <<<$'FROM busybox\nCOPY file'
bad 'nothing but comments' 'Dockerfile' <<<'# nothing'
bad 'instruction before FROM' 'Dockerfile:1:' <<<'RUN true'
bad 'missing source' 'Dockerfile:2.*nosuch|nosuch.*Dockerfile:2' <<<$'FROM busybox\nCOPY nosuch /'
bad 'source outside of the context' 'Dockerfile:2' <<<$'FROM busybox\nCOPY ../../etc/passwd /'
bad 'missing stage' 'Dockerfile:2.*nostage|nostage.*Dockerfile:2' <<<$'FROM busybox\nCOPY --from=7nostage / /'
bad 'missing base' 'nosuch/base' <<<'FROM nosuch/base:1'
bad 'bad reference' 'Dockerfile:1.*UPPER' <<<'FROM UPPER/Case'
bad 'failing step' 'Dockerfile:3.*exit (code|status):? 3|status 3' <<<$'FROM busybox\nRUN true\nRUN exit 3'
bad 'no such user' 'Dockerfile:3|nosuchuser' <<<$'FROM busybox\nUSER nosuchuser\nRUN true'

echo 'FROM busybox' >"$context/Dockerfile"
check 'missing context' refused 1 "$scratch/nosuch" cbuild -t bad "$scratch/nosuch"
mkdir "$scratch/empty"
check 'missing Dockerfile' refused 1 'Dockerfile' cbuild -t bad "$scratch/empty"
check 'missing -f' refused 1 'nosuch.file' cbuild -t bad -f "$context/nosuch.file" "$context"
check 'missing target' refused 1 'nosuchstage' cbuild --target nosuchstage "$context"

# The command line: 2.
check 'unknown flag' refused 2 '--bogus' cbuild build --bogus "$context"
check 'unknown flag of another command' refused 2 '--bogus' cbuild images --bogus
check 'flag without its value' refused 2 '-t|--tag' cbuild build "$context" -t
check 'no context' refused 2 . cbuild build
check 'two contexts' refused 2 . cbuild build "$context" "$context"
check 'pull of nothing' refused 2 . cbuild pull
check 'no such image: tag' refused 1 nosuch cbuild tag nosuch x
check 'no such image: rmi' refused 1 nosuch cbuild rmi nosuch
check 'no such image: push' refused 1 nosuch cbuild push nosuch
check 'no such image: save' refused 1 nosuch cbuild save -o "$scratch/x.tar" nosuch
check 'save leaves no file' [ ! -e "$scratch/x.tar" ]
check 'load of no archive' refused 1 . eval 'head -c 100000 /dev/urandom | cbuild load'
check 'load of a cut archive' refused 1 . \
	eval 'cbuild save busybox | head -c 100000 >"$scratch/cut.tar"; cbuild load -i "$scratch/cut.tar"'
check 'import of a cut tar' refused 1 . \
	eval 'tar -C /bin -cf "$scratch/whole.tar" busybox; head -c 100000 "$scratch/whole.tar" | cbuild import - cut'

# A file that cannot be read: as root there is none.
user_ready
user_context=$scratch/user-context
cp -r "$context" "$user_context"
printf 'FROM scratch\nCOPY . /\n' >"$user_context/Dockerfile"
chown -R "$plain_user" "$user_context"
chmod 0 "$user_context/file"
check 'unreadable file: named' fails 1 user_cbuild -t bad "$user_context"
check 'unreadable file: which, and why' grep -qE 'file.*[Pp]ermission denied' "$scratch/said"
check 'unreadable file: nothing left' equal '' "$(ls -A "$user_home/store/tmp" 2>/dev/null)"
chmod 0 "$user_context"
check 'unreadable context' fails 1 user_cbuild -t bad "$user_context"
check 'unreadable context: named' grep -qE "user-context.*[Pp]ermission denied" "$scratch/said"

# Registries that are down, do not have it, or send something else.
port=$(free_port)
check 'registry down: pull' refused 1 "localhost:$port/u/x" cbuild pull "localhost:$port/u/x"
check 'registry down: why' grep -qiE 'refused|connect' "$scratch/said"
bad 'registry down: FROM' "localhost:$port/u/x" <<<"FROM localhost:$port/u/x"
check 'registry down: push' eval 'cbuild tag busybox "localhost:$port/u/x" &&
	refused 1 "localhost:$port/u/x" cbuild push "localhost:$port/u/x"'
zeros=$(printf '%064d' 0)
bad 'digest that nobody has' "$zeros" <<<"FROM $registry/library/busybox@sha256:$zeros"
bad 'tag that nobody has' "$registry/library/busybox:nosuch" <<<"FROM $registry/library/busybox:nosuch"

# Same size, other bytes, in a copy: the registry's files are hard links to the kept bases.
layer=$(skopeo inspect --tls-verify=false --format '{{index .Layers 0}}' "docker://$registry/library/busybox")
blob=$scratch/registry/docker/registry/v2/blobs/sha256/${layer:7:2}/${layer:7}/data
cp "$blob" "$blob.new" && printf X | dd of="$blob.new" bs=1 seek=1000 conv=notrunc status=none
mv "$blob.new" "$blob"
store=$scratch/store-digest
check 'wrong digest' refused 1 "${layer:7:12}" cbuild pull busybox

# A disk that is full. What was there still works, and so does the next build.
mkdir "$scratch/small"
mount -t tmpfs -o size=12M tmpfs "$scratch/small"
store=$scratch/small/store
tar -C / -c bin/busybox | cbuild import - tiny >/dev/null 2>&1
head -c 30000000 /dev/urandom >"$context/big"
bad 'disk full: COPY' 'No space left' <<<$'FROM tiny\nCOPY big /'
bad 'disk full: RUN' 'No space left|status' \
	<<<$'FROM tiny\nRUN ["/bin/busybox", "dd", "if=/dev/zero", "of=/zero", "bs=1M", "count=30"]'
check 'disk full: import' refused 1 'No space left' eval 'tar -C "$context" -c big | cbuild import - big'
rm "$context/big"
printf 'FROM tiny\nCOPY file /\nCMD ["/bin/busybox", "cat", "/file"]\n' >"$context/Dockerfile"
check 'disk full before: builds now' cbuild -t good "$context"
check 'disk full before: runs' prints data cbuild run good
umount "$scratch/small"
finish
