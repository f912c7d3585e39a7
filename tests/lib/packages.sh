# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What has to be there, by Debian's package names, and how to get it.

# To build cbuild; uidmap and busybox-static are what it runs with and shows itself on.
build_packages="gcc libc6-dev make autoconf automake pkg-config liblzma-dev libbz2-dev libcurl4-openssl-dev
	libisal-dev libjansson-dev libseccomp-dev libssl-dev libzstd-dev zlib1g-dev busybox-static uidmap"

# To test it, all that the tests start or ask.
test_packages="clang libclang-rt-14-dev libcmocka-dev valgrind strace xz-utils bzip2 git curl sudo
	python3 libcap2-bin attr docker.io docker-registry podman buildah skopeo umoci runc
	gcc-aarch64-linux-gnu libc6-dev-arm64-cross
	containernetworking-plugins fuse-overlayfs mmdebstrap
	apparmor openssh-client openssl procps iproute2 passt slirp4netns user-mode-linux util-linux e2fsprogs dosfstools"

# install_missing PACKAGE...: as root, or with sudo; nothing is done when nothing is missing.
install_missing()
{
	local missing=() package sudo=()

	for package; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
			missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	[ "$(id -u)" = 0 ] || sudo=(sudo)
	echo "Installing ${missing[*]}"
	"${sudo[@]}" apt-get update -qq
	# Services of these packages are not wanted: what we need, we start ourselves.
	"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
		apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >/dev/null
}
