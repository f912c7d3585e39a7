#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Kernels and policies that lack system calls: steps run by older ones, in the very same sandbox.
#
#	tests/e2e/refused-calls.sh long     other end-to-end tests without these calls, too: a minute
#
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

context=$scratch/context
mount_calls='fsopen fsconfig fsmount open_tree move_mount mount_setattr'
all=${mount_calls// /,},clone3,close_range
calls=

# refused COMMAND...: without $calls.
refused() { "$scratch/refuse" "$calls" "$@"; }

# Who builds: root or a user, with all calls or without some. It takes root to refuse them.
root_with() { cbuild "$@"; }
root_without() { refused "$CBUILD" --root "$store" "$@"; }
user_with() { user_cbuild "$@"; }
user_without()
{
	refused setpriv --reuid "$plain_user" --regid "$plain_user" --init-groups --reset-env -- \
		env HOME="$user_home" PATH="$PATH" "$CBUILD" --root "$user_home/store" "$@"
}

# built_by WHO DOCKERFILE OPTION...: all anew, plainly.
built_by()
{
	"$1" build --no-cache --progress=plain --secret id=s,src="$context/secret" -f "$context/$2" "${@:3}" "$context"
}

# mount_table WHO: place, flags and type of each mount that a step sees.
mount_table() { built_by "$1" Table 2>&1 | sed -nE 's/^#[0-9]+ [0-9.]+ table: //p'; }

mkdir -p "$context/some dir"
echo content >"$context/some dir/file"
cat >"$context/Table" <<-'EOF'
	FROM busybox
	RUN --mount=type=bind,target=/b/c --mount=type=bind,from=other,target=/o --mount=type=cache,target=/cache \
		--mount=type=tmpfs,target=/t --mount=type=secret,id=s,target=/s --mount=type=bind,rw,target=/rw \
		test "$(cat "/b/c/some dir/file" /s)" = "$(printf 'content\nsecret')" && test -x /o/bin/sh && \
		touch /cache/x /t/x /rw/x && \
		awk '{ for (i = 7; $i != "-"; i++); print "table:", $5, $6, $(i + 1) }' /proc/self/mountinfo
EOF
echo secret >"$context/secret"
cat >"$context/Run" <<-'EOF'
	FROM busybox
	RUN echo x >/made && rm -r /tmp && test -c /dev/null
EOF
{
	echo FROM busybox
	for i in {1..150}; do echo "COPY [\"some dir/file\", \"/f$i\"]"; done
	echo 'RUN cat /f1 /f75 /f150 && rm /f75'
} >"$context/Many"
{
	for i in {1..8}; do
		echo "FROM busybox AS s$i"
		echo "RUN for i in 1 2 3; do sleep 0.05; echo $i >> /out; done"
	done
	echo 'FROM busybox'
	for i in {1..8}; do echo "COPY --from=s$i /out /out$i"; done
	echo 'RUN cat /out? | tr -dc 0-9'
} >"$context/Stages"
chmod -R a+rX "$context"

gcc -O1 -o "$scratch/refuse" "$srcdir/tests/e2e/refuse.c" -lseccomp || exit 1
busybox_tar
user_ready
for by in cbuild user_cbuild; do
	$by import "$scratch/root.tar" busybox >/dev/null && $by tag busybox other || exit 1
done

for who in root user; do
	calls=$all
	mount_table "${who}_with" >"$scratch/want"
	mount_table "${who}_without" >"$scratch/got"
	check "$who: a step has its mounts" test "$(wc -l <"$scratch/want")" -gt 25
	check 'the same ones, with the same flags, by the older calls' diff "$scratch/want" "$scratch/got"
	for call in $mount_calls; do
		for calls in "$call" "!$call"; do
			check "$who: RUN without ${calls/!/permission for } alone" built_by "${who}_without" Run
		done
	done
	calls=$all
	check "$who: RUN on 151 layers" says '^#152 [0-9.]+ content$' eval "built_by ${who}_without Many 2>&1"
	check 'stages that run at the same time' says ' 111222333444555666777888$' \
		eval "built_by ${who}_without Stages 2>&1"
done

# --- Landlock

cat >"$context/Twice" <<-'EOF'
	FROM busybox
	RUN echo a >/a
	RUN echo b >/b
EOF
told='warning: Landlock is not in this kernel, or switched off: with --isolation=chroot nothing but the capabilities it lacks keeps RUN in its directory, and it can signal and trace other processes (fix: Linux 5.13 or newer with landlock in the lsm= boot option)'
calls=landlock_create_ruleset
check 'a chroot without Landlock' eval 'built_by root_without Twice --isolation=chroot >"$scratch/said" 2>&1'
check 'is warned of, once' equal "$told" "$(grep Landlock "$scratch/said")"
check 'namespaces without Landlock' eval 'built_by root_without Twice >"$scratch/said" 2>&1'
check 'need no warning' eval '! grep Landlock "$scratch/said"'
if cbuild info | grep -q '^ *Landlock *yes'; then
	check 'nor does a chroot with it' eval 'built_by root_with Twice --isolation=chroot >"$scratch/said" 2>&1 &&
		! grep Landlock "$scratch/said"'
else
	skip 'there is no Landlock here'
fi

# --- other tests

calls=$all
tests='basic ladder'
[ "${1:-}" != long ] || tests+=' mounts cache-mounts network'
for test in $tests; do
	check "$test, by the older calls" refused env CBUILD="$CBUILD" "$srcdir/tests/e2e/$test.sh"
done

finish
