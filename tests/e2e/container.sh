#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# cbuild inside containers that others start: docker's and podman's with their default profiles (no
# mount, no unshare, no namespaces), and ones with a little more. Nothing is privileged but the daemon.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

context=$scratch/context
mkdir "$context" "$scratch/empty"

# A base with a package repository of its own, so that apt needs no network; and an image whose
# layers remove and replace what lies below.
images()
{
	bases_registry
	cbuild pull debian:12 >/dev/null && cbuild save -o "$context/debian.tar" debian:12 &&
		cbuild import - busybox <"$scratch/box.tar" >/dev/null || return 1
	cat >"$scratch/Dockerfile" <<-'EOF'
		FROM busybox
		RUN mkdir /d && echo old > /d/old && echo kept > /kept && chown -R 1000:1000 /d
		RUN rm -r /d /bin/zcat && mkdir /d && echo new > /d/new && chown 1000:1000 /d/new
EOF
	cbuild build -q -t layered -f "$scratch/Dockerfile" "$scratch/empty" >/dev/null &&
		cbuild save -o "$context/layered.tar" layered
}

at_end_of_test() { [ -z "${podman_used:-}" ] || podman_ system migrate >/dev/null 2>&1; } # its pause process

# in_docker COMMAND...: in a container with docker's default profile and capabilities.
in_docker() { docker_ run --rm --network=host -v "$context:/ctx:ro" "${docker_options[@]}" box "$@"; }
docker_options=()

cbuild_root "$scratch/root" && tar -C "$scratch/root" --numeric-owner -cf "$scratch/box.tar" .
images || { echo "$test_name: no images" >&2; exit 1; }
docker_start "$scratch" || exit 1
docker_ import "$scratch/box.tar" box >/dev/null || exit 1
echo some >"$context/file"
chmod -R a+rX "$context"

cat >"$context/Copy" <<-'EOF'
	FROM layered
	COPY --chown=1000:5 file /d/added
	COPY --from=layered /d/new /copied
EOF
(cat "$context/Copy" && printf 'WORKDIR /work\nENV A=1\n') >"$context/More"
cat >"$context/Run" <<-'EOF'
	FROM layered
	RUN echo run > /run-was-here && rm /kept
EOF
cat >"$context/Mounts" <<-'EOF'
	FROM layered
	RUN --mount=target=/c --mount=type=cache,target=/cache --mount=type=secret,id=s --mount=type=tmpfs,target=/t \
		test -s /c/file && test "$(cat /run/secrets/s)" = s3cr3t && touch /t/x && echo x >/cache/x && cp /c/file /copied
	RUN --mount=type=cache,target=/cache --mount=from=layered,source=/d,target=/e/f,rw \
		test "$(cat /cache/x)" = x && test "$(cat /e/f/new)" = new && rm /e/f/new && test ! -e /t && test ! -e /c
	RUN --network=none nc -w 1 127.0.0.1 9 2>&1 | grep 'Address family not supported'
	RUN test ! -e /e && test -e /d/new
EOF
cat >"$context/Apt" <<-'EOF'
	FROM debian:12
	RUN apt-get update && apt-get install -y cowsay
	RUN /usr/games/cowsay moo > /moo && rm /usr/games/cowthink; (sleep 1000 &)
	FROM debian:12
	COPY --from=0 /moo /moo
	RUN test -s /moo && test ! -e /usr/games/cowsay
EOF

load='cbuild load -q -i /ctx/layered.tar >/dev/null'
check 'docker, default profile: COPY, WORKDIR and ENV are built' in_docker sh -c "$load &&
	cbuild build -q -f /ctx/More -t out /ctx && cbuild save -o /tmp/out.tar out"
cbuild build -q -f "$context/Copy" -t out "$context" >/dev/null
check 'into the same layers as outside' equal "$(cbuild inspect --format '{{json .RootFS}}' out)" \
	"$(in_docker sh -c "$load && cbuild build -q -f /ctx/Copy -t out /ctx >&2 &&
		cbuild inspect --format '{{json .RootFS}}' out" 2>/dev/null)"

check 'RUN fails' fails 1 in_docker sh -c "$load && cbuild build -f /ctx/Run /ctx"
check 'and says which ways were tried' grep -q 'as root: cannot create a mount namespace: Operation not permitted (CAP_SYS_ADMIN is missing' "$scratch/said"
check 'and why the other one failed' grep -q 'as root in a user namespace: cannot create a user namespace: Operation not permitted (a seccomp policy is in force, as in a container; fix: start the container with --security-opt seccomp=unconfined' "$scratch/said"
check 'and what can be done' grep -q -- 'without namespaces: --isolation=chroot' "$scratch/said"
check '--isolation=namespace fails before the first step' fails 1 in_docker sh -c \
	"$load && cbuild build --isolation=namespace -f /ctx/Copy /ctx"

check '--isolation=chroot runs apt-get' in_docker sh -c '
	cbuild load -q -i /ctx/debian.tar && cbuild build --isolation=chroot -f /ctx/Apt -t out /ctx &&
	cbuild run --isolation=chroot out cat /moo &&
	! ps | grep -v grep | grep -q "sleep 1000"'
check 'RUN --mount in all types, and without a network' in_docker sh -c '
	cbuild load -q -i /ctx/layered.tar && printf s3cr3t >/s && export CBUILD_ISOLATION=chroot &&
	cbuild build --secret id=s,src=/s -f /ctx/Mounts -t out /ctx &&
	cbuild run out sh -c "ls / | tr \"\\n\" \" \"; cat /kept" | grep -q "bin copied d dev etc kept" &&
	! grep -r s3cr3t /var/lib/cbuild'
check 'CBUILD_ISOLATION says it too, and owners are right' in_docker sh -c "$load &&
	export CBUILD_ISOLATION=chroot
	cbuild build -q -f /ctx/Copy -t out /ctx &&
	test \"\$(cbuild run out stat -c '%n %u:%g' /d/added /copied /d/new | tr '\n' ' ')\" = \
		'/d/added 1000:5 /copied 1000:1000 /d/new 1000:1000 '"
check 'what a layer removed is not there' in_docker sh -c "$load &&
	test \"\$(cbuild run --isolation=chroot layered sh -c 'ls /d; test ! -e /bin/zcat && cat /kept' |
		tr '\n' ' ')\" = 'new kept '"
in_docker sh -c "$load && cbuild build -q --isolation=chroot -f /ctx/Run -t r /ctx >&2 &&
	cbuild save r" >"$scratch/made.tar" && cbuild load -q -i "$scratch/made.tar" >/dev/null
check 'a layer made there runs here' prints 'run' cbuild run r cat /run-was-here
check 'without what it removed' fails 1 cbuild run r cat /kept
check 'cbuild info says so' says 'chroot only, with --isolation=chroot' in_docker cbuild info
check 'a second chroot, devices and other processes are out of reach' in_docker sh -c "$load &&
	cbuild run --isolation=chroot layered sh -c '
		mkdir /x; chroot /x /bin/true && exit 1
		mknod /n b 8 0 && exit 1
		kill -9 1 && exit 1
		kill -9 \$PPID && exit 1
		exit 0'"

docker_options=(--user 1000 --env CBUILD_ROOT=/tmp/store)
check 'docker, plain user: RUN fails' fails 1 in_docker sh -c \
	"printf 'FROM scratch\nRUN true\n' >/tmp/D && cbuild build -f /tmp/D /ctx"
check 'and says why' eval 'cat "$scratch/said"; grep -q "as a user in a user namespace: cannot create a user namespace" "$scratch/said"'
check 'docker, plain user: COPY is built' in_docker sh -c "
	printf 'FROM scratch\nCOPY --chown=7:7 file /\nENV A=1\n' >/tmp/D && cbuild build -q -f /tmp/D /ctx"

made_by_others=$(cbuild inspect --format '{{json .RootFS}}' out)
for docker_options in '--user=1000 --env=CBUILD_ROOT=/tmp/store' '--cap-drop=ALL'; do
	read -ra docker_options <<<"$docker_options"
	check "docker, ${docker_options[0]}: COPY onto a foreign image, WORKDIR, and COPY --from one" in_docker sh -c "
		$load && cbuild build -q -f /ctx/More -t out /ctx && cbuild save -o /tmp/out.tar out"
	check 'into the same layers as elsewhere' equal "$made_by_others" \
		"$(in_docker sh -c "$load && cbuild build -q -f /ctx/Copy -t out /ctx >&2 &&
			cbuild inspect --format '{{json .RootFS}}' out" 2>/dev/null)"
done

docker_options=(--security-opt seccomp=unconfined --security-opt systempaths=unconfined
	--cap-add SYS_ADMIN -v "$scratch/volume:/var/lib/cbuild")
check 'docker, without its policy, on a volume: RUN works' in_docker sh -c \
	"$load && cbuild build -f /ctx/Run -t out /ctx && cbuild run out cat /run-was-here"

docker_stop

# --- podman's default container, which has fewer capabilities; also of a plain user

# podman_ ARGUMENT...: by $as, with all it has in $place.
podman_()
{
	$as env XDG_RUNTIME_DIR="$place/xdg" podman --root "$place/podman" --runroot "$place/podman-run" \
		--tmpdir "$place/podman-tmp" --storage-driver vfs --runtime runc --cgroup-manager cgroupfs \
		--events-backend file "$@"
}

# The limits: where root may not raise them, podman's default cannot be had.
in_podman()
{
	podman_ run --rm --network=host --ulimit nofile=1024 --ulimit nproc=1024 -v "$context:/ctx:ro" \
		"${podman_options[@]}" box "$@"
}
podman_options=()

user_ready
chmod a+r "$scratch/box.tar"
for who in root user; do
	as='' place=$scratch
	[ "$who" = root ] || as=as_user place=$user_home
	$as mkdir -m 700 "$place/xdg"
	check "podman of $who: it runs containers" podman_ import "$scratch/box.tar" box
	podman_used=$who
	check "podman of $who, default profile: COPY is built into the same layers" equal "$made_by_others" \
		"$(in_podman sh -c "$load && cbuild build -q -f /ctx/Copy -t out /ctx >&2 &&
			cbuild inspect --format '{{json .RootFS}}' out" 2>/dev/null)"
	check 'RUN fails' fails 1 in_podman sh -c "$load && cbuild build -f /ctx/Run /ctx"
	check 'and says why, and what can be done' eval 'cat "$scratch/said"
		grep -q "mount proc (parts of /proc are masked, as in a container; fix, one of: start it with --security-opt systempaths=unconfined (podman: unmask=ALL), or --isolation=chroot, which is weaker): Operation not permitted" "$scratch/said"'
	check '--isolation=chroot: RUN works, and what it made is there' in_podman sh -c "$load &&
		cbuild build --isolation=chroot -f /ctx/Run -t r /ctx &&
		test \"\$(cbuild run --isolation=chroot r cat /run-was-here)\" = run &&
		! cbuild run --isolation=chroot r cat /kept"
	check 'cbuild info names the rung' says 'chroot only, with --isolation=chroot' in_podman cbuild info
	podman_options=(--security-opt unmask=ALL -v "$place/podman-volume:/var/lib/cbuild")
	$as mkdir -m 700 "$place/podman-volume"
	check 'with a whole /proc and a volume: RUN works' in_podman sh -c \
		"$load && cbuild build --isolation=namespace -f /ctx/Run -t out /ctx && cbuild run out cat /run-was-here"
	check 'and info says so' says 'root in a user namespace' in_podman cbuild info
	podman_options=()
done

finish
