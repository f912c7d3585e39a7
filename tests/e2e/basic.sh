#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every command on a machine that has nothing but a root tar: no registry, no daemon, no network.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

context=$scratch/context
mkdir "$context"

dockerfile() { cat >"$context/${1:-Dockerfile}"; }

busybox_tar()
{
	mkdir -p "$scratch/root/bin" "$scratch/root/etc"
	echo 'root:x:0:0:root:/root:/bin/sh' >"$scratch/root/etc/passwd"
	cp /bin/busybox "$scratch/root/bin/"
	chroot "$scratch/root" /bin/busybox --install -s /bin
	tar -C "$scratch/root" --numeric-owner -cf "$scratch/root.tar" .
}

# one_id COMMAND...: its standard output is one image id and nothing else.
one_id() { says '^sha256:[0-9a-f]{64}$' "$@" && [ "$("$@" 2>/dev/null | wc -l)" = 1 ]; }

check 'version' says 'cbuild (version )?[0-9]+\.[0-9]' cbuild version
check '--version' says 'cbuild (version )?[0-9]+\.[0-9]' "$CBUILD" --version
check 'info' says . cbuild info
check '--help' says '[Uu]sage' "$CBUILD" --help

busybox_tar
check 'import - NAME:TAG' one_id eval 'cbuild import - busybox:1 <"$scratch/root.tar"'
check 'import FILE NAME' one_id cbuild import "$scratch/root.tar" busybox

dockerfile <<-'EOF'
	FROM busybox AS first
	ARG WHO=nobody
	RUN echo "hello $WHO" > /hello
	FROM first AS second
	ENV V=1
	LABEL colour=green
	WORKDIR /work
	CMD ["cat", "/hello"]
EOF
check 'cbuild -t' cbuild -t p1 "$context"
check 'run' prints 'hello nobody' cbuild run p1
check 'build is the default word' equal "$(cbuild build -q "$context")" "$(image_id p1)"
check '-q prints the id alone' one_id cbuild build -q "$context"
check 'from the current directory' eval '(cd "$context" && cbuild -t p1-here .)'
check 'two -t, --build-arg' cbuild -t p2 -t u/p2:x --build-arg WHO=you "$context"
check 'both names are one image' equal "$(image_id p2)" "$(image_id u/p2:x)"
check '--build-arg reaches RUN' prints 'hello you' cbuild run u/p2:x
check '--target' cbuild -t p3 --target first "$context"
check '--target leaves out what follows' fails 0 eval '! cbuild inspect p3 | grep -q V=1'
check '--iidfile' cbuild --iidfile "$scratch/iid" -t p1 "$context"
check 'the file has the id' equal "$(cat "$scratch/iid")" "$(image_id p1)"
check '--label' cbuild --label size=small -t p4 "$context"
check 'both labels are there' eval 'cbuild inspect p4 | grep -q small && cbuild inspect p4 | grep -q green'
dockerfile Other <<-'EOF'
	FROM busybox
	RUN date +%N > /stamp
EOF
check '-f, in the context' cbuild -f "$context/Other" -t stamp "$context"
check '-f, outside of it' eval 'mkdir "$scratch/empty" && cbuild -f "$context/Other" "$scratch/empty"'
old=$(image_id stamp)
check '--no-cache' cbuild --no-cache -f "$context/Other" -t stamp "$context"
check '--no-cache runs again' eval '[ "$old" != "$(image_id stamp)" ]'
check '--progress=plain shows steps' eval \
	'cbuild --progress=plain --no-cache -t p1 "$context" 2>&1 | grep -q "RUN echo"'
check '--progress=quiet says nothing' prints '' eval 'cbuild --progress=quiet -t p1 "$context" 2>&1 >/dev/null'

check 'run -e' prints bar cbuild run -e FOO=bar p1 sh -c 'echo $FOO'
check 'run: ENV and WORKDIR of the image' prints '1 /work' cbuild run p1 sh -c 'echo $V $PWD'
check 'run -w' prints /etc cbuild run -w /etc p1 pwd
check 'run -u' prints '7 8' cbuild run -u 7:8 p1 sh -c 'echo $(id -u) $(id -g)'
check 'run --entrypoint' prints x cbuild run --entrypoint echo p1 x
echo shared >"$scratch/shared"
check 'run -v' prints shared cbuild run -v "$scratch/shared:/mnt/shared:ro" p1 cat /mnt/shared
check 'run -v :ro is read-only' fails 1 cbuild run -v "$scratch/shared:/mnt/shared:ro" p1 \
	sh -c 'echo x > /mnt/shared'
check 'run --network none has loopback alone' prints 1 cbuild run --network none p1 \
	sh -c 'ip -o link | wc -l'
check 'run -i reads stdin' prints through eval 'echo through | cbuild run -i p1 cat'
check 'run keeps nothing' eval 'cbuild run p1 touch /kept && ! cbuild run p1 test -e /kept'
check 'run exits as the process' fails 7 cbuild run p1 sh -c 'exit 7'
check 'run of a signal' fails 143 cbuild run p1 sh -c 'kill -TERM $$'
check 'run of no image: 125' fails 125 cbuild run nosuch
check 'run of no executable: 126' fails 126 cbuild run p1 /etc/passwd
check 'run of no file: 127' fails 127 cbuild run p1 nosuch

check 'images' says 'p1 +latest' cbuild images
check 'images -q' says '^(sha256:)?[0-9a-f]{12,64}$' cbuild images -q
check 'tag' cbuild tag p1 other/name:tag
check 'the tag names it' equal "$(image_id p1)" "$(image_id other/name:tag)"
check 'rmi of one name' cbuild rmi other/name:tag
check 'the other name stays' prints 'hello nobody' cbuild run p1
check 'that one is gone' fails 1 cbuild inspect other/name:tag
check 'history' says 'RUN.*echo|echo.*hello' cbuild history p1
check "inspect is docker's JSON" eval \
	'cbuild inspect p1 | python3 -c "import json,sys; i = json.load(sys.stdin)[0];
assert i[\"Config\"][\"WorkingDir\"] == \"/work\" and i[\"Config\"][\"Cmd\"] == [\"cat\", \"/hello\"]
assert i[\"RepoTags\"] and i[\"RootFS\"][\"Layers\"] and i[\"Architecture\"] and i[\"Os\"] == \"linux\""'
id=$(image_id p1)
for format in docker oci; do
	check "save --format $format -o" cbuild save --format "$format" -o "$scratch/$format.tar" p1
	check "load -i of it" eval 'cbuild rmi p1 && cbuild load -i "$scratch/$format.tar"'
	check "same id, runs" eval 'equal "$id" "$(image_id p1)" && prints "hello nobody" cbuild run p1'
done
check 'save | load between stores' eval \
	'cbuild save p1 | "$CBUILD" --root "$scratch/store2" load && "$CBUILD" --root "$scratch/store2" run p1'
check '$CBUILD_ROOT' says 'p1' env CBUILD_ROOT="$scratch/store2" "$CBUILD" images
check 'nothing left in tmp/' equal '' "$(ls -A "$store/tmp" 2>&1)"

user_ready
chmod -R a+rX "$context"
check 'user: import' one_id user_cbuild import "$scratch/root.tar" busybox
check 'user: build' user_cbuild -t p1 "$context"
check 'user: run' prints 'hello nobody' user_cbuild run p1
check 'user: is root inside' prints 0 user_cbuild run p1 id -u
finish
