#!/bin/sh
# The arrows between the rooms, as docs/architecture.md draws them: a file of a room may include
# only its own room's headers and those of the rooms listed for it here.
set -eu
cd "${srcdir:-.}"
bad=$(mktemp)
trap 'rm -f "$bad"' EXIT

check() { # room allowed-pattern
	grep -Hn '^#include "' "$1"/*.[ch] | while IFS=: read -r file line text; do
		header=${text#*\"}
		header=${header%%\"*}
		echo "$header" | grep -Eq "^($1/[^/]+|$2)\$" ||
			echo "$file:$line: $1/ must not include \"$header\""
	done >>"$bad"
}

base='base/[^/]+'
check base '-'
check dockerfile-parser "$base"
check sandbox "$base"
check layers "$base"
check registry "$base|layers/(store|entry|layer|image|media)\.h"
check builder "$base|dockerfile-parser/(dockerfile|lint|outline)\.h|layers/(store|entry|layer|image|media)\.h|sandbox/(sandbox|userns|net|cgroup)\.h|registry/(reference|transport)\.h"
check cli "$base|dockerfile-parser/(dockerfile|lint)\.h|layers/(store|entry|layer|image|media)\.h|sandbox/(sandbox|userns|cgroup)\.h|registry/(reference|transport)\.h|builder/(build|cache_mount|check|explain|probes)\.h"

# only cli/ and the helper program print or read the environment
grep -nE '\b(getenv|printf|fprintf|puts|fputs|putchar|perror)\(' base/*.c dockerfile-parser/*.c \
	sandbox/*.c layers/*.c builder/*.c | grep -vE 'base/mem\.c|^[^:]*:[0-9]+: \*' >>"$bad" || true

# only base/pool and base/ordered make threads
grep -nE '\bpthread_create\(' dockerfile-parser/*.c sandbox/*.c layers/*.c registry/*.c \
	builder/*.c cli/*.c >>"$bad" || true

cat "$bad"
test ! -s "$bad"
