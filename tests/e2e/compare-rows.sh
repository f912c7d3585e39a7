#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Each row of testdata/dockerfile-rows means to cbuild what it says, and to docker's BuildKit where
# that version has the feature.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

# Counts the lines that compare_rows.py prints.
rows()
{
	local line

	while IFS= read -r line; do
		echo "$line"
		case $line in
		'ok - '*) passed=$((passed + 1)) ;;
		'not ok - '*) failed=$((failed + 1)) ;;
		esac
	done < <("$srcdir/tests/e2e/compare_rows.py" "$srcdir/testdata/dockerfile-rows" context \
		"$CBUILD --root $store" "${DOCKER:-/usr/bin/docker}" 2>&1)
}

bases_registry
docker_start "$scratch" "$registry" || exit 1
mkdir -p context/dir
echo a >context/a
echo b >context/b
echo c >context/dir/c
docker_ pull -q busybox >/dev/null && cbuild pull -q busybox >/dev/null || exit 1
rows
finish
