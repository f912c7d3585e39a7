#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# make-bases.sh: stand-ins for the Docker Hub images that the tests build from, made of Debian's
# packages and laid down as the storage of a docker-registry, under library/NAME:TAG.
#
# They are kept between runs in $CBUILD_TEST_CACHE (default /var/tmp/cbuild-test-bases), under a name
# that says what made them: a changed recipe makes new ones. Prints the storage directory.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/lib/peers.sh
. "$here/../lib/peers.sh"

# debian TAR [mmdebstrap's arguments...]: a minimal Debian root without what nobody reads.
debian()
{
	local tar=$1

	shift
	mmdebstrap --quiet --mode=root --variant=apt \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/share/go-*/api/*' \
		--dpkgopt='path-exclude=/usr/share/go-*/test/*' \
		--dpkgopt='path-exclude=/usr/lib/go-*/pkg/linux_*/cmd/*' \
		--customize-hook="rm \"\$1/etc/resolv.conf\" \"\$1/etc/hostname\"" \
		"$@" bookworm "$tar"
}

# A repository of packages inside the image, so that apt-get update and install need no network:
# what the tests and bench/ install, with all it depends on.
local_repository()
{
	local root=$1 debs=$1/var/cache/apt/archives repo=$1/srv/packages deb

	APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get install -qq --yes --download-only \
		cowsay fortune-mod fortunes-min git curl
	mkdir -p "$repo"
	mv "$debs"/*.deb "$repo"
	for deb in "$repo"/*.deb; do
		dpkg-deb -f "$deb"
		printf 'Filename: %s\nSize: %s\nSHA256: %s\n\n' "${deb#"$repo/"}" \
			"$(stat -c %s "$deb")" "$(sha256sum <"$deb" | cut -d' ' -f1)"
	done >"$repo/Packages"
	rm -f "$root"/etc/apt/sources.list.d/*
	echo 'deb [trusted=yes] file:/srv/packages ./' >"$root/etc/apt/sources.list"
}

# A directory of wheels that pip takes instead of an index, by the image's own pip.conf.
local_wheels()
{
	local root=$1 debs=$work/wheels package

	mkdir -p "$debs" "$root/srv/wheels"
	for package in flask werkzeug jinja2 itsdangerous click markupsafe redis async-timeout \
		packaging deprecated wrapt; do
		(cd "$debs" && apt-get download -qq "python3-$package" 2>/dev/null)
		dpkg-deb -R "$debs/python3-${package}_"*.deb "$debs/$package"
	done
	python3 "$here/deb2wheel.py" "$root/srv/wheels" "$debs"/*/
	rm -f "$root"/usr/lib/python3*/EXTERNALLY-MANAGED
	ln -s python3 "$root/usr/bin/python"
	printf '[global]\nno-index = true\nfind-links = /srv/wheels\n' >"$root/etc/pip.conf"
}

busybox()
{
	# Docker leaves mount points that a base lacks in the first layer of a RUN; cbuild does not.
	mkdir -p "$work/busybox"/{bin,dev,etc,proc,sys,tmp}
	chmod 1777 "$work/busybox/tmp"
	echo 'root:x:0:0:root:/root:/bin/sh' >"$work/busybox/etc/passwd"
	echo 'root:x:0:' >"$work/busybox/etc/group"
	cp /bin/busybox "$work/busybox/bin/"
	chroot "$work/busybox" /bin/busybox --install -s /bin
	tar -C "$work/busybox" --sort=name --numeric-owner -cf "$1" .
}

# base NAME: make NAME.tar.
base()
{
	case $1 in
	busybox) busybox "$work/busybox.tar" ;;
	golang) debian "$work/golang.tar" --include=golang-go ;;
	node) debian "$work/node.tar" --include=nodejs,yarnpkg \
		--customize-hook="ln -s yarnpkg \"\$1/usr/bin/yarn\"" ;;
	python) debian "$work/python.tar" --include=python3,python3-pip \
		--customize-hook="'$here/make-bases.sh' --hook local_wheels \"\$1\"" ;;
	# libcap2-bin: for the test that file capabilities survive.
	debian) debian "$work/debian.tar" --include=libcap2-bin \
		--customize-hook="'$here/make-bases.sh' --hook local_repository \"\$1\"" ;;
	esac
}

# push BASE NAME:TAG...: one layer, a config with the usual PATH, under every name.
push()
{
	local layout=$work/$1.oci blobs=$work/$1.oci/blobs/sha256 diff_id name

	mkdir -p "$blobs"
	gzip -1n <"$work/$1.tar" >"$blobs/layer" &
	diff_id=$(sha256sum <"$work/$1.tar" | cut -d' ' -f1)
	wait $!
	cat >"$blobs/config" <<-EOF
		{"architecture":"amd64","os":"linux","created":"1970-01-01T00:00:00Z",
		"config":{"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
		"Cmd":["/bin/sh"]},"rootfs":{"type":"layers","diff_ids":["sha256:$diff_id"]},
		"history":[{"created":"1970-01-01T00:00:00Z","created_by":"make-bases.sh $1"}]}
	EOF
	blob "$blobs/config" application/vnd.oci.image.config.v1+json >"$work/$1.config"
	blob "$blobs/layer" application/vnd.oci.image.layer.v1.tar+gzip >"$work/$1.layer"
	cat >"$blobs/manifest" <<-EOF
		{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
		"config":$(cat "$work/$1.config"),"layers":[$(cat "$work/$1.layer")]}
	EOF
	blob "$blobs/manifest" application/vnd.oci.image.manifest.v1+json >"$work/$1.manifest"
	echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
	echo "{\"schemaVersion\":2,\"manifests\":[$(cat "$work/$1.manifest")]}" >"$layout/index.json"
	shift
	for name; do
		skopeo copy -q --insecure-policy --dest-tls-verify=false \
			"oci:$layout" "docker://$registry/library/$name"
	done
	rm -rf "$layout"
}

# blob FILE TYPE: give FILE its digest as name, print its descriptor.
blob()
{
	local digest

	digest=$(sha256sum <"$1" | cut -d' ' -f1)
	printf '{"mediaType":"%s","digest":"sha256:%s","size":%s}' "$2" "$digest" "$(stat -c %s "$1")"
	mv "$1" "$(dirname "$1")/$digest"
}

if [ "${1:-}" = --hook ]; then # mmdebstrap calls back: --hook FUNCTION ROOT
	"$2" "$3"
	exit
fi

cache=${CBUILD_TEST_CACHE:-/var/tmp/cbuild-test-bases}
key=$(cat "$here/make-bases.sh" "$here/deb2wheel.py" | sha256sum | cut -c1-16)
if [ ! -d "$cache/$key" ]; then
	mkdir -p "$cache"
	work=$(mktemp -d "$cache/tmp.XXXXXX")
	export work TMPDIR=$work
	trap 'registry_stop; rm -rf "$work"' EXIT
	chmod 755 "$work"

	# Two at a time, the longest first.
	(base golang && base python) >&2 &
	(base node && base busybox && base debian) >&2
	wait $!
	mkdir "$work/keep"
	registry_start "$work/keep" # sets $registry
	push busybox busybox:latest
	push debian debian:12 ubuntu:20.04
	push golang golang:1.23.0-alpine3.20
	push node node:20-alpine
	push python python:3 python:2.7-slim
	registry_stop
	find "$cache" -mindepth 1 -maxdepth 1 ! -name 'tmp.*' -exec rm -rf {} + # older recipes'
	mv "$work/keep" "$cache/$key"
fi
echo "$cache/$key/registry"
