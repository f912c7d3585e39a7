#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Random edits to random contexts and Dockerfiles: after each, a build with the cache gives what a
# build without one gives, and no step ran that did not need to. The long form, of any seeds:
#
#	CBUILD_PROPERTY_EDITS=500 CBUILD_PROPERTY_SEEDS='1 2 3' tests/e2e/property.sh
#
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

# make_base NUMBER: an image of busybox and some links, in both stores.
make_base()
{
	local root=$scratch/base$1 link

	mkdir -p "$root/bin" "$root/etc" "$root/out"
	cp /bin/busybox "$root/bin/"
	for link in sh ls find env sort rm mkdir true; do ln -s busybox "$root/bin/$link"; done
	echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
	echo "$1" >"$root/etc/version"
	tar -C "$root" --owner=0 --group=0 --numeric-owner -cf "$scratch/base.tar" .
	for store in "$scratch/one" "$scratch/two"; do
		cbuild import "$scratch/base.tar" "base:$1" >/dev/null || exit 1
	done
}

make_base 0
make_base 1
# both stores have the same base, to the byte: an import notes its time
rm -rf "$scratch/two" && cp -a "$scratch/one" "$scratch/two"
edits=${CBUILD_PROPERTY_EDITS:-60}
for seed in ${CBUILD_PROPERTY_SEEDS:-1}; do
	rm -rf "$scratch/work" && mkdir "$scratch/work"
	cp -a "$scratch/one" "$scratch/two" "$scratch/work"
	check "seed $seed: $edits edits" \
		env PYTHONDONTWRITEBYTECODE=1 "$srcdir/tests/e2e/property.py" "$CBUILD" "$scratch/work" "$edits" "$seed"
	grep '^# seed ' "$scratch/output"
done
finish
