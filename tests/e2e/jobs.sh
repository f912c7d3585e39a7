#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Stages that do not need each other are built at once: what takes how long, what is printed, what a
# failure and a signal end, and that nothing of it shows in what is built.
#
# Under ThreadSanitizer (pid 1 of a sandbox, a clone it knows nothing of, is not to be believed; it
# ends a second late, so that the checks of times fail, and may leave its report in the layer of a
# step that changes nothing, so that one image is not the other):
#	./configure CFLAGS='-O1 -g -fsanitize=thread' && make &&
#	TSAN_OPTIONS='die_after_fork=0 log_path=/tmp/tsan' tests/e2e/jobs.sh; ls /tmp/tsan.*
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir -p root/bin root/tmp context
cp /bin/busybox root/bin/
for applet in sh cat cp echo head ls mkdir rm sleep touch true; do ln -sf busybox "root/bin/$applet"; done
tar -C root --owner=0 --group=0 --numeric-owner -cf root.tar .
check "import the base" cbuild import root.tar busybox

# took MS_MIN MS_MAX COMMAND...: it succeeds in that time. What it says is in $scratch/said.
took()
{
	local min=$1 max=$2 start=${EPOCHREALTIME/./} ms

	shift 2
	"$@" >"$scratch/said" 2>&1 || { echo "failed with $?"; cat "$scratch/said"; return 1; }
	ms=$(((${EPOCHREALTIME/./} - start) / 1000))
	[ "$ms" -ge "$min" ] && [ "$ms" -le "$max" ] ||
		{ echo "took $ms ms, not $min to $max"; cat "$scratch/said"; return 1; }
}

# --- time, order, digests ---

cat >context/Dockerfile <<'END'
FROM busybox AS one
RUN sleep 2; echo 1 >/one
FROM busybox AS two
COPY Dockerfile /
RUN sleep 2; echo 2 >/two
FROM one AS both
COPY --from=two /two /
RUN --mount=type=bind,from=two,target=/mnt cat /one /mnt/two >/both
FROM busybox
COPY --from=both /both /
ENV DONE=yes
END
export SOURCE_DATE_EPOCH=1000000000
check "two stages of two seconds take two" took 2000 3300 cbuild build --jobs 8 -t jobs8 context
sed -nE 's/^(#[0-9]+ \[.*)/\1/p' said | sort -V >names8
check "nothing is run again" took 0 500 cbuild build --jobs 8 -t again context
check "one image" equal "$(image_id jobs8)" "$(image_id again)"
jobs8=$(image_id jobs8)
check "the base for another store" cbuild save -o base.tar busybox
store=$scratch/store1
check "import the base" cbuild load -i base.tar
check "one job: four seconds" took 4000 6000 cbuild build --jobs 1 -t jobs1 context
sed -nE 's/^(#[0-9]+ \[.*)/\1/p' said | sort -V >names1
check "the same image" equal "$jobs8" "$(image_id jobs1)"
check "the same numbers for the same steps" cmp names1 names8
# what a report says of the steps, whether they were run or found
steps() { cbuild explain --format json context |
	grep -oE '"(number|position|stage|text|key)": [^,]*'; }
check "the same report" equal "$(store=$scratch/store steps)" "$(steps)"
check "what one job has built, eight find" took 0 500 cbuild build --jobs 8 -t found context
check "one image" equal "$(image_id jobs1)" "$(image_id found)"
unset SOURCE_DATE_EPOCH

# --- a layer that is there already is named while the next step stands on it ---

cat >context/Dockerfile.known <<'END'
FROM busybox
RUN echo 1 >/known; touch -d @1 /known
RUN sleep 0.3; cat /known
END
known=(cbuild build --no-cache -f context/Dockerfile.known context)
check "a layer" "${known[@]}"
check "the same layer again" "${known[@]}"

# --- a step that two stages have in common is run once ---

cat >context/Dockerfile.same <<'END'
FROM busybox AS one
RUN sleep 1; cat /proc/sys/kernel/random/uuid >/id
RUN echo 1 >/number
FROM busybox AS two
RUN sleep 1; cat /proc/sys/kernel/random/uuid >/id
RUN echo 2 >/number
FROM busybox
COPY --from=one /id /one
COPY --from=two /id /two
RUN [ "$(cat /one)" = "$(cat /two)" ]
END
check "the same step of two stages is run once" \
	took 1000 2500 cbuild build --jobs 8 -f context/Dockerfile.same context
check "the other finds it" grep -q 'CACHED' said

# --- digests that are computed while later steps run ---

cat >context/Dockerfile.digests <<'END'
FROM busybox
RUN mkdir /d; echo 1 >/d/1; head -c 30000000 /dev/zero >/large
RUN echo 2 >/d/2; rm /d/1; [ -s /large ]
COPY Dockerfile /d/
RUN true
RUN rm -rf /d; mkdir /d; cp /bin/busybox /d/; [ ! -e /d/2 ]
WORKDIR /d/w
RUN ls / /d >/list
END
export SOURCE_DATE_EPOCH=1000000000
check "while later steps run" cbuild build --jobs 8 --no-cache -t digests8 -f context/Dockerfile.digests context
check "in turn" cbuild build --jobs 1 --no-cache -t digests1 -f context/Dockerfile.digests context
check "one image" equal "$(image_id digests8)" "$(image_id digests1)"
check "each layer is what it is called" cbuild save -o digests.tar digests8
unset SOURCE_DATE_EPOCH

nap=1$RANDOM$RANDOM # seconds of a sleep that nobody else does
cat >context/Dockerfile.killed <<END
FROM busybox
RUN echo done >/done
RUN echo it is running; sleep $nap
END
killed()
{
	"$CBUILD" --root "$store" build --jobs 8 -f context/Dockerfile.killed context >said 2>&1 &
	wait_until 20 grep -q '^#3 .* it is running' said
	sleep 0.5
	kill -KILL $!
	wait $!
	sed -i "s/sleep $nap/sleep 0/" context/Dockerfile.killed
	cbuild build --jobs 8 -f context/Dockerfile.killed context >said 2>&1
}
check "a build that is killed in a later step" killed
check "has kept the one before" grep -q '^#2 CACHED' said

# --- bases are fetched at once ---

slow_ready()
{
	local port

	registry_start "$scratch" || return
	port=$(free_port)
	python3 "$srcdir/tests/e2e/slow_proxy.py" "$port" "${registry#*:}" 400 "$scratch/asked" &
	slow_pid=$!
	slow=127.0.0.1:$port
	wait_until 10 port_answers "$port" || return
	for name in a b c; do
		echo $name >context/$name
		printf 'FROM busybox\nCOPY %s /\n' $name >context/Dockerfile.base
		cbuild build -t "$registry/$name" -f context/Dockerfile.base context && cbuild push "$registry/$name" ||
			return
	done
	printf 'FROM %s/%s AS %s\nRUN true\n' "$slow" a one "$slow" b two "$slow" c three >context/Dockerfile.bases
	printf 'FROM busybox\nCOPY --from=one /a /\nCOPY --from=two /b /\nCOPY --from=three /c /\n' \
		>>context/Dockerfile.bases
}
at_end_of_test() { [ -z "${slow_pid:-}" ] || kill "$slow_pid"; }
check "a slow registry" slow_ready

# fetched JOBS: of three bases, with a store of its own. Sets $ms, and leaves $scratch/names$1.
fetched()
{
	local start

	store=$scratch/fetched$1
	cbuild import root.tar busybox || return
	: >"$scratch/asked"
	start=${EPOCHREALTIME/./}
	cbuild build --jobs "$1" -f context/Dockerfile.bases context >said 2>&1 || { cat said; return 1; }
	ms=$(((${EPOCHREALTIME/./} - start) / 1000))
	sed -nE 's/^(#[0-9]+ \[.*)/\1/p' said | sort -V >"$scratch/names$1"
}
check "three bases, one by one" fetched 1
one_by_one=$ms
check "three bases at once" fetched 3
check "takes less than two thirds" [ $((ms * 3)) -lt $((one_by_one * 2)) ]
echo "# $one_by_one ms, at once $ms ms"
check "the same numbers for the same steps" cmp names1 names3
check "a blob that two bases have is fetched once" \
	equal "" "$(grep -E '^GET .*/blobs/' asked | sed 's/.*blobs.//' | sort | uniq -d)"
check "and it was fetched" grep -qE '^GET .*/blobs/' asked
sed -i "s|^FROM $slow/b|FROM $slow/nosuch|" context/Dockerfile.bases
no_base() { store=$scratch/fetched1 fails 1 cbuild build --pull=always --jobs 3 -f context/Dockerfile.bases context; }
check "one that is not there" no_base
check "is named" grep -q 'Dockerfile.bases:3:6: .*nosuch' said
store=$scratch/store

# --- output ---

cat >context/Dockerfile.output <<'END'
FROM busybox AS one
RUN i=0; while [ $i -lt 200 ]; do echo -n one; echo -n -one; echo " $i one"; i=$((i + 1)); done
FROM busybox AS two
RUN i=0; while [ $i -lt 200 ]; do echo -n two; echo -n -two; echo " $i two"; i=$((i + 1)); done
FROM busybox
COPY --from=one /bin/busybox /1
COPY --from=two /bin/busybox /2
END
check "two steps print at once" cbuild build --jobs 2 -f context/Dockerfile.output context
cp output said
check "all of the one" equal 200 "$(grep -cE '^#2 [0-9.]+ one-one [0-9]+ one$' said)"
check "all of the other" equal 200 "$(grep -cE '^#4 [0-9.]+ two-two [0-9]+ two$' said)"

# --- failure ---

cat >context/Dockerfile.failure <<'END'
FROM busybox AS one
RUN echo this one goes on; sleep 60
FROM busybox AS two
RUN sleep 1; echo this one does not; exit 7
FROM busybox
COPY --from=one /bin/busybox /1
COPY --from=two /bin/busybox /2
END
failure() { fails 1 cbuild build --jobs 8 -f context/Dockerfile.failure context; }
start=${EPOCHREALTIME/./}
check "a failure fails the build" failure
check "and ends the other stage" [ $(((${EPOCHREALTIME/./} - start) / 1000)) -lt 5000 ]
check "the cause is named" grep -q 'Dockerfile.failure:4:1: process .* exit code: 7' said
check "once" equal 1 "$(grep -c '^cbuild:' said)"
check "the other one is told from it" grep -q '^#2 CANCELED' said
check "the one that failed comes last" equal '#4 ERROR' "$(grep '^#' said | tail -n 1)"
quiet_failure() { fails 1 cbuild build -q --jobs 8 -f context/Dockerfile.failure context; }
check "a failure, quietly" quiet_failure
check "shows the output of the step that failed" grep -q 'this one does not' said
check "and of no other" equal 0 "$(grep -c 'goes on' said)"

# --- signals ---

# interrupted SIGNAL...: a build of two long stages is sent these, half a second apart. It is gone
# within three seconds, and so is what it ran.
interrupted()
{
	local pid signal start

	# a shell's background jobs ignore SIGINT
	env --default-signal=INT,TERM "$CBUILD" --root "$store" build --jobs 8 \
		-f "context/Dockerfile.long$1" context >said 2>&1 &
	pid=$!
	for _ in $(seq 100); do
		[ "$(grep -c 'is running' said)" = 2 ] && break
		sleep 0.1
	done
	start=${EPOCHREALTIME/./}
	shift
	for signal; do
		kill -"$signal" "$pid"
		sleep 0.5
	done
	wait "$pid" && { echo "it succeeded"; return 1; }
	[ $(((${EPOCHREALTIME/./} - start) / 1000)) -lt 3000 ] || { echo "it took long"; return 1; }
	! pgrep -f "sleep $nap" || { echo "they run on"; return 1; }
	cat said
}

for trap in '' "trap '' TERM;"; do
	cat >"context/Dockerfile.long${trap:+deaf}" <<-END
		FROM busybox AS one
		RUN $trap echo one is running; sleep $nap
		FROM busybox AS two
		RUN $trap echo two is running; sleep $nap
		FROM busybox
		COPY --from=one /bin/busybox /1
		COPY --from=two /bin/busybox /2
	END
done
sed -i 's/is running; sleep/is runni""ng; sleep/' context/Dockerfile.long*
check "SIGINT ends both" interrupted '' INT
check "and says so" grep -q '^cbuild: interrupted by SIGINT' said
check "SIGTERM does" interrupted '' TERM
check "a second one ends who does not listen" interrupted deaf INT INT
check "the store is sound" cbuild build --jobs 8 -t jobs8 context

# --- the command line ---

check "--jobs 0" fails 2 cbuild build --jobs 0 context
check "--jobs x" fails 2 cbuild build --jobs 2x context

# --- a plain user ---

user_ready
chmod 755 root root.tar context context/*
as_user "$CBUILD" --root "$user_home/store" import "$scratch/root.tar" busybox >/dev/null 2>&1
check "user: two stages of two seconds take two" took 2000 3500 \
	as_user "$CBUILD" --root "$user_home/store" build --jobs 8 -t jobs8 "$scratch/context"

finish
