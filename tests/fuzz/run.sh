#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# run.sh BUILD [TARGET...]: fuzz with the seeds of testdata/, under ASan and UBSan. BUILD is a tree
# configured with --enable-fuzzers CC=clang. The targets that read Dockerfiles run for a minute
# each, the others for ten seconds, as many at a time as there are processors.
#
#	FUZZ_SECONDS=3600 tests/fuzz/run.sh BUILD parse		an hour of one
#
# What crashes is left as BUILD/tests/fuzz/TARGET-crash-...; what was found on the way, and may be
# worth keeping as a seed, in BUILD/tests/fuzz/TARGET.corpus.
set -uo pipefail

build=$(readlink -f "$1") && shift || exit 2
source=$(cd "$(dirname "$0")/../.." && pwd)
long="parse expand ignore"
short="mount names config documents tar"
# shellcheck disable=SC2086 # lists of names
[ $# -gt 0 ] || set -- $long $short

# seeds TARGET DIR: the files of testdata/fuzz/TARGET, one for each line of testdata/fuzz/TARGET.txt,
# where | is a newline, and what other testdata serves.
seeds()
{
	local list=$source/testdata/fuzz/$1.txt rows=$source/testdata/dockerfile-rows n=0 line format

	[ ! -d "${list%.txt}" ] || cp "${list%.txt}"/* "$2"
	if [ -f "$list" ]; then
		while IFS= read -r line; do
			n=$((n + 1))
			tr '|' '\n' <<<"$line" >"$2/line-$n"
		done <"$list"
	fi
	case $1 in
	parse)
		find "$source/testdata" -name 'Dockerfile*' -type f ! -name '*ignore' | while read -r line; do
			n=$((n + 1))
			cp "$line" "$2/file-$n"
		done
		;;
	expand)
		grep -v -e '^#' -e '^set' "$rows/expansion.txt" | cut -f 2 | while IFS= read -r line; do
			n=$((n + 1))
			printf 'a/b/c\n%s' "$line" >"$2/row-$n"
		done
		;;
	mount)
		grep -ohE -e '--mount=[^ ]*' "$rows"/*.txt | cut -c 9- | while IFS= read -r line; do
			n=$((n + 1))
			printf '%s' "$line" >"$2/row-$n"
		done
		;;
	tar)
		for format in v7 oldgnu gnu ustar pax; do
			tar -C "$source/testdata/lint" --format=$format -cf "$2/$format" DL3002 DL3003
		done
		gzip -k "$2/pax" && xz -k "$2/ustar" && bzip2 -k "$2/v7"
		;;
	esac
}

# fuzz TARGET: its log is TARGET.log; the last line is said.
fuzz()
{
	local target=$1 seconds=10 options=()

	[[ " $long " != *" $target "* ]] || seconds=60
	[[ $target != parse && $target != expand ]] || options=("-dict=$source/tests/fuzz/dockerfile.dict")
	cd "$build/tests/fuzz" || return
	rm -rf "$target.seeds"
	mkdir -p "$target.seeds" "$target.corpus"
	seeds "$target" "$target.seeds"
	if "./fuzz_$target" "${options[@]}" -max_total_time="${FUZZ_SECONDS:-$seconds}" -timeout=10 \
		-rss_limit_mb=2048 -max_len=16384 -print_final_stats=1 -artifact_prefix="$target-" \
		"$target.corpus" "$target.seeds" >"$target.log" 2>&1; then
		echo "ok - fuzz: $target, $(sed -n 's/^stat::number_of_executed_units: *//p' "$target.log") runs"
	else
		echo "not ok - fuzz: $target"
		tail -n 40 "$target.log"
		return 1
	fi
}

make -s -C "$build" -j"$(nproc)" fuzzers || exit 2
export -f fuzz seeds
export build source long
printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} bash -c 'fuzz {}'
