#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The AppArmor profile: it is about the program that will be installed, and the parser takes it. A parser
# before 4.0 knows no user namespaces, which is what the profile is for: it is shown the rest.
set -eu
profile=${builddir:-.}/sandbox/apparmor/cbuild
PATH=$PATH:/usr/sbin:/sbin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

grep -q '^profile cbuild /.*/cbuild flags=(unconfined) {$' "$profile"
grep -q '^  userns,$' "$profile"
command -v apparmor_parser >/dev/null || {
	echo 'no apparmor_parser'
	exit 77
}
cp "$profile" "$work/cbuild"
version=$(apparmor_parser --version | sed -n 's/.*version \([0-9]*\).*/\1/p')
if [ "$version" -lt 4 ]; then
	sed -i 's|^abi <abi/4.0>,|abi <abi/3.0>,|; /^  userns,$/d' "$work/cbuild"
fi
parse() { apparmor_parser --skip-kernel-load --skip-cache --skip-read-cache "$work/cbuild"; }
parse
# It looks at what it is given.
echo 'no rule' >>"$work/cbuild"
! parse 2>/dev/null
