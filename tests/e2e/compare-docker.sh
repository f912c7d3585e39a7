#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What cbuild builds from each testdata/compare/NAME is what docker's BuildKit builds: the same root
# file system and the same config. Names as arguments choose some of them.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

same()
{
	local context=$srcdir/testdata/compare/$1

	docker_ build --network=host -q -t "$1" "$context" || return
	docker_ save -o "$scratch/docker.tar" "$1" || return
	cbuild build -q -t "$1" "$context" || return
	cbuild save --format docker -o "$scratch/cbuild.tar" "$1" || return
	"$srcdir/tests/e2e/compare_images.py" "$scratch/docker.tar" "$scratch/cbuild.tar"
}

bases_registry
docker_start "$scratch" "$registry" || exit 1
[ $# -gt 0 ] || set -- "$srcdir"/testdata/compare/*
for name; do
	name=$(basename "$name")
	check "$name: as docker builds it" same "$name"
done
finish
