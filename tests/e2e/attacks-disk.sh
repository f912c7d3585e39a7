#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Disks that are full, and system calls that fail, at many points of a build (58), as root and as a
# plain user: one clear error, a store that is whole, and the next build succeeds.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

disk=$scratch/small

# mine ARGUMENT...: cbuild by the user whose turn it is, on the small disk.
mine() { $as "$CBUILD" --root "$disk/store" "$@"; }

# All that writes: a base, a context, a step, an archive.
build_all()
{
	mine import "$scratch/root.tar" busybox && mine --progress=plain -t built "$context" &&
		mine save --format oci -o "$disk/saved.tar" built
}

layers() { mine inspect built | grep -oE '"sha256:[0-9a-f]{64}"' | tail -n 3; }

# fails_well: what the last build said is one error with a reason, and the store is whole.
fails_well()
{
	[ "$1" -lt 100 ] || { echo "exit status $1"; return 1; }
	grep -qE "$reason" "$scratch/said" || { cat "$scratch/said"; return 1; }
	! grep -E 'ssertion|Sanitizer|core dumped|\(null\)' "$scratch/said" || return 1
	[ ! -e "$disk/store/format" ] || python3 "$srcdir/tests/e2e/store_check.py" "$disk/store"
}

# then_works: on a disk with room the same store builds the same.
then_works()
{
	mount -o remount,size=1G,nr_inodes=100000 "$disk" && build_all >"$scratch/said" 2>&1 ||
		{ cat "$scratch/said"; return 1; }
	equal "$want" "$(layers)" && mine run busybox true && equal '' "$(ls -A "$disk/store/tmp")" &&
		python3 "$srcdir/tests/e2e/store_check.py" "$disk/store"
}

new_disk()
{
	! mountpoint -q "$disk" || umount "$disk" # what a failed check left
	mount -t tmpfs -o "mode=755,$1" tmpfs "$disk" && { [ "$who" = root ] || chown "$plain_user:" "$disk"; }
}

# full_at OPTION...: a disk of this size; counts in $full how often it was too small.
full_at()
{
	local status=0

	new_disk "$1" || return
	build_all >"$scratch/said" 2>&1 || status=$?
	[ "$status" = 0 ] || { full=$((full + 1)) && fails_well "$status"; } || { echo "at $1"; return 1; }
	then_works || { echo "after $1"; return 1; }
	umount "$disk"
}

test_bytes()
{
	local size full=0

	reason='No space left|did not complete|failed'
	for size in 8 64 512 2100 2300 2800 4200 4500 4900 5600 7000 8200 9400 10200 10600 11000 14000; do
		full_at "size=${size}k,nr_inodes=100000" || return
	done
	echo "full at $full of 17 sizes"
	[ "$full" -gt 10 ] && [ "$full" -lt 17 ]
}

test_inodes()
{
	local inodes full=0

	reason='No space left|did not complete|failed'
	for inodes in 3 6 12 20 30 34 40 120 460 500 560 620 640 680 1500; do
		full_at "size=1G,nr_inodes=$inodes" || return
	done
	echo "full at $full of 15 counts"
	[ "$full" -gt 8 ] && [ "$full" -lt 15 ]
}

# failing CALL ERROR COUNT: one call after the other fails once, in a build of its own.
failing()
{
	local call=$1 error=$2 count=$3 n status failed=0

	for ((n = 1; n <= count; n++)); do
		new_disk size=1G
		mine import "$scratch/root.tar" busybox >/dev/null || return
		status=0
		strace -f -qq -o "$scratch/trace" -e "trace=$call" -e "inject=$call:error=$error:when=$n" \
			"$CBUILD" --root "$disk/store" --progress=plain -t built "$context" >"$scratch/said" 2>&1 || status=$?
		if [ "$status" = 0 ]; then
			equal "$want" "$(layers)" || return
		else
			failed=$((failed + 1))
			reason="$(reason_of "$error")|did not complete"
			fails_well "$status" || { echo "$call $n"; return 1; }
		fi
		then_works || { echo "after $call $n"; return 1; }
		umount "$disk"
	done
	echo "$failed of $count failed"
	[ "$failed" -gt 0 ]
}

reason_of() { python3 -c 'import errno, os, sys; print(os.strerror(getattr(errno, sys.argv[1])))' "$1"; }

test_calls()
{
	local call error count

	[ "$who" = root ] || return 0 # as a user the same code runs, but strace sees less
	while read -r call error count; do
		check "root: 58: $call fails with $error" failing "$call" "$error" "$count"
	done <<-'EOF'
		syncfs EIO 1
		renameat ENOSPC 6
		linkat ENOSPC 3
		mkdirat ENOSPC 8
		flock EIO 3
		renameat2 EIO 1
	EOF
}

mkdir -p "$disk" "$scratch/context/many"
busybox_tar
context=$scratch/context
for i in $(seq 100); do echo "$i" >"$context/many/$i"; done
touch -d @1 "$context" "$context"/many{,/*}
head -c 500000 /dev/urandom >"$context/large"
cat >"$context/Dockerfile" <<-'EOF'
	FROM busybox
	COPY . /
	RUN mkdir /r && cp /large /r && for i in $(seq 50); do echo $i >/r/$i; done && touch -d @1 /r /r/*
	COPY many /
EOF
user_ready
for who in root user; do
	as=
	[ "$who" = root ] || as=as_user
	new_disk size=1G && build_all >/dev/null 2>&1 || exit 1
	want=$(layers)
	df --output=used,iused "$disk" | sed "s/^/# $who: /"
	umount "$disk"
	check "$who: 58: no space" test_bytes
	check "$who: 58: no inodes" test_inodes
	test_calls
done
finish
