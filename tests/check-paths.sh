#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Paths that an image, a context or a Dockerfile influences are resolved by base/inroot.c alone. So
# each call that takes a path is listed here, by file, with what makes it safe there; any other call
# is an error, and so is a line that is no longer needed.
#
#	own	the directory is the store's or one of our own making, the name is ours
#	name	one component of an untrusted tree, beneath a descriptor, its link not followed
#	user	the path is one of the command line, of the user's configuration or of his environment
#	host	a fixed path of this machine
#	chroot	this process's root is the untrusted tree
set -eu
cd "${srcdir:-.}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/allowed" <<'EOF'
base/arena.c: openat: own: an unnamed file of the store
base/landlock.c: open: host: / of the sandbox
base/file.c: fchmodat fstatat mkdirat openat renameat unlinkat: own; trees are removed by name
base/inroot.c: fstatat mkdirat openat: this is the module: fstatat of an open file; name
builder/cache_mount.c: fstatat mkdirat openat: own: mounts/ of the store, by scopes; an unpacked archive, where names are proved to be directories
builder/cache_mount_import.c: fstatat mkdirat renameat renameat2: own: as cache_mount.c
builder/context.c: open openat realpath stat: user: the context; own: where an archive is unpacked
builder/copy_layer.c: openat: own: content that does not fit into memory
builder/copy_tree.c: fchmodat fchownat linkat mkdirat mknodat openat symlinkat utimensat: own: an empty directory, by paths whose links are resolved
builder/git.c: fstatat mkdirat nftw openat unlink: own: a clone that git has left, nftw and names follow no link
builder/mount_bind.c: mkdirat openat: own
builder/mount_cache.c: faccessat mkdirat openat renameat2: own: mounts/ of the store, by digests
builder/git_run.c: posix_spawnp: user: git of PATH
builder/mount_ssh.c: fchmodat fchownat openat: own: a socket of ours
builder/named.c: open realpath: user: --build-context
builder/run.c: open: user: cbuild run --volume
builder/shared.c: open: user: --cache-from
builder/shared_export.c: open: user: --cache-to
builder/ssh_agent.c: connect execvpe open: user: ssh-agent of PATH; own; host: /dev/null
builder/ssh_relay.c: bind connect open: user: --ssh; own
builder/stat_index.c: openat: own
builder/step_copy.c: open: a parameter of this name
builder/step_run.c: openat: own: a heredoc's script
builder/walk.c: fstatat readlinkat: name
cli/build_input.c: realpath: user: -f
cli/cmd_archive.c: open: user: --input
cli/cmd_build.c: access stat: user: the store and the context
cli/cmd_cache.c: open: user: cache import
cli/common.c: open stat: user: --output and cache export
cli/cmd_explain.c: access realpath stat: user
cli/grants.c: open realpath stat: user: --secret and --ssh
cli/main.c: access open readlink stat: user; host: /dev/null, /proc/self/exe
layers/blob.c: fchmodat fstatat linkat openat renameat renameat2 unlinkat: own
layers/boot.c: fstatat open openat renameat: own; host: the boot id
layers/diff.c: readlinkat unlinkat: name
layers/image_names.c: openat unlinkat: own: names are checked when they are parsed
layers/image_store.c: openat: own
layers/layer_adopt.c: openat: own
layers/overlay.c: fstatat mknodat readlink: chroot: a whiteout; name: the mark of a flat tree; host: /proc/self/ns/user
layers/points.c: mkdirat openat: own: by paths whose links are resolved
layers/record.c: renameat unlinkat: own
layers/require.c: mkdirat openat: own
layers/root.c: fstatat openat readlinkat: own; name: trees do not change, and each directory of the path was looked at before
layers/scratch.c: faccessat fstatat mkdirat openat unlinkat: own
layers/snapshot.c: faccessat mkdirat openat renameat: own
layers/store.c: faccessat mkdir mkdirat open openat unlinkat: user: --root; own
layers/target.c: fchmodat fchownat fstatat mkdirat openat readlinkat renameat unlinkat: chroot; without it single names, and base/inroot.h
layers/top.c: mkdirat openat: own: by paths whose links are resolved
layers/tree.c: faccessat mkdirat openat renameat: own
layers/unpack.c: chroot fchmodat fchownat fstatat linkat mkdirat mknodat openat symlinkat utimensat: chroot, which is entered here; without it single names in what target.c opened
layers/walk.c: fstatat openat readlinkat: name
registry/bundle.c: faccessat openat: own: members of an archive have numbers for names
registry/call.c: posix_spawn: user: the helper program
registry/creds_helper.c: posix_spawnp: user: docker-credential-* of PATH, whose name is checked
registry/registries.c: scandir: user: registries.conf.d
sandbox/cgroup.c: mkdirat open openat unlinkat: host: the control groups; user: --cgroup-parent; own
sandbox/cgroup_step.c: faccessat fstatat mkdirat openat unlinkat: own: a group of ours
sandbox/idmap.c: execvp open: host: newuidmap, /proc/self
sandbox/init.c: chdir chroot execve open: chroot: after pivot_root, or entered here
sandbox/mount.c: mkdirat mount move_mount open open_tree openat umount2 unlinkat: own: the callers say whose; host: the root of a chroot
sandbox/mount_old.c: mkdir mknod mount open openat umount2: own: a tmpfs of ours; host: /proc/self
sandbox/mountns.c: access chdir mkdir mount open readlink statx umount2: host
sandbox/mounts.c: mkdirat mknodat openat symlinkat: own: tmpfs of the step; host: /dev
sandbox/net.c: open: host: /proc/thread-self/ns/net
sandbox/net_helper.c: execvpe open: host: /dev/net/tun, pasta or slirp4netns of PATH, /dev/null
sandbox/overlay.c: chdir faccessat fchmodat mkdirat mount openat renameat2 umount2 utimensat: own; host: /proc/self/fd
sandbox/probe.c: statvfs: own
sandbox/probe_attempts.c: mkdirat open openat unlinkat: own: a scratch directory of the store
sandbox/probe_key.c: access stat statvfs: own: the store; host: /proc, /etc, /dev/net/tun; user: programs of PATH
sandbox/rootfs.c: chdir faccessat mkdirat openat stat umount2: name: places that are fixed; the others by inroot_open()
sandbox/userns.c: stat: host: /proc/self/ns/user
builder/run_root.c: openat: own: a copied root
layers/diff_removed.c: fstatat: name
layers/loan.c: fstatat openat renameat2: own: the store; name: found in its directory, and by base/inroot.h
layers/mark.c: openat: own
layers/native.c: fchmodat fchownat fstatat linkat mkdirat mknodat openat symlinkat unlinkat utimensat: name; own: a copy that nobody else writes to, linkat by a path whose directories are real in it
sandbox/place.c: fchmodat fstatat mkdirat openat readlinkat renameat renameat2 symlinkat unlinkat utimensat: name: the directory comes from base/inroot.h; own: where it was moved from
sandbox/plain.c: fchmodat fstatat mkdirat mknodat open openat unlinkat: name: in a directory just made; host: /dev/null, /proc
sandbox/reaper.c: openat: host: /proc
EOF

calls='open|open64|creat|openat|openat64|stat|lstat|fstatat|statx|access|faccessat|euidaccess|
chmod|fchmodat|chown|lchown|fchownat|unlink|unlinkat|rmdir|remove|rename|renameat|renameat2|
mkdir|mkdirat|symlink|symlinkat|link|linkat|readlink|readlinkat|mknod|mknodat|mkfifo|mkfifoat|
truncate|utime|utimes|utimensat|opendir|scandir|scandirat|ftw|nftw|fts_open|glob|realpath|
canonicalize_file_name|fopen|freopen|chdir|chroot|mount|umount|umount2|open_tree|move_mount|
getxattr|lgetxattr|setxattr|lsetxattr|listxattr|llistxattr|removexattr|lremovexattr|
statfs|statvfs|execve|execv|execvp|execl|execlp|execvpe|fexecve|posix_spawn|posix_spawnp|
mkstemp|mkostemp|mkdtemp|tempnam|tmpnam|tmpfile|bind|connect|name_to_handle_at|inotify_add_watch'
calls=$(echo "$calls" | tr -d '\n')

# Comments go; what is left and followed by a parenthesis is a call, or a function of that name.
awk -v calls="(^|[^_A-Za-z0-9>.])($calls)[(]" '
	/^[[:space:]]*(\/\*|\* )/ { next }
	{
		gsub(/\/\*.*\*\//, "")
		for (rest = $0; match(rest, calls); rest = substr(rest, RSTART + RLENGTH)) {
			name = substr(rest, RSTART, RLENGTH - 1)
			sub(/^[^a-z]/, "", name)
			print FILENAME, name
		}
	}' base/*.c builder/*.c cli/*.c dockerfile-parser/*.c layers/*.c registry/*.c sandbox/*.c |
	sort -u >"$work/found"
sed -E 's/^([^:]*): ([^:]*):.*/\1 \2/' "$work/allowed" |
	awk '{ for (i = 2; i <= NF; i++) print $1, $i }' | sort -u >"$work/listed"
{
	comm -23 "$work/found" "$work/listed" |
		sed 's/\([^ ]*\) \(.*\)/\1: calls \2(): use base\/inroot.h, or say in check-paths.sh why not/'
	comm -13 "$work/found" "$work/listed" |
		sed 's/\([^ ]*\) \(.*\)/check-paths.sh: \1 does not call \2() any more/'
} >"$work/bad"
cat "$work/bad"
[ ! -s "$work/bad" ]
