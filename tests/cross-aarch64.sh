#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The room that speaks to the kernel compiles for the other processor too, without a warning.
set -u
cc=aarch64-linux-gnu-gcc
srcdir=$(cd "${srcdir:-$(dirname "$0")/..}" && pwd)
builddir=${builddir:-$srcdir}

command -v "$cc" >/dev/null || exit 77
include=$(mktemp -d)
trap 'rm -rf "$include"' EXIT
# Headers of libraries say the same on both, but for where Debian keeps some of them.
for header in jansson.h jansson_config.h seccomp.h seccomp-syscalls.h openssl; do
	for dir in /usr/include /usr/include/*-linux-gnu; do
		[ ! -e "$dir/$header" ] || cp -r "$dir/$header" "$include"
	done
done
status=0
for source in "$srcdir"/sandbox/*.c; do
	"$cc" -std=gnu17 -O1 -Wall -Wextra -Wmissing-prototypes -Wstrict-prototypes -Wshadow -Wundef -Wvla \
		-Wwrite-strings -Werror -D_GNU_SOURCE -DAPPARMOR_FILE='"/"' -I"$srcdir" -I"$builddir" -isystem "$include" \
		-include "$builddir/config.h" -include "$srcdir/base/banned.h" -c -o /dev/null "$source" || status=1
done
exit $status
