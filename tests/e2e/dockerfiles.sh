#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Each case of testdata/dockerfile gives the root file system and config that are written in it, or
# the error, for root and for a plain user. Names as arguments choose some of them. With
# CASES_WRITE=1 what root's cbuild builds becomes what is expected.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lib/cases.sh
. "$srcdir/tests/lib/cases.sh"

mapfile -t names < <(cases_names "$@")
cases_ready "${names[@]}"
cases_import cbuild && cases_import user_cbuild || exit 1
cbuild save busybox >"$scratch/base-image.tar" || exit 1
cases_run command --who root ${CASES_WRITE:+--write} -- "$CBUILD" --root "$store"
cases_run as_user --who user -- "$CBUILD" --root "$user_home/store"
finish
