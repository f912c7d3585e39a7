#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Caches that machines share: each "machine" is a store of its own. What the registry was asked is in
# its log.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

# on MACHINE ARGUMENT...: cbuild with that machine's store.
on() { "$CBUILD" --root "$scratch/$1" "${@:2}"; }

# id_on MACHINE NAME
id_on() { on "$1" inspect "$2" | sed -nE 's/^ *"Id": *"(sha256:[0-9a-f]+)".*/\1/p' | head -n 1; }

# log_from: forget what was asked so far. asked [PATTERN]: the requests since, "METHOD PATH STATUS".
log_from() { log_at=$(stat -c %s "$scratch/registry.log"); }

asked()
{
	tail -c "+$((log_at + 1))" "$scratch/registry.log" |
		sed -nE 's/.*"([A-Z]+) (\/v2\/[^ ]*) HTTP[^"]*" ([0-9]+).*/\1 \2 \3/p' | grep -E -- "${1:-.}" || :
}

# layers_of NAME: the digests of the layers in its manifest, as the registry has it.
layers_of()
{
	curl -sf -H 'Accept: application/vnd.oci.image.manifest.v1+json' \
		"http://$registry/v2/$1/manifests/latest" |
		python3 -c 'import json, sys
for layer in json.load(sys.stdin)["layers"]: print(layer["digest"])'
}

# no_layer_fetched NAME: nobody downloaded a layer of that image.
no_layer_fetched()
{
	local layer bad=0

	for layer in $(layers_of "$1"); do
		! asked "^GET .*$layer" | grep . || bad=1
	done
	return "$bad"
}

# all_hits MACHINE FROM: its last build of $context found every step in that cache.
all_hits()
{
	on "$1" explain "$context" >"$scratch/why" || return
	! grep -vE "base$|: hit \(from $2\)$|^0 run, [1-9][0-9]* cached$" "$scratch/why"
}

# warned TIMES PATTERN FILE
warned()
{
	equal "$1" "$(grep -cE "^warning: .*$2" "$3")" || { cat "$3"; return 1; }
}

# steps_run FILE: how many steps a build of that output ran.
steps_run() { sed -nE 's/^Built .* \(([0-9]+) run, .*/\1/p' "$1"; }

# builds MACHINE OUTPUT ARGUMENT...: build $context there.
builds() { on "$1" build -t app "${@:3}" "$context" >"$scratch/$2" 2>&1 || { cat "$scratch/$2"; return 1; }; }

mkdir -p "$scratch/registry"
registry_start "$scratch" || exit 1
bases=$("$srcdir/tests/e2e/make-bases.sh") || exit 1
context=$scratch/context pids=()
mkdir -p "$context/sub" "$scratch/root/bin"
echo one >"$context/a"
echo two >"$context/sub/b"

# A base of this registry, under a name of its own.
cp "$(command -v busybox)" "$scratch/root/bin/busybox"
for applet in sh cat echo mkdir; do ln -s busybox "$scratch/root/bin/$applet"; done
tar -C "$scratch/root" -cf "$scratch/root.tar" .
base=$registry/base cache=$registry/team/cache
on maker import "$scratch/root.tar" "$base" >/dev/null && on maker push "$base" >"$scratch/output" 2>&1 ||
	{ cat "$scratch/output"; exit 1; }
cat >"$context/Dockerfile" <<-EOF
	FROM $base AS build
	COPY a /a
	RUN cat /a >/out
	WORKDIR /work
	RUN true
	FROM $base
	COPY --from=build /out /final
	COPY sub /sub
	RUN cat /final /sub/b >/both
	ENTRYPOINT ["cat", "/both"]
EOF

# --- a full remote hit: nothing is run, no layer is fetched, the push mounts

check 'first machine: builds and exports' builds one built --cache-to "type=registry,ref=$cache,mode=max"
check 'first machine: ran all' equal 7 "$(steps_run "$scratch/built")"
log_from
check 'second machine: builds' builds two built --cache-from "type=registry,ref=$cache"
check 'second machine: all hits' equal 0 "$(steps_run "$scratch/built")"
check 'second machine: the build says from where' \
	equal 7 "$(grep -c "^#[0-9]* CACHED (from $cache)$" "$scratch/built")"
check 'second machine: explain names the cache' all_hits two "$cache"
check 'second machine: the same image' equal "$(id_on one app)" "$(id_on two app)"
check 'second machine: nothing but manifests and a config' \
	equal 1 "$(asked '^GET .*/blobs/' | grep -c .)"
check 'second machine: sent nothing' equal '' "$(asked '^(POST|PUT|PATCH)')"
on two tag app "$registry/mounted"
log_from
check 'second machine: pushes' on two push "$registry/mounted"
check 'second machine: fetched no layer for it' no_layer_fetched mounted
check 'second machine: no blob was fetched at all' equal '' "$(asked '^GET .*/blobs/')"
check 'second machine: each layer was mounted' \
	equal "$(layers_of mounted | wc -l)" "$(asked '^POST .*mount=.* 201$' | grep -c .)"
check 'second machine: only the config was sent' equal 1 "$(asked '^PUT .*/blobs/' | grep -c .)"
check 'it can be pulled and run' on three pull "$registry/mounted"
check 'it is the image' prints $'one\ntwo' on three run "$registry/mounted"
check 'second machine: run fetches what it needs' prints $'one\ntwo' on two run app
check 'one round asks for all that can be known' test "$(asked 'GET .*cb1-' | wc -l)" -le 12

# another registry cannot be lent anything: then the layers go through the store
check 'save fetches what it needs' eval "builds saver built --cache-from $cache &&
	on saver save app -o '$scratch/app.tar' && tar -tf '$scratch/app.tar' >/dev/null"
first=$registry first_pid=$registry_pid
mkdir -p "$scratch/elsewhere"
registry_start "$scratch/elsewhere" || exit 1
builds pusher built --cache-from "$cache"
on pusher tag app "$registry/streamed"
check 'a push elsewhere streams the layers' on pusher push "$registry/streamed"
check 'which can be pulled and run' eval "on four pull $registry/streamed && on four run $registry/streamed"
registry_stop
registry=$first registry_pid=$first_pid

# --- only what is needed

echo three >"$context/sub/b"
log_from
check 'one file changed: builds' builds five built --cache-from "$cache"
check 'one file changed: two steps run' equal 2 "$(steps_run "$scratch/built")"
check 'one file changed: the image' prints $'one\nthree' on five run app
log_from
check 'exports again' builds five built --cache-from "$cache" --cache-to "type=registry,ref=$cache,mode=max"
check 'only what the cache lacks is sent' equal 2 "$(asked '^PUT .*/manifests/' | grep -c .)"
check 'and of blobs two layers' equal 2 "$(asked '^PUT .*/blobs/' | grep -c .)"
echo two >"$context/sub/b"

# a base that nobody needs the files of is not fetched
printf 'FROM %s\nENV A=1\n' "$base" >"$scratch/Dockerfile.env"
log_from
check 'a lazy base' on six build -q -f "$scratch/Dockerfile.env" -t env "$context"
check 'no layer of it was fetched' equal 1 "$(asked '^GET .*/blobs/' | grep -c .)"

# --- mode=min, inline, directories

check 'mode=min: exports' builds seven built --no-cache --cache-to "type=registry,ref=$registry/min"
check 'mode=min: builds' builds eight built --cache-from "$registry/min"
check 'mode=min: the other stage is run' equal 4 "$(steps_run "$scratch/built")"
check 'mode=max: compressed as asked' \
	builds seven built --cache-to "type=registry,ref=$registry/zstd,mode=max,compression=zstd"

check 'inline: builds' builds nine built --cache-to type=inline
on nine tag app "$registry/inlined"
check 'inline: pushes' on nine push "$registry/inlined"
log_from
check 'inline: builds elsewhere' builds ten built --cache-from "$registry/inlined" --cache-to type=inline
check 'inline: the image has its own steps alone' equal 4 "$(steps_run "$scratch/built")"
check 'inline: no layer of the cache was fetched but for the stage that ran' \
	eval "! asked '^GET /v2/inlined/blobs/' | grep -F \"\$(layers_of inlined | tail -n 1)\""
check 'inline: docker knows the image' eval "on nine save app | tar -xO manifest.json | grep -q Layers"
printf 'FROM %s/inlined\nENV A=1\n' "$registry" >"$scratch/Dockerfile.child"
check 'inline: FROM such an image' on nine build -q -f "$scratch/Dockerfile.child" -t child "$context"
on nine tag child "$registry/child" && on nine push "$registry/child" >/dev/null 2>&1
config=$(curl -sf -H 'Accept: application/vnd.oci.image.manifest.v1+json' \
	"http://$registry/v2/child/manifests/latest" | python3 -c 'import json,sys; print(json.load(sys.stdin)["config"]["digest"])')
check 'inline: a child does not have them' \
	equal 0 "$(curl -sf "http://$registry/v2/child/blobs/$config" | grep -c 'vnd.cbuild.cache')"

dir=$scratch/directory,with\"both
quoted="\"dest=$scratch/directory,with\"\"both\""
check 'local: exports, and the path may need quotes' builds one built --cache-to "type=local,$quoted,mode=max"
check 'local: it is an OCI layout' test -s "$dir/oci-layout" -a -s "$dir/index.json"
if command -v skopeo >/dev/null; then
	cp -a "$dir" "$scratch/plain"
	tag=$(grep -oE 'cb1-[0-9a-f]{64}' "$dir/index.json" | head -n 1)
	check 'local: skopeo reads it' skopeo inspect --raw "oci:$scratch/plain:$tag"
fi
check 'local: --offline without the base says who asks' \
	fails 1 on eleven build --offline --cache-from "type=local,${quoted/dest/src}" "$context"
check 'that is the base' grep -q -- "base:latest: the network is needed, and --offline was given" "$scratch/said"
on eleven pull "$base" >/dev/null 2>&1
check 'local: builds with no network' builds eleven built --offline --cache-from "type=local,${quoted/dest/src}"
check 'local: all hits' equal 0 "$(steps_run "$scratch/built")"
mv "$dir" "$scratch/gone"
check 'local: the image does not need the directory' prints $'one\ntwo' on eleven run app

on twelve pull "$base" >/dev/null 2>&1
check 'directories that are no cache: builds' builds twelve built \
	--cache-from "type=local,src=$scratch/gone/blobs" --cache-from "type=local,${quoted/dest/src}"
check 'one warning each' equal 2 "$(grep -c '^warning: the cache .* is not used: ' "$scratch/built")"
check 'local: --cache-to an image that is known' builds one built --offline --cache-to "type=local,dest=$scratch/again"

# --- what an ARG of another stage was is not told

mkdir "$scratch/token"
printf '%s\n' "FROM $base AS build" 'ARG TOKEN' 'RUN echo x >/x' "FROM $base" 'COPY --from=build /x /x' \
	>"$scratch/token/Dockerfile"
check 'ARG: exports' on one build --build-arg TOKEN=c4nary --cache-to "type=local,dest=$scratch/told,mode=max" "$scratch/token"
check 'ARG: its value is not in the cache' fails 1 grep -r c4nary "$scratch/told"
check 'ARG: another machine knows the step' eval 'on twelve build --build-arg TOKEN=c4nary --cache-from "type=local,src=$scratch/told" "$scratch/token" 2>&1 | grep "(0 run, "'
check 'ARG: and why it runs' eval 'on twelve build --explain --build-arg TOKEN=other "$scratch/token" 2>&1 | grep "EXPLAIN an ARG or ENV changed$"'
check 'local: mode=min has the steps of the image' \
	equal 4 "$(grep -oE 'cb1-[0-9a-f]{64}' "$scratch/again/index.json" | sort -u | wc -l)"

# two that write at once lose nothing
for machine in left right; do
	mkdir "$scratch/$machine-context"
	printf 'FROM scratch\nCOPY f /f\n' >"$scratch/$machine-context/Dockerfile"
	echo "$machine" >"$scratch/$machine-context/f"
	on "$machine" build -q --cache-to "type=local,dest=$scratch/both" "$scratch/$machine-context" >/dev/null 2>&1 &
	pids+=("$!")
done
check 'two writers at once' wait "${pids[@]}"
check 'both are there' equal 2 "$(grep -oE 'cb1-[0-9a-f]{64}' "$scratch/both/index.json" | wc -l)"

# --- SOURCE_DATE_EPOCH: layers whose times were put right are shared as well

check 'epoch: exports' builds one built --source-date-epoch 1000000000 --cache-to "type=registry,ref=$cache,mode=max"
log_from
check 'epoch: builds' builds thirteen built --source-date-epoch 1000000000 --cache-from "$cache"
check 'epoch: all hits' equal 0 "$(steps_run "$scratch/built")"
check 'epoch: the same image' equal "$(id_on one app)" "$(id_on thirteen app)"
check 'epoch: no layer was fetched' equal 1 "$(asked '^GET .*/blobs/' | grep -c .)"
check 'epoch: inline, the same image' eval "builds one built --source-date-epoch 1000000000 --cache-to type=inline &&
	builds fourteen built --source-date-epoch 1000000000 --cache-to type=inline &&
	equal \"\$(id_on one app)\" \"\$(id_on fourteen app)\""

# --- caches that lie or fail: one warning, and the right image

printf honest >"$scratch/mode"
"$srcdir/tests/e2e/lying_cache.py" "$registry" "$scratch/mode" >"$scratch/port" 2>"$scratch/liar.log" &
liar_pid=$!
at_end_of_test() { stop_pid "$liar_pid"; }
wait_until 10 test -s "$scratch/port" || exit 1
liar=localhost:$(cat "$scratch/port")/team/cache

# lied MODE MACHINE: a build with a cache in that mode, whose last step is new and needs all files.
lied()
{
	printf '%s' "$1" >"$scratch/mode"
	echo "$2" >"$context/sub/b"
	check "$1: builds" builds "$2" built --cache-from "$liar"
	check "$1: the image is right" prints "one
$2" on "$2" run app
	echo two >"$context/sub/b"
}

lied honest honest
check 'honest: nothing to warn of' equal 0 "$(grep -c '^warning: ' "$scratch/built")"
check 'honest: all but two steps are hits' equal 2 "$(steps_run "$scratch/built")"
for mode in garbage other-key oversized refuse fail; do
	lied "$mode" "liar-$mode"
	check "$mode: one warning" warned 1 "the cache $liar is not used: " "$scratch/built"
done
for mode in swapped flipped gone; do
	lied "$mode" "liar-$mode"
	check "$mode: one warning" warned 1 'the build begins again, without layers that are elsewhere: ' \
		"$scratch/built"
done
echo liar-swapped >"$context/sub/b"
check 'a lie does not stay' builds liar-swapped built
check 'and what it was about was built' equal 0 "$(steps_run "$scratch/built")"
echo two >"$context/sub/b"

stop_pid "$liar_pid"
check 'nobody there: builds' builds nobody built --cache-from "$liar"
check 'nobody there: one warning' warned 1 "the cache $liar is not used: " "$scratch/built"
check 'nobody there: export fails the build' fails 1 on nobody build -t late --cache-to "$liar" "$context"
check 'but the image is there' prints $'one\ntwo' on nobody run late
check 'nobody there: ignore-error' builds nobody built --cache-to "type=registry,ref=$liar,ignore-error=true"
check 'nobody there: ignore-error warns' warned 1 "the cache was not exported to $liar: " "$scratch/built"

# --- words

check 'with --offline, refused' fails 1 on one build --offline --cache-from "$cache" "$context"
check 'and named' grep -q -- "--cache-from $cache: the network is needed, and --offline was given" "$scratch/said"
while IFS='|' read -r option words; do
	check "$option: $words" fails 2 on one build "$option" "$words" "$context"
done <<-'EOF'
	--cache-to|type=gha
	--cache-to|type=s3,bucket=x
	--cache-from|type=azblob
	--cache-from|type=inline
	--cache-from|type=nosuch
	--cache-from|type=registry
	--cache-from|ref=x
	--cache-from|type=registry,ref=x,mode=max
	--cache-to|type=registry,ref=x,mode=all
	--cache-to|type=registry,ref=x/UPPER
	--cache-to|type=registry,ref=x,ignore-error=perhaps
	--cache-to|type=registry,ref=x,compression=estargz
	--cache-to|type=registry,ref=x,compression-level=3
	--cache-to|type=local,src=/x
	--cache-to|type=inline,mode=max
	--cache-from|type=local,src="/x
EOF

finish
