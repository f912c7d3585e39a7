#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What docker's BuildKit builds from each case of testdata/dockerfile is what is written in it, as
# what cbuild builds is (dockerfiles.sh): the root file system and the config, or that it fails.
# Cases in which this docker is known to differ say so in a file `why`, and are compared only when
# they are named: names as arguments choose some cases. With CASES_WRITE=1 what docker builds
# becomes what is expected.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lib/cases.sh
. "$srcdir/tests/lib/cases.sh"

mapfile -t names < <(cases_names "$@")
if [ $# = 0 ]; then
	all=("${names[@]}") names=()
	for name in "${all[@]}"; do
		[ -e "$cases_dir/$name/why" ] || names+=("$name")
	done
	echo "# ${#names[@]} of ${#all[@]} cases: the others' files \`why\` say why not"
fi
cases_ready "${names[@]}"
cases_import cbuild || exit 1
cbuild save busybox >"$scratch/base-image.tar" || exit 1
docker_start "$scratch" || exit 1
docker_ load -q -i "$scratch/base-image.tar" || exit 1
DOCKER_BUILDKIT=1 cases_run command --who docker --docker ${CASES_WRITE:+--write} -- \
	"${DOCKER:-/usr/bin/docker}"
kill -0 "$dockerd_pid" || { not_ok 'dockerd lives'; grep -m 1 -A 20 -e '^panic' -e '^fatal' "$scratch/docker.log"; }
finish
