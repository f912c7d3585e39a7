# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# The cases of testdata/dockerfile that are built (docs/testing.md says what files they have), for
# the tests that source tests/e2e/lib.sh. Directories without `expect` and `expect-error` are the
# parser's own.

cases_dir=$srcdir/testdata/dockerfile

# cases_names [NAME...]: those given, or all.
cases_names()
{
	if [ $# -gt 0 ]; then
		printf '%s\n' "${@##*/}"
	else
		(cd "$cases_dir" && printf '%s\n' */expect */expect-error | sed 's,/.*,,' | sort -u)
	fi
}

# cases_ready NAME...: $scratch/base.tar, the root that they stand on, and $scratch/contexts, of the
# plain user, with the modes that git would give them and with what git cannot keep.
cases_ready()
{
	local root=$scratch/base name

	# Docker leaves mount points that a base lacks in the first layer of a RUN; cbuild does not.
	mkdir -p "$root"/{bin,dev,etc,proc,root,sys,tmp}
	chmod 755 "$root" "$root"/*
	chmod 1777 "$root/tmp"
	: >"$root/etc/resolv.conf"
	: >"$root/etc/hosts"
	printf '%s\n' root:x:0:0:root:/root:/bin/sh app:x:1000:1001:app:/home/app:/bin/sh \
		>"$root/etc/passwd"
	printf '%s\n' root:x:0: app:x:1001: staff:x:50:app >"$root/etc/group"
	cp /bin/busybox "$root/bin/"
	chroot "$root" /bin/busybox --install -s /bin
	tar -C "$root" --sort=name --numeric-owner -cf "$scratch/base.tar" .

	user_ready
	cp -r "$cases_dir" "$scratch/contexts"
	chmod -R u=rwX,go=rX "$scratch/contexts"
	(cd "$scratch/contexts" && rm -f -- */expect */expect-error */args */setup */why)
	chown -hR "$plain_user:$plain_user" "$scratch/contexts"
	for name; do
		[ ! -e "$cases_dir/$name/setup" ] ||
			(cd "$scratch/contexts/$name" &&
				as_user sh -euc 'umask 022; . "$1"' - "$cases_dir/$name/setup") ||
			not_ok "$name: setup"
	done
}

# cases_import COMMAND...: the base, as `busybox`, with the config that images of the hub have.
cases_import()
{
	"$@" import --change 'CMD ["/bin/sh"]' \
		--change "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
		- busybox <"$scratch/base.tar" >/dev/null
}

# cases_run RUN_AS OPTION... -- BUILDER...: build and compare the cases of $names; counted. RUN_AS
# is as_user, or `command`.
cases_run()
{
	local run_as=$1 options=() log=$scratch/cases.log

	shift
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	"$run_as" "$srcdir/tests/e2e/dockerfile_cases.py" "${options[@]}" "$scratch/contexts" \
		"$scratch/base-image.tar" "${names[@]}" "$@" | tee "$log"
	passed=$((passed + $(grep -c '^ok - ' "$log")))
	failed=$((failed + $(grep -c '^not ok - ' "$log")))
	[ "$(grep -cE '^(ok|not ok) - ' "$log")" = ${#names[@]} ] || not_ok 'all cases were run'
}
