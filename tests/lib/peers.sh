# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# The programs on the other side: a registry and a docker daemon, started by hand in a directory of
# the caller's and stopped by the pid that was started. Nothing of the machine's own docker is used.

# wait_until SECONDS COMMAND...: repeat COMMAND, silently, until it succeeds.
wait_until()
{
	local deadline=$((SECONDS + $1))

	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep 0.05
	done
}

port_answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

free_port()
{
	local port

	for port in $(shuf -i 20000-32000 -n 100); do
		port_answers "$port" || { echo "$port" && return; }
	done
	return 1
}

# stop_pid PID: end a process of ours and wait until it is gone.
stop_pid()
{
	kill "$1" 2>/dev/null || return 0
	wait_until 20 eval "! kill -0 $1" || kill -KILL "$1"
	wait "$1" 2>/dev/null || :
}

# registry_start DIR: serve DIR/registry on loopback. Sets $registry (host:port) and $registry_pid.
registry_start()
{
	local port

	port=$(free_port) || return 1
	mkdir -p "$1/registry"
	cat >"$1/registry.yml" <<-EOF
		version: 0.1
		log: {level: warn}
		storage: {filesystem: {rootdirectory: $1/registry}, delete: {enabled: true}}
		http: {addr: "127.0.0.1:$port"}
	EOF
	docker-registry serve "$1/registry.yml" >"$1/registry.log" 2>&1 </dev/null &
	registry_pid=$!
	registry=localhost:$port
	wait_until 10 port_answers "$port" || { cat "$1/registry.log" >&2; return 1; }
}

registry_stop()
{
	[ -z "${registry_pid:-}" ] || stop_pid "$registry_pid"
	registry_pid=
}

# docker_start DIR [MIRROR]: a daemon with everything under DIR; MIRROR (host:port) stands in for
# Docker Hub. Sets $dockerd_pid and exports DOCKER_HOST; talk to it with `docker_`.
docker_start()
{
	local mirror=()

	[ $# -lt 2 ] || mirror=(--registry-mirror "http://$2")
	mkdir -p "$1/docker/config"
	echo '{}' | tee "$1/docker/daemon.json" >"$1/docker/config/config.json"
	# No bridge and no firewall rules: builds and containers use the host's network or none.
	dockerd --config-file "$1/docker/daemon.json" --pidfile "$1/docker/pid" \
		--data-root "$1/docker/data" --exec-root "$1/docker/exec" \
		-H "unix://$1/docker/sock" --bridge=none --iptables=false --ip6tables=false \
		"${mirror[@]}" >"$1/docker.log" 2>&1 </dev/null &
	dockerd_pid=$!
	docker_dir=$1/docker
	export DOCKER_HOST=unix://$1/docker/sock DOCKER_CONFIG=$1/docker/config
	wait_until 30 docker_ version || { tail -20 "$1/docker.log" >&2; return 1; }
}

docker_stop()
{
	[ -n "${dockerd_pid:-}" ] || return 0
	stop_pid "$dockerd_pid"
	dockerd_pid=
	# It leaves these behind, the second when it had to be killed.
	umount "$docker_dir/exec/netns/default" "$docker_dir/data" 2>/dev/null || :
}

# The client that came with the daemon: another one first on PATH may know no BuildKit.
docker_() { DOCKER_BUILDKIT=1 "${DOCKER:-/usr/bin/docker}" "$@"; }
