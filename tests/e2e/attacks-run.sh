#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a hostile RUN tries (probe.c), as root and as a plain user: what it sees, what it may call,
# what it leaves behind. The numbers are those of docs/security.md.
# shellcheck source=tests/e2e/lib.sh
# shellcheck disable=SC2016 # Dockerfiles hold variables of their own
. "$(dirname "$0")/lib.sh"

mark=cbuild-daemon-$RANDOM$RANDOM
secret=host-secret-$RANDOM$RANDOM

# mine ARGUMENT...: cbuild by the user whose turn it is.
mine() { $as env HOST_SECRET="$secret" "$CBUILD" --root "$place" "$@"; }

# build [OPTION...]: the Dockerfile on standard input. What it says is in $scratch/said.
build()
{
	cat >"$context/Dockerfile"
	mine --progress=plain --no-cache -t built "$@" "$context" >"$scratch/said" 2>&1 ||
		{ cat "$scratch/said"; return 1; }
}

# said: the lines that steps printed, without what stands before them.
said() { sed -nE 's/^#[0-9]+ [0-9.]+ //p' "$scratch/said"; }

# answers COMMAND EXPECTED [OPTION...]: RUN COMMAND prints these lines.
answers()
{
	local command=$1 expected=$2

	shift 2
	printf 'FROM probe\nRUN %s\n' "$command" | build "$@" || return
	said | diff - <(printf '%s\n' "$expected")
}

test_view()
{
	check "$who: 39: descriptors" answers \
		'for i in 0 1 2; do readlink /proc/self/fd/$i; done | sed "s/:.*//"; ls /proc/self/fd | wc -l' \
		$'/dev/null\npipe\npipe\n4'
	check "$who: 39: no path of the host" eval 'build <<-EOF
			FROM probe
			RUN cat /proc/self/mountinfo /proc/mounts /proc/self/cmdline /proc/1/cmdline /proc/1/comm /proc/self/cgroup; env; hostname
			RUN --mount=target=/c,rw --mount=type=tmpfs,target=/d --mount=type=bind,from=probe,target=/e cat /proc/self/mountinfo
		EOF
		! said | grep -aE "$place|$scratch|$user_home|$secret|$(uname -n)"'
	check "$who: 40: capabilities, seccomp, no_new_privs" answers \
		'grep -E "^(Cap...|NoNewPrivs|Seccomp):" /proc/self/status' \
		"$(printf '%s\n' $'CapInh:\t0000000000000000' $'CapPrm:\t00000000a80425fb' $'CapEff:\t00000000a80425fb' \
			$'CapBnd:\t00000000a80425fb' $'CapAmb:\t0000000000000000' $'NoNewPrivs:\t0' $'Seccomp:\t2')"
	check "$who: 41: what is masked is empty" answers \
		'cat /proc/kcore /proc/keys /proc/timer_list /proc/interrupts /proc/sched_debug 2>/dev/null | wc -c; find /sys/firmware /proc/acpi /proc/scsi -type f 2>/dev/null | wc -l' \
		$'0\n0'
	check "$who: 41: other processes and /proc" eval 'printf "FROM probe\nRUN /probe proc\n" | build &&
		equal 20 "$(said | grep -cE ": E[A-Z]+$")"'
	check "$who: 42: system calls" answers '/probe calls' "$call_answers"
}

call_answers='AF_ALG: EPERM
AF_VSOCK: EPERM
AF_ALG, high bits: EPERM
AF_VSOCK, high bits: EPERM
unshare user: EPERM
unshare mount: EPERM
clone user: EPERM
clone3: ENOSYS
keyctl: EPERM
add_key: EPERM
bpf: EPERM
io_uring: EPERM
userfaultfd: EPERM
perf: EPERM
handle: EPERM
mount: EPERM
setns: EPERM
kexec: EPERM
module: EPERM
call 600: ENOSYS'

# Block devices by mknod: finding 4. Every place that a RUN can write to.
test_devices()
{
	local disk

	disk=$(stat -c '%Hd %Ld' /)
	check "$who: a disk of the host cannot be opened by mknod" eval 'build <<-EOF
			FROM probe
			RUN --mount=type=tmpfs,target=/t --mount=type=cache,target=/c --mount=target=/b,rw --mount=from=probe,target=/i,rw \
				/probe devices $disk / /dev /dev/shm /tmp /t /c /b /i
		EOF
		equal "devices done" "$(said)"'
	rm -f "$context"/disk
}

test_privileges()
{
	check "$who: 45: a setuid program works" eval 'build <<-"EOF"
			FROM probe
			RUN cp /probe /suid && chmod 4755 /suid
			USER 1000
			RUN /probe ids; /suid ids
		EOF
		equal $'"'1000 1000\n1000 0'"' "$(said)"'
	check "$who: 45: a program with file capabilities works" eval 'build <<-"EOF"
			FROM probe
			RUN cp /probe /ping && /probe setcap /ping
			USER 1000
			RUN --network=none /probe raw; /ping raw
		EOF
		equal $'"'setcap: yes\nraw socket: EPERM\nraw socket: yes'"' "$(said)"'
	check "$who: 45: su" eval 'printf "FROM debian:12\nRUN su nobody -s /bin/sh -c \"id -u; id -G\"\n" | build &&
		equal $'"'65534\n65534'"' "$(said)"'
	tar -C / -chf "$context/sudo.tar" usr/bin/sudo usr/libexec/sudo etc/pam.d/sudo /lib/*/libaudit.so.1 \
		/lib/*/libcap-ng.so.0 /lib/*/libselinux.so.1 /lib/*/libpcre2-8.so.0 2>/dev/null
	check "$who: 45: sudo" eval 'build <<-"EOF"
			FROM debian:12
			ADD sudo.tar /
			RUN chmod 4755 /usr/bin/sudo && echo "nobody ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers && chmod 440 /etc/sudoers
			USER nobody
			RUN sudo -n id -u
		EOF
		equal 0 "$(said | tail -n 1)"'
	rm "$context/sudo.tar"
	check "$who: 46: file capabilities in a layer" eval 'build <<-"EOF"
			FROM probe
			RUN cp /probe /ping && /probe setcap /ping && touch -d @1 /ping / && rm -rf /root
		EOF
		mine save --format oci -o "$shared/caps.tar" built >/dev/null && file_caps "$shared/caps.tar" >"$scratch/caps-$who"'
	check "$who: 46: are of version 2" grep -q ' ping security.capability=0100000200200000000000000000000000000000$' "$scratch/caps-$who"
	[ "$who" = root ] || check '46: the layer of a user is that of root' cmp "$scratch/caps-root" "$scratch/caps-user"
}

# file_caps ARCHIVE: the layers that have file capabilities, and these.
file_caps() { layers_of "$1" | awk '/^layer/ { layer = $0 } / security.capability=/ { print layer; print }'; }

test_diff()
{
	check "$who: notes of overlayfs in a RUN mean nothing" eval 'build <<-"EOF"
			FROM probe
			RUN mkdir /d /secret && touch /d/lower /secret/x
			RUN mkdir /d/upper && /probe files /d
			RUN ls /d
		EOF
		equal $'"'mknod 0:0: EPERM\nlower\nupper'"' "$(said)"'
	check "$who: and are in no layer" eval 'mine save --format oci -o "$shared/notes.tar" built >/dev/null &&
		layers_of "$shared/notes.tar" >"$scratch/layers" && grep -q " d/upper$" "$scratch/layers" && ! grep overlay "$scratch/layers"'
	check "$who: a name that no layer can hold is an error" eval '! printf "FROM probe\nRUN touch /tmp/.wh.x\n" | build >/dev/null &&
		grep -q "cannot hold /tmp/.wh.x" "$scratch/said"'
	check "$who: a socket is left out, with a warning" eval 'build <<-"EOF"
			FROM probe
			RUN /probe socket /s && touch /kept
			RUN ls / | grep -cxE "s|kept"
		EOF
		grep -qi "warning.*1 socket" "$scratch/said" && equal $'"'socket: yes\n1'"' "$(said)"'
}

test_daemons()
{
	local start=$SECONDS

	check "$who: 47: daemons that hold stdout do not hold the step" eval 'build <<-EOF
			FROM probe
			RUN /probe daemon 40 $mark
			RUN /probe daemon 4 $mark & sleep 0.2; exit 0
		EOF'
	check "$who: 47: within a moment" [ $((SECONDS - start)) -le 8 ]
	check "$who: 47: and none is left" eval '! pgrep -f "^$mark"'
	check "$who: 47: nor after a step that failed" eval '! build <<-EOF
			FROM probe
			RUN /probe daemon 10 $mark; exit 1
		EOF
		! pgrep -f "^$mark"'
}

# A terminal that cbuild runs on is not for steps.
test_terminal()
{
	printf 'FROM probe\nRUN /probe inject\n' >"$context/Dockerfile"
	cat >"$scratch/on-terminal" <<-EOF
		cd $shared
		"$CBUILD" --root "$place" --progress=plain --no-cache "$context" >$shared/terminal 2>&1
		read -r -t 1 line && echo "\$line" >$shared/injected
	EOF
	# shellcheck disable=SC2086 # may be empty
	check "$who: TIOCSTI" eval '$as script -qec "bash $scratch/on-terminal" /dev/null >/dev/null </dev/null; cp $shared/terminal $scratch/said'
	check "$who: TIOCSTI: no terminal" equal $'tty of stdout: ENOTTY\nTIOCSTI: ENOTTY' "$(said)"
	check "$who: TIOCSTI: nothing typed" [ ! -e "$shared/injected" ]
}

test_sockets()
{
	local name=cbuild-abstract-$RANDOM server

	python3 -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX); s.bind("\0" + sys.argv[1]); s.listen(); time.sleep(60)' "$name" &
	server=$!
	wait_until 5 grep -q "@$name" /proc/net/unix
	check "$who: abstract sockets of the host, without its network" answers "/probe connect $name" \
		'connect: ECONNREFUSED' --network none
	if grep -q 'Landlock  *yes' <<<"$($as "$CBUILD" --root "$place" info)"; then
		check "$who: abstract sockets of the host, with its network" answers "/probe connect $name" 'connect: EPERM'
		check "$who: abstract sockets of the host, by --isolation=chroot" answers "/probe connect $name" 'connect: EPERM' --isolation=chroot
	else
		skip "$who: no scopes of Landlock, so with its network they are in reach"
	fi
	stop_pid "$server"
}

# What a step prints is text.
test_output()
{
	check "$who: control characters are made harmless" eval \
		'printf "FROM probe\nRUN printf %s\n" "'"'\\\\033[2J\\\\033]0;x\\\\007\\\\r\\\\0302\\\\0233y\\\\n'"'" | build && ! grep -aP "[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]" "$scratch/said"'
	check "$who: in the Dockerfile too" eval \
		'printf "FROM probe\nRUN true \033[2J\n" | build; ! grep -aP "[\x00-\x08\x0b-\x1f\x7f]" "$scratch/said"'
}

gcc -static -O1 -D_GNU_SOURCE "$srcdir/tests/e2e/probe.c" -o "$scratch/probe" || exit 1
mkdir -p "$scratch/root/root"
cp "$scratch/probe" "$scratch/root/"
busybox_tar
user_ready
bases_registry
context=$scratch/context
mkdir "$context"
touch "$context/file"
for who in root user; do
	as= place=$store shared=$scratch/shared-$who
	mkdir "$shared"
	[ "$who" = root ] || { as=as_user place=$user_home/store; chown "$plain_user:" "$shared"; }
	mine import "$scratch/root.tar" probe >/dev/null || exit 1
	for part in view devices privileges diff daemons terminal sockets output; do
		"test_$part"
	done
done
finish
