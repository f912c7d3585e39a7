#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Why a step runs: each kind of change is named, by a plan before it and by `explain` after it.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

root=$scratch/root context=$scratch/context

make_base()
{
	mkdir -p "$root/bin" "$root/etc"
	cp /bin/busybox "$root/bin/"
	ln -sf busybox "$root/bin/sh"
	echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
	echo "$1" >"$root/etc/version"
	tar -C "$root" --owner=0 --group=0 --numeric-owner -cf "$scratch/$1.tar" .
	cbuild import "$scratch/$1.tar" "$2" >/dev/null
}

# The context and the build that every change is made to. The steps that count are:
# 1 FROM, 2 WORKDIR, 3 COPY, 4 RUN, 5 RUN
reset()
{
	rm -rf "$context"
	mkdir -p "$context/src/dir"
	echo 'int main;' >"$context/src/main.c"
	echo '# notes' >"$context/src/notes"
	ln -s main.c "$context/src/link"
	cat >"$context/Dockerfile" <<-'EOT'
		FROM base:1
		ARG A=1
		ENV V=1
		WORKDIR /work
		COPY src /app
		RUN echo one
		RUN echo two
	EOT
	cbuild build -q "$context" >/dev/null
}

edit() { sed -i "$1" "$context/Dockerfile"; }

# named WHAT PATTERN [OPTION...]: a plan says so, and so does explain when it was built.
named()
{
	local what=$1 want=$2

	shift 2
	check "$what: plan" says "$want" cbuild plan "$@" "$context"
	check "$what: build" cbuild build -q "$@" "$context"
	check "$what: explain" says "$want" cbuild explain "$context"
}

make_base one base:1
make_base two base:2
digest='sha256:[0-9a-f]{12}…'

# --- what COPY selects
reset
named 'nothing' '^step 5 RUN echo two: cached$'
check 'nothing: the sum' says '^0 run, 4 cached$' cbuild explain "$context"

reset; touch -d '2001-01-01' "$context/src/main.c"
named 'mtime' '^step 3 COPY src /app: cached$'

reset; echo 'int more;' >"$context/src/main.c"
named 'content' "^step 3 COPY src /app: src/main.c changed \\($digest → $digest\\)\$"
check 'content: the sha256 is the file'"'"'s' says "\"new\": \"sha256:$(sha256sum <"$context/src/main.c" | cut -c1-64)\"" \
	cbuild explain --format json "$context"
check 'content: what follows' says '^step 5 RUN echo two: depends on step 3$' cbuild explain "$context"

reset; echo >"$context/src/new file"
named 'a new file' '^step 3 COPY src /app: src/new\\040file added$'

reset; rm "$context/src/notes"
named 'a file less' '^step 3 COPY src /app: src/notes removed$'

reset; chmod 755 "$context/src/main.c"
named 'mode' '^step 3 COPY src /app: src/main.c: mode changed \(0644 → 0755\)$'

reset; ln -sf notes "$context/src/link"
named 'target of a link' '^step 3 COPY src /app: src/link: target changed \(main.c → notes\)$'

reset; rm "$context/src/notes"; mkdir "$context/src/notes"
named 'type' '^step 3 COPY src /app: src/notes: type changed \(f → d\)$'

reset; setfattr -n user.key -v value "$context/src/main.c" 2>/dev/null &&
	named 'attribute' '^step 3 COPY src /app: src/main.c: attributes or hard links changed$'

reset; echo src/link >"$context/.dockerignore"
named 'ignore rule' '^step 3 COPY src /app: src/link removed$'

reset; mv "$context/src/notes" "$context/src/renamed"
named 'rename' '^step 3 COPY src /app: src/notes removed; src/renamed added$'

# --- how it is copied
reset; edit 's|^COPY.*|COPY src /other|'
named 'destination' '^step 3 COPY src /other: destination changed: /app → /other$'

reset; edit 's|^COPY|& --chmod=600|'
named 'chmod' '^step 3 COPY --chmod=600 src /app: --chmod changed: "" → 600$'

reset; edit 's|^COPY|& --chown=1:1|'
named 'chown' '^step 3 COPY --chown=1:1 src /app: --chown changed: "" → 1:1$'

reset; edit 's|^COPY|ADD|'
named 'COPY to ADD' '^step 3 ADD src /app: instruction changed: COPY → ADD$'

# --- what RUN sees
reset; edit 's|echo one|echo three|'
named 'command' '^step 4 RUN echo three: argument changed: echo one → echo three$'

reset; edit 's|V=1|V=2|'
named 'value of ENV' '^step 4 RUN echo one: ENV V was 1, is 2$'
check 'value of ENV: no other step' says '^step 3 COPY src /app: cached$' cbuild explain "$context"

reset; edit 's|V=1|& W=1|'
named 'new ENV' '^step 4 RUN echo one: ENV W is new: 1$'

reset; edit '/^ENV/d'
named 'ENV less' '^step 4 RUN echo one: ENV V is gone, was 1$'

reset
named 'value of ARG' '^step 4 RUN echo one: ARG A was 1, is 2$' --build-arg A=2

reset; edit 's|^RUN echo one|USER 1\n&|'
named 'user' '^step 4 RUN echo one: user changed: "" → 1$'

reset; edit 's|/work|/elsewhere|'
named 'directory' '^step 2 WORKDIR /elsewhere: directory changed: /work → /elsewhere$'
check 'directory: of RUN' says '^step 4 RUN echo one: depends on step 2; working directory changed: /work → /elsewhere$' \
	cbuild explain "$context"

reset; edit 's|^RUN echo one|SHELL ["/bin/sh", "-ec"]\n&|'
named 'shell' '^step 4 RUN echo one: argument changed: -c → -ec$'

reset
named 'network' '^step 4 RUN echo one: --network changed: host → none$' --network=none

reset; edit 's|^RUN echo one|RUN --mount=type=tmpfs,target=/t echo one|'
named 'mount' '^step 4 RUN --mount=type=tmpfs,target=/t echo one: --mount is new: type=tmpfs target=/t '

reset; edit 's|^RUN echo one|RUN --mount=target=/m,source=src true|'
cbuild build -q "$context" >/dev/null
chmod 700 "$context/src/main.c"; echo >"$context/src/added"; edit '/^COPY/d'
cbuild build -q "$context" >/dev/null
echo 'int mounted;' >"$context/src/main.c"
named 'file of a mount' "^step 3 RUN --mount=.* true: src/main.c changed \\($digest → $digest\\)\$"

reset
named 'hosts' '^step 4 RUN echo one: --add-host is new: ' --add-host a:1.2.3.4

reset; edit 's|^RUN echo one|RUN --mount=type=secret,id=a true|'
cbuild build -q "$context" >/dev/null; edit 's|id=a|id=b|'
named 'id of a secret' '^step 4 RUN .*: --mount changed: .*id=a.* → .*id=b'

reset; edit 's|^RUN echo one|RUN --mount=type=cache,id=a,target=/c true|'
cbuild build -q "$context" >/dev/null; edit 's|id=a|id=b|'
named 'id of a cache' '^step 4 RUN .*: --mount changed: .*id=a.* → .*id=b'

reset; edit 's|^RUN echo one|RUN echo net|'; cbuild build -q "$context" >/dev/null
edit 's|^RUN echo net|RUN --network=none echo net|'
named 'network of one RUN' '^step 4 RUN --network=none echo net: --network changed: host → none$'

reset; printf 'COPY <<end /h\none\nend\n' >>"$context/Dockerfile"
cbuild build -q "$context" >/dev/null; edit 's|^one$|two|'
named 'content of a heredoc' "^step 6 COPY <<end /h: end changed \\($digest → $digest\\)\$"

reset; printf 'RUN <<end\necho a\nend\n' >>"$context/Dockerfile"
cbuild build -q "$context" >/dev/null; edit 's|^echo a$|echo b|'
named 'heredoc of RUN' '^step 6 RUN <<end: argument changed: echo a'

reset; printf 'RUN <<end\n#!/bin/sh\necho a\nend\n' >>"$context/Dockerfile"
cbuild build -q "$context" >/dev/null; edit 's|^echo a$|echo b|'
named 'script of RUN' '^step 6 RUN <<end: heredoc changed: '

reset; edit 's|^ARG A=1|ARG A=3|'
named 'default of ARG' '^step 4 RUN echo one: ARG A was 1, is 3$'

reset; edit 's|^ENV V=1|ENV X=1 V=1|'; cbuild build -q "$context" >/dev/null; edit 's|X=1 V=1|V=1 X=1|'
named 'order of ENV' '^step 4 RUN echo one: the order of the environment changed$'

reset; printf 'FROM scratch\nCOPY src /app\n' >"$context/Dockerfile"; cbuild build -q "$context" >/dev/null
named 'platform' '^step 2 COPY src /app: base image changed: scratch \(linux/[a-z0-9]+ → linux/riscv64\)$' \
	--platform linux/riscv64

mkdir "$scratch/named"; echo 1 >"$scratch/named/file"
reset; edit 's|^COPY.*|COPY --from=named file /f|'
cbuild build -q --build-context named="$scratch/named" "$context" >/dev/null; echo 2 >"$scratch/named/file"
named 'a named context' "^step 3 COPY --from=named file /f: file changed \\($digest → $digest\\)\$" \
	--build-context named="$scratch/named"

reset; echo '*' >"$context/.dockerignore"; echo '!src/main.c' >>"$context/.dockerignore"
cbuild build -q "$context" >/dev/null; echo '!src/notes' >>"$context/.dockerignore"
named 'ignore rule that includes' '^step 3 COPY src /app: src/notes added$'

reset; ln "$context/src/main.c" "$context/src/hard"; cbuild build -q "$context" >/dev/null
cp "$context/src/main.c" "$scratch/aside"; mv "$scratch/aside" "$context/src/hard"
named 'hard link' '^step 3 COPY src /app: src/hard: attributes or hard links changed; src/main.c: attributes or hard links changed$'

# a password in a RUN is part of its text
reset; edit 's|^RUN echo one|RUN echo http://user:secret@host/|'; cbuild build -q "$context" >/dev/null
edit 's|^ENV V=1|ENV V=2|'
named 'a URL with a password in RUN' '^step 4 RUN echo http://user:secret@host/: ENV V was 1, is 2$'

# --- the base
reset; edit 's|base:1|base:2|'
named 'name of the base' '^step 2 WORKDIR /work: base image changed: base:1 → base:2$'

make_base three base:3
reset; cbuild tag base:3 base:1
named 'base under its name' "^step 2 WORKDIR /work: base image changed: base:1 \\($digest → $digest\\)\$"
cbuild import "$scratch/one.tar" base:1 >/dev/null

# --- the order of steps
reset; edit 's|^RUN echo one|RUN echo between\n&|'
named 'a step more' '^step 4 RUN echo between: first build of this step$'
check 'a step more: what follows' says '^step 6 RUN echo two: depends on step 4$' cbuild explain "$context"

reset; edit '/echo one/d'
named 'a step less' '^step 4 RUN echo two: follows step 3 \(COPY src /app\) now, not RUN echo one$'

# --- other stages
two_stages()
{
	reset
	cat >"$context/Dockerfile" <<-'EOT'
		FROM base:1 AS make
		COPY src /src
		RUN cat /src/main.c >/out
		FROM base:1
		COPY --from=make /out /out
		RUN cat /out
	EOT
	cbuild build -q "$context" >/dev/null
}

two_stages; echo 'int more;' >"$context/src/main.c"
check 'stage: plan' says '^step 5 \[stage-1\] COPY --from=make /out /out: depends on step 2$' cbuild plan "$context"
check 'stage: build' cbuild build -q "$context"
check 'stage: explain' says "^step 5 \\[stage-1\\] COPY --from=make /out /out: out changed \\($digest" \
	cbuild explain "$context"

two_stages; echo '# other notes' >"$context/src/notes"
cbuild build -q "$context" >/dev/null
check 'stage that gives the same: cached' says '^step 5 \[stage-1\] COPY --from=make /out /out: cached$' \
	cbuild explain "$context"

two_stages
named 'filter' '^step 3 \[make\] RUN cat .*: --no-cache-filter make$' --no-cache-filter make
check 'filter: not the other stage' says '^step 6 \[stage-1\] RUN cat /out: cached$' cbuild explain "$context"
check 'filter: a stage that is not there' fails 1 cbuild build --no-cache-filter nosuch "$context"
check 'filter: is named' grep -q 'no stage "nosuch"' "$scratch/said"

# what a stage gives anew must reach those who copy from it
cat >"$context/Dockerfile" <<-'EOT'
	FROM base:1 AS make
	RUN cat /proc/uptime /proc/sys/kernel/random/uuid >/out
	FROM base:1
	COPY --from=make /out /out
EOT
cbuild build -q -t f1 "$context" >/dev/null
cbuild build -q -t f2 --no-cache-filter=make "$context" >/dev/null
check 'filter: new files are copied' test "$(cbuild run f1 busybox cat /out)" != "$(cbuild run f2 busybox cat /out)"

# the same of one who mounts it
sed -i '/^COPY/d' "$context/Dockerfile"
echo 'RUN --mount=from=make,target=/m cp /m/out /out' >>"$context/Dockerfile"
echo 'RUN cp /out /copy' >>"$context/Dockerfile"
cbuild build -q -t f1 "$context" >/dev/null
cbuild build -q -t f2 --no-cache-filter=make "$context" >/dev/null
check 'filter: new files are mounted' \
	test "$(cbuild run f1 busybox cat /copy)" != "$(cbuild run f2 busybox cat /copy)"
edit 's|uptime|version|'
check 'stage that is mounted: plan' says '^step 4 .*RUN --mount=from=make.*: depends on step 2$' \
	cbuild plan "$context"

# --- no cache, nothing left, failure, first
reset
named 'no cache' '^step 4 RUN echo one: --no-cache$' --no-cache

reset
rm -rf "$store"/steps
named 'records gone' '^step 4 RUN echo one: .*its earlier result is no longer in the store'

reset; edit 's|echo two|exit 3|'
check 'failure' fails 1 cbuild build -q "$context"
check 'failure: explain' says '^step 5 RUN exit 3: argument changed: echo two → exit 3$' cbuild explain "$context"
check 'failure: again' says '^step 5 RUN exit 3: it did not finish in the last build$' cbuild plan "$context"

mkdir "$scratch/fresh" && cp "$context/Dockerfile" "$scratch/fresh" && mkdir "$scratch/fresh/src"
check 'no build yet' fails 1 cbuild explain "$scratch/fresh"
check 'first' says '^step 4 RUN echo one: first build of this step$' cbuild plan "$scratch/fresh"

# --- lists of files that are longer than what is compared in memory

many=$scratch/many
python3 - "$many" <<'END'
import os, sys
os.makedirs(sys.argv[1])
os.chdir(sys.argv[1])
for name in "abcdefghijkl": # a path of 3000 bytes, since many files would take long to make
    os.mkdir(name * 250)
    os.chdir(name * 250)
for number in range(6000):
    open(f"file{number}", "w").close()
END
printf 'FROM scratch\nCOPY . /\n' >"$scratch/Many"
check 'long list: a build' cbuild build -q -f "$scratch/Many" "$many"
(cd "$many" && for name in a b c d e f g h i j k l; do cd $name* || exit; done; echo x >file77)
check 'long list: plan' says 'aaa.* changed .sha256:' cbuild plan -f "$scratch/Many" "$many"
check 'long list: of more than 16 MiB' eval 'find "$store/blobs" -size +16M | grep -q .'

# --- a plan runs nothing
reset; edit 's|echo one|touch /ran|'
before=$(cd "$store" && find steps blobs layers trees images builds costs -type f | sort | sha256sum)
cbuild plan "$context" >/dev/null
check 'plan: leaves nothing' equal "$before" \
	"$(cd "$store" && find steps blobs layers trees images builds costs -type f | sort | sha256sum)"
cbuild save --format oci -o "$scratch/layout.tar" base:2 && mkdir "$scratch/layout" &&
	tar -C "$scratch/layout" -xf "$scratch/layout.tar"
skopeo copy -q --insecure-policy "oci-archive:$scratch/layout.tar" "oci:$scratch/layout:latest"
printf 'FROM other\nRUN true\n' >"$scratch/Layout"
check 'plan: a layout is read' says '^step 2 RUN true: first build of this step$' \
	"$CBUILD" --root "$scratch/empty" plan --build-context other="oci-layout://$scratch/layout" -f "$scratch/Layout" "$context"
check 'plan: and not loaded' equal '' "$(find "$scratch/empty/blobs" "$scratch/empty/images" -type f)"
check 'plan: a base that is not here' says '^step 1 FROM nosuch.invalid/base: not in the store' \
	cbuild plan - <<<'FROM nosuch.invalid/base
RUN true'
check 'plan: what stands on it' says '^step 2 RUN true: depends on step 1$' \
	cbuild plan - <<<'FROM nosuch.invalid/base
RUN true'

# --- --explain as it goes, costs
reset; echo changed >"$context/src/main.c"
cbuild build --explain "$context" 2>"$scratch/said"
tar -C "$context" -cf "$scratch/context.tar" .
cbuild build -q "$scratch/context.tar" >/dev/null
check 'a tar as context: explain' says '^step 3 COPY src /app: first build of this step$|^step 3 COPY src /app: cached$' \
	cbuild explain "$scratch/context.tar"
check 'a tar as context: built' cbuild build -q "$scratch/context.tar"
mv "$context/Dockerfile" "$context/dockerfile"; tar -C "$context" -cf "$scratch/lower.tar" .
mv "$context/dockerfile" "$context/Dockerfile"
cbuild build -q "$scratch/lower.tar" >/dev/null
check 'a tar with a dockerfile: explain' says '^step 3 COPY src /app: ' cbuild explain "$scratch/lower.tar"
printf 'FROM base:1\nRUN true\n' | cbuild build -q - >/dev/null
check 'standard input: explain' says '^step 2 RUN true: ' cbuild explain -
check '--explain: the reason' grep -qE "^#3 EXPLAIN src/main.c changed \\($digest" "$scratch/said"
check 'costs: the dearest steps' grep -qE '^  #[0-9]+ RUN echo .*: [0-9.]+ms, cpu [0-9.]+ms, memory ' "$scratch/said"
cbuild build -t costs "$context" 2>"$scratch/said"
check 'costs: none when nothing ran' fails 1 grep -q Dearest "$scratch/said"
check 'costs: of an image' says '^RUN .*echo two +[0-9.]+ms +[0-9.]+ms +[0-9.]+MB +[0-9.]+k?B' \
	cbuild history --costs costs
check 'costs: by a template' says '^[0-9.]+ms RUN' cbuild history --costs --format '{{.Time}} {{.CreatedBy}}' costs
printf 'FROM costs\nLABEL a=b\n' >"$scratch/Child"
cbuild build -q -t child - <"$scratch/Child" >/dev/null
check 'costs: of the base too' says '^RUN .*echo two +[0-9.]+ms' cbuild history --costs child
cbuild rmi child >/dev/null
check 'costs: go with the image' test "$(find "$store/costs" -type f | wc -l)" -le "$(find "$store/images/ids" -type f | wc -l)"

# --- the network: never with --offline, and --pull=newer fetches what is new
check 'offline: what is here' cbuild build -q --offline "$context"
check 'offline: a base that is not' fails 1 cbuild build --offline - <<<'FROM localhost:1/base'
check 'offline: who asked' grep -qE 'Dockerfile.*:1.*localhost:1/base.*--offline' "$scratch/said"
check 'offline: --pull' fails 1 cbuild build --offline --pull "$context"

check 'offline: a URL' fails 1 cbuild build --offline - <<<'FROM scratch
ADD http://user:secret@localhost:1/file /'
check 'offline: which' grep -qE 'Dockerfile.*:2.*localhost:1/file.*--offline' "$scratch/said"
check 'offline: no password is told' fails 1 grep -q secret "$scratch/said"
check 'offline: a repository' fails 1 cbuild build --offline - <<<'FROM scratch
ADD https://localhost:1/a.git /'
check 'offline: whose' grep -qE 'Dockerfile.*:2.*localhost:1/a.git.*--offline' "$scratch/said"
check 'offline: a commit' fails 1 cbuild build --offline - <<<'FROM scratch
ADD http://localhost:1/a.git#0123456789012345678901234567890123456789 /a'
check 'offline: of whom' grep -qE 'Dockerfile.*:2.*localhost:1/a.git.*--offline' "$scratch/said"
check 'offline: a context' fails 1 cbuild build --offline https://localhost:1/context.tar
check 'offline: its name' grep -q 'localhost:1/context.tar.*--offline' "$scratch/said"
check 'plan: a URL that was never fetched' says '^step 2 ADD http.*: not in the store' \
	cbuild plan - <<<'FROM scratch
ADD http://localhost:1/file /
WORKDIR /x'
check 'plan: a branch' says '^step 2 ADD http.*: not in the store' cbuild plan - <<<'FROM scratch
ADD https://localhost:1/a.git /
WORKDIR /x'

registry_start "$scratch" || exit 1
cbuild tag base:1 "$registry/base" && cbuild push -q "$registry/base" >/dev/null
echo "FROM $registry/base" >"$scratch/Newer"
cbuild build -q --pull=newer - <"$scratch/Newer" >"$scratch/id1"
check 'newer: nothing is fetched when it is the same' \
	equal '' "$(cbuild build --pull=newer - <"$scratch/Newer" 2>&1 | grep -E 'Done|Already')"
cbuild tag base:2 "$registry/base" && cbuild push -q "$registry/base" >/dev/null
cbuild tag base:1 "$registry/base" # here it is the old one
cbuild build -q - <"$scratch/Newer" >"$scratch/id2"
check 'newer: missing keeps what is here' cmp "$scratch/id1" "$scratch/id2"
cbuild build -q --pull=newer - <"$scratch/Newer" >"$scratch/id3"
check 'newer: another one is fetched' fails 1 cmp -s "$scratch/id1" "$scratch/id3"
check 'newer: with --offline' fails 1 cbuild build --offline --pull=newer - <"$scratch/Newer"
registry_stop
check 'newer: without an answer what is here is used' \
	fails 0 cbuild build --pull=newer - <"$scratch/Newer"
check 'newer: and that is said' grep -q 'warning: the image in the store is used' "$scratch/said"

finish
