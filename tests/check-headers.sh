#!/bin/sh
# Every header stands alone: it compiles as the only thing included.
set -eu
cd "${srcdir:-.}"
build=${builddir:-.}
status=0
for header in */*.h; do
	case $header in base/banned.h) continue ;; esac
	printf '#include "%s"\n' "$header" |
		${CC:-cc} -std=gnu17 -D_GNU_SOURCE -I. -I"$build" -include config.h \
			-include base/banned.h -Wall -Wextra -Werror -fsyntax-only -x c - ||
		{ echo "$header does not stand alone"; status=1; }
done
exit $status
