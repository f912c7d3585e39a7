#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# docs/security.md names tests: each one it names exists. A test is `FILE`, or `FILE`: and the names of
# C functions, or the words of a check. There is a row for each number of the list of attacks.
set -eu
cd "${srcdir:-.}"
bad=$(mktemp)
trap 'rm -f "$bad"' EXIT

# The text as one line per `tests/FILE`, with what follows up to the next test, `|` or `)`.
references() {
	tr '\n' ' ' <docs/security.md | grep -oE '`tests/[^`]+`(: [^|;()`]+)?'
}

check_function() { # file name
	file=${1##*/test_}
	grep -qE "^static void test_(${file%.c}__)?$2\(" "$1" ||
		echo "docs/security.md: $1 has no test of the name $2"
}

check_reference() { # file rest
	if [ ! -f "$1" ]; then
		echo "docs/security.md: there is no $1"
		return
	fi
	case $1 in
	*.c) for name in $(echo "$2" | tr ',' ' '); do check_function "$1" "$name"; done ;;
	*) grep -qF -- "$2" "$1" || echo "docs/security.md: $1 does not say \"$2\"" ;;
	esac
}

references | while read -r line; do
	file=${line#\`}
	file=${file%%\`*}
	rest=${line#*\`*\`}
	rest=$(echo "${rest#: }" | sed 's/ *$//')
	check_reference "$file" "$rest"
done >"$bad"
[ "$(references | wc -l)" -gt 60 ] || echo "docs/security.md: the list of tests was not understood" >>"$bad"
for n in 1 2 3 4 5 8 9 11 12 15 17 19 20 23 25 27 28 30 31 32 33 34 36 37 39 40 41 42 45 46 47 48 49 \
	51 52 53 55 56 57 58; do
	grep -qE "^\| $n \|.*\`tests/" docs/security.md || echo "docs/security.md: no test for $n" >>"$bad"
done
cat "$bad"
[ ! -s "$bad" ]
