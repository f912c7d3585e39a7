#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Other tools accept what cbuild makes, under the same image id, and cbuild accepts what they make.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

said='Hello, world!'

podman_()
{
	podman --root "$scratch/podman" --runroot "$scratch/podman-run" --tmpdir "$scratch/podman-tmp" \
		--runtime runc --cgroup-manager cgroupfs --events-backend file "$@"
}

buildah_() { buildah --root "$scratch/podman" --runroot "$scratch/podman-run" "$@"; }

id_in_layout() { echo "sha256:$(skopeo inspect --config --raw "oci:$1" | sha256sum | cut -d' ' -f1)"; }
podman_id() { echo "sha256:$(podman_ image inspect --format '{{.Id}}' "$1")"; }
docker_id() { docker_ image inspect --format '{{.Id}}' "$1"; }

# based_on REF TAG: a build FROM REF runs with what the base brought.
based_on()
{
	printf 'FROM %s\nRUN cat /mark > /copy\nCMD ["cat", "/copy"]\n' "$1" >"$scratch/based/Dockerfile"
	cbuild -t "$2" "$scratch/based" && prints "made by $2" cbuild run "$2"
}

# A base as each peer makes it: a RUN layer with a whiteout in it, pushed with the peer's defaults.
docker_base()
{
	docker_ build --network=host --build-arg BY=docker -t "$registry/peer/docker" "$scratch/peer" &&
		docker_ push "$registry/peer/docker"
}

# buildah_base NAME [push's flags...]
buildah_base()
{
	local name=$1

	shift
	buildah_ bud --isolation chroot --network host --layers --build-arg BY=buildah \
		-t peer-buildah "$scratch/peer" &&
		buildah_ push --tls-verify=false "$@" peer-buildah "docker://$registry/peer/$name"
}

zstd_base()
{
	local copy=(skopeo copy --insecure-policy --src-tls-verify=false --dest-tls-verify=false)

	"${copy[@]}" --dest-compress-format zstd "docker://$registry/peer/buildah" "oci:$scratch/zstd" &&
		"${copy[@]}" "oci:$scratch/zstd" "docker://$registry/peer/zstd" &&
		says zstd skopeo inspect --raw --tls-verify=false "docker://$registry/peer/zstd"
}

bases_registry
docker_start "$scratch" "$registry" || exit 1
mkdir "$scratch/peer" "$scratch/based"
cat >"$scratch/peer/Dockerfile" <<-'EOF'
	FROM busybox
	ARG BY
	RUN echo gone > /gone && echo "made by $BY" > /mark
	RUN rm /gone
EOF

# Out: what cbuild builds and pushes.
check 'builds' cbuild -t p1 "$srcdir/examples/hello"
check 'runs' says "$said" cbuild run p1
id=$(image_id p1)
check 'pushes' eval "cbuild tag p1 $registry/u/p1:latest && cbuild push $registry/u/p1:latest"
check 'podman pulls it' podman_ pull --tls-verify=false "$registry/u/p1:latest"
check 'podman: same image id' equal "$id" "$(podman_id "$registry/u/p1")"
check 'podman runs it' says "$said" podman_ run --rm --network host \
	--ulimit nofile=1024 --ulimit nproc=1024 "$registry/u/p1"
check 'docker pulls it' docker_ pull "$registry/u/p1:latest"
check 'docker: same image id' equal "$id" "$(docker_id "$registry/u/p1")"
check 'docker runs it' says "$said" docker_ run --rm --network host "$registry/u/p1"
check 'skopeo copies it to a layout' skopeo copy --insecure-policy --src-tls-verify=false \
	"docker://$registry/u/p1:latest" "oci:$scratch/layout:p1"
check 'skopeo: same image id' equal "$id" "$(id_in_layout "$scratch/layout:p1")"
check 'umoci unpacks it' umoci unpack --image "$scratch/layout:p1" "$scratch/bundle"
check 'umoci: the file is there' says "$said" cat "$scratch/bundle/rootfs/etc/greeting"
check 'rmi, both names' eval "cbuild rmi p1 && cbuild rmi $registry/u/p1:latest"
check 'gone' fails 1 cbuild inspect p1
check 'pulls its own' cbuild pull "$registry/u/p1:latest"
check 'same image id' equal "$id" "$(image_id "$registry/u/p1:latest")"
check 'runs again' says "$said" cbuild run "$registry/u/p1:latest"
cbuild tag "$registry/u/p1:latest" p1

# In: what others pushed.
check 'docker pushes a base' docker_base
check 'cbuild builds on it' based_on "$registry/peer/docker" docker
check 'buildah pushes a base' buildah_base buildah
check 'cbuild builds on it' based_on "$registry/peer/buildah" buildah
check 'buildah pushes it as docker v2s2' buildah_base buildah-v2s2 --format v2s2
check 'cbuild builds on that' based_on "$registry/peer/buildah-v2s2" buildah
check 'skopeo pushes it in zstd' zstd_base
check 'cbuild builds on that too' based_on "$registry/peer/zstd" buildah

# Archives, both ways.
docker_ rmi -f "$registry/u/p1" >/dev/null
check 'save | docker load' eval 'cbuild save --format docker p1 | docker_ load'
check 'docker has it under its name and id' equal "$id" "$(docker_id p1)"
check 'save -o, podman load' eval \
	'cbuild save --format oci -o "$scratch/oci.tar" p1 && podman_ load -i "$scratch/oci.tar"'
check 'podman has it under its name and id' equal "$id" "$(podman_id docker.io/library/p1)"
check 'rmi' eval "cbuild rmi p1 && cbuild rmi $registry/u/p1:latest"
check 'docker save | load' eval 'docker_ save p1 | cbuild load'
check 'same image id' equal "$id" "$(image_id p1)"
check 'runs from docker' says "$said" cbuild run p1
check 'rmi again' cbuild rmi p1
check 'podman save, load -i' eval 'podman_ save -q --format oci-archive -o "$scratch/podman.tar" \
	docker.io/library/p1 && cbuild load -i "$scratch/podman.tar"'
check 'same image id from podman' equal "$id" "$(image_id p1)"
check 'runs from podman' says "$said" cbuild run p1
finish
