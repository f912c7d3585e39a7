#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limits_vm.sh: the first process of the kernel that tests/e2e/limits.sh starts. The root directory
# is the host's, read-only; what is written lies on a disk of its own. What passed and failed is
# said on the console.
# shellcheck disable=SC2015,SC2086 # what follows || is for both; lists of options
set -u
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
cg=/sys/fs/cgroup
work=$SCRATCH/vm

ready()
{
	mount -t proc proc /proc
	mount -t sysfs sysfs /sys
	mountpoint -q /dev || mount -t devtmpfs devtmpfs /dev
	mount -t tmpfs -o mode=1777 tmpfs /tmp
	mount -t cgroup2 cgroup2 $cg
	busybox insmod "/usr/lib/uml/modules/$(uname -r)/kernel/fs/overlayfs/overlay.ko"
	mount -t ext4 /dev/ubda "$work"
	chmod 755 "$work"
	mkdir "$work/context"
	install -d -o "$PLAIN_USER" "$work/home"
	ip link set lo up 2>/dev/null
	echo "+cpu +memory +pids" >$cg/cgroup.subtree_control
	dmesg -n 1
}

cbuild() { "$CBUILD" --root "$work/store" "$@"; }
dockerfile() { cat >"$work/context/Dockerfile"; }

# check WHAT COMMAND...
check()
{
	local what=$1

	shift
	if "$@" >"$work/output" 2>&1; then
		echo "ok - $what"
	else
		echo "not ok - $what"
		head -c 2000 "$work/output"
	fi
}

# fails TEXT OPTION...: the build fails and says TEXT.
fails()
{
	local want=$1

	shift
	! $by build --no-cache "$@" "$work/context" >"$work/said" 2>&1 && grep -qE -- "$want" "$work/said" ||
		{ cat "$work/said"; return 1; }
}

built() { $by build --no-cache "$@" "$work/context"; }

groups() { find "$1" -maxdepth 1 -name 'cbuild-*'; }

# during DIR SCRIPT OPTION...: SCRIPT holds in the group of a step below DIR while that runs.
during()
{
	local dir=$1 script=$2 group='' n=0 i status=1

	shift 2
	dockerfile <<-'EOF'
		FROM busybox
		RUN sleep 2
	EOF
	built "$@" &
	for ((i = 0; i < 50; i++)); do
		group=$(groups "$dir" | head -n 1)
		[ -z "$group" ] || n=$(grep -c . "$group/cgroup.procs" 2>/dev/null)
		[ "${n:-0}" -lt 2 ] || break # init and the step: no trial
		sleep 0.1
	done
	[ -z "$group" ] || (cd "$group" && grep -H . ./*.max; eval "$script") && status=0
	wait $! && [ -z "$(groups "$dir")" ] && return $status
}

test_limits()
{
	dockerfile <<-'EOF'
		FROM busybox
		RUN head -c 60m /dev/zero | tail -c 40m | wc -c; cat /proc/self/cgroup
	EOF
	check "$who: --memory" fails 'was killed: memory limit of 16m reached' $parent --memory 16m --memory-swap 16m
	check "$who: --memory leaves no group" [ -z "$(groups "$dir")" ]
	check "$who: --memory that is enough, and the group is the root" \
		eval "built $parent --memory 128m 2>&1 | tee /dev/stderr | grep -q ' 0::/$'"
	dockerfile <<-'EOF'
		FROM busybox
		RUN for i in $(seq 40); do sleep 2 & done; wait; false
	EOF
	check "$who: --pids-limit" fails 'the limit of 20 processes was reached' $parent --pids-limit 20
	check "$who: memory.max, oom.group, cpu.max" during "$dir" \
		'grep -qx 67108864 memory.max && grep -qx 1 memory.oom.group && grep -qx "20000 100000" cpu.max' \
		$parent --memory 64m --cpus 0.2
	check "$who: a controller that is not there" fails \
		'--cpuset-cpus cannot be enforced here: .* has no controller "cpuset" \(fix: ' $parent --cpuset-cpus 0
}

test_other_limits()
{
	check "$who: --cpu-quota, --cpu-period" during "$dir" 'grep -qx "5000 50000" cpu.max' \
		--cpu-quota 5000 --cpu-period 50000
	check "$who: --cpu-shares" during "$dir" 'grep -qx 39 cpu.weight' --cpu-shares 1024
	check "$who: --pids-limit -1" during "$dir" 'grep -qx max pids.max' --cpus 1 --pids-limit -1
	check "$who: a default limit of processes" during "$dir" 'grep -qx 8192 pids.max'
}

# What a killed build left behind, the next one takes away.
test_crash()
{
	dockerfile <<-'EOF'
		FROM busybox
		RUN sleep 100
	EOF
	"$CBUILD" --root "$work/store" build --no-cache --cgroup-parent /tests "$work/context" >/dev/null 2>&1 &
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		[ -z "$(groups $cg/tests)" ] || break
		sleep 0.1
	done
	sleep 0.5
	kill -9 $!
	wait $! 2>/dev/null
	sleep 0.5
	check 'root: a killed build leaves its group' [ -n "$(groups $cg/tests)" ]
	check 'root: and no process' [ -z "$(cat $cg/tests/cbuild-*/cgroup.procs)" ]
	dockerfile <<-'EOF'
		FROM busybox
		RUN true
	EOF
	check 'root: the next build removes it' built --cgroup-parent /tests
	check 'root: it is gone' [ -z "$(groups $cg/tests)" ]
}

as_user()
{
	setpriv --reuid "$PLAIN_USER" --regid "$PLAIN_USER" --init-groups --reset-env -- env PATH="$PATH" "$@"
}

# in_group DIR COMMAND...: alone in that group, as a service manager would start it.
in_group() { (echo 0 >"$1/cgroup.procs" && shift && exec "$@"); }

delegate()
{
	mkdir -p "$1"
	chown "$PLAIN_USER" "$1" "$1/cgroup.procs" "$1/cgroup.subtree_control"
}

user_alone() { as_user "$CBUILD" --root "$work/home/store" "$@"; }
user_delegated() { in_group $cg/user/scope setpriv --reuid "$PLAIN_USER" --regid "$PLAIN_USER" --init-groups -- "$CBUILD" --root "$work/home/store" "$@"; }

ready
echo "vm: Linux $(uname -r), $(cat $cg/cgroup.controllers)"
who=root by=cbuild dir=$cg parent=
cbuild import "$SCRATCH/root.tar" busybox >/dev/null || echo 'not ok - import'
test_limits
test_other_limits
dockerfile <<-'EOF'
	FROM busybox
	RUN head -c 60m /dev/zero | tail -c 40m | wc -c
EOF
by="$SCRATCH/refuse clone3 $CBUILD --root $work/store"
check 'root: a group is joined without clone3' fails 'memory limit of 16m reached' --memory 16m --memory-swap 16m
by=cbuild
who='root, --cgroup-parent' dir=$cg/tests parent='--cgroup-parent /tests'
test_limits
test_crash
mkdir $cg/busy
sleep 1000 &
echo $! >$cg/busy/cgroup.procs
check 'root: a parent that has processes' fails 'there are processes in cgroup /busy' --cgroup-parent /busy --memory 64m

who=user by=user_alone
user_alone import "$SCRATCH/root.tar" busybox >/dev/null || echo 'not ok - import as user'
dockerfile <<-'EOF'
	FROM busybox
	RUN id -u
EOF
check 'user: nothing delegated, nothing asked for' built
check 'user: nothing delegated' fails '--memory cannot be enforced here: .*\(fix: .*Delegate=yes' --memory 64m
delegate $cg/user
echo '+cpu +memory +pids' >$cg/user/cgroup.subtree_control
delegate $cg/user/scope
who='user, delegated' by=user_delegated dir=$cg/user/scope parent=
test_limits
check 'user: the group is as it was' [ -z "$(cat $cg/user/scope/cgroup.subtree_control)$(ls -d $cg/user/scope/*/ 2>/dev/null)" ]
echo 'vm: end'
sync
umount "$work"
busybox poweroff -f
