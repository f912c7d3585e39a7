#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Many builds at once on one empty store: nothing is fetched, unpacked or run twice, all get the same
# image, and none fails. MANY is how many (32).
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

many=${MANY:-32}
registry_start "$scratch" || exit 1

# A base of three layers, of which the first is large enough to take its time.
mkdir -p root/bin root/tmp context/src
cp /bin/busybox root/bin/
for applet in sh cat echo sleep wc; do ln -sf busybox "root/bin/$applet"; done
head -c 20000000 /dev/urandom >root/large
tar -C root --owner=0 --group=0 --numeric-owner -cf root.tar .
cat >Dockerfile.base <<'END'
FROM root
RUN echo 1 >/1
RUN echo 2 >/2
END
store=$scratch/store.base
cbuild import root.tar root >/dev/null 2>&1
cbuild build -t "$registry/base:1" -f Dockerfile.base context >/dev/null 2>&1
check "push the base" cbuild push "$registry/base:1"

for i in $(seq 200); do echo "file $i" >"context/src/$i"; done
cat >context/Dockerfile <<END
FROM $registry/base:1 AS one
RUN sleep 0.3; cat /proc/sys/kernel/random/uuid >/one
FROM $registry/base:1 AS two
COPY src /src
RUN --mount=type=cache,target=/cache,sharing=locked \\
	cat /proc/sys/kernel/random/uuid >>/cache/ids; cat /cache/ids >/two
FROM $registry/base:1
WORKDIR /made
COPY --from=one /one /
COPY --from=two /two /src /made/
RUN cat /one /made/two >/three
LABEL done=yes
END

# all_build STORE: start all of them, wait for all, count who failed.
all_build()
{
	local i pids=() failed=0

	for i in $(seq "$many"); do
		"$CBUILD" --root "$1" build -q --jobs 4 -t "many$((i % 4))" context >"id$i" 2>"said$i" &
		pids+=($!)
	done
	for i in "${!pids[@]}"; do
		wait "${pids[i]}" || { failed=$((failed + 1)); tail -n 5 "said$((i + 1))"; }
	done
	equal 0 "$failed"
}

store=$scratch/store
: >"$scratch/registry.log"
check "$many builds of an empty store" all_build "$store"
check "give one image" equal 1 "$(sort -u $(seq -f 'id%g' "$many") | wc -l)"
check "which is the one of its names" equal "$(cat id1)" "$(image_id many0)"
grep -aE '"GET /v2/base/blobs/' registry.log | grep -oE 'sha256:[0-9a-f]{64}' | sort | uniq -c >fetched
check "blobs were fetched" [ -s fetched ]
check "each of them once" equal '' "$(awk '$1 != 1' fetched)"
check "each step was run once" equal 1 "$(cbuild run many0 sh -c 'cat /made/two | wc -l')"
check "nothing is left of it" equal 0 "$(find "$store/tmp" -mindepth 1 | wc -l)"
check "once more, nothing is run" says '0 run' sh -c "'$CBUILD' --root '$store' build -t many0 context 2>&1"
check "with the same image" equal "$(cat id1)" "$(image_id many0)"

# Who finds no store, and in it what another process is about to rename, was only too slow.
late_maker()
{
	strace -f -q -o /dev/null -e trace=getdents64 -e inject=getdents64:delay_enter=1000000:when=1 \
		"$CBUILD" --root "$scratch/late" images &
	wait_until 5 [ -d "$scratch/late" ]
	sleep 0.3
	"$CBUILD" --root "$scratch/late" images >/dev/null || return 1
	touch "$scratch/late/synced.0123456789abcdef"
	wait $!
}
check "a store that another process makes meanwhile" late_maker
finish
