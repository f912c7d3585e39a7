#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# --network of RUN: what is reached from none, host and private, by pasta and by slirp4netns, as
# root and as a plain user. The program is started once a build, and gone however that ends.
#
# The machine's side is a network namespace of this test's own: nothing depends on the machine's
# networks or changes them.
if [ "${CBUILD_TEST_NETWORK:-}" != own ]; then
	exec env CBUILD_TEST_NETWORK=own unshare --net --mount --propagation private "$0" "$@"
fi
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

context=$scratch/context
near=127.0.0.1 far=192.0.2.77
servers=()
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY

at_end_of_test()
{
	[ ${#servers[@]} = 0 ] || kill "${servers[@]}" 2>/dev/null
	umount /dev/net /dev/net "$(readlink -f /etc/resolv.conf)" 2>/dev/null
}

# A tun device that everybody may open, as on most machines, and a nameserver on loopback; both are
# seen by this test only.
mkdir -p /dev/net "$scratch/net" && mknod -m 666 "$scratch/net/tun" c 10 200 || exit 1
if ! : <>"$scratch/net/tun"; then
	skip 'the private network: this kernel has no tun device'
	finish
fi
mount --bind "$scratch/net" /dev/net
# The machine's interface: every kernel that can do the rest has this kind. pasta looks for a route.
ip link set lo up && ip tuntap add outside mode tap && ip addr add $far/24 dev outside &&
	ip link set outside up && ip route add default via 192.0.2.1 || exit 1
printf 'search test\nnameserver 127.0.0.53\noptions ndots:0\n' >"$scratch/resolv.conf"
mount --bind "$scratch/resolv.conf" "$(readlink -f /etc/resolv.conf)" || exit 1

nc_says() { busybox nc -w 3 "$1" 8080 </dev/null 2>/dev/null | grep -q here; }

mkdir "$context"
for address in $near $far; do
	python3 -c '
import socket, sys
server = socket.create_server((sys.argv[1], 8080))
while True:
    server.accept()[0].sendall(b"here\n")' "$address" &
	servers+=($!)
	for _ in {1..250}; do
		nc_says "$address" && break
		sleep 0.02
	done
done

# A nameserver as systemd-resolved is one: on loopback alone. Every name has one address.
python3 -c '
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.53", 53))
while True:
    asked, who = server.recvfrom(512)
    question = asked[12:asked.index(b"\0", 12) + 5]
    is_a = question[-4:-2] == b"\0\1"
    server.sendto(asked[:2] + b"\x81\x80\0\1\0" + bytes([is_a]) + b"\0\0\0\0" + question +
                  (b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes([192, 0, 2, 99]) if is_a else b""), who)
' &
servers+=($!)

cbuild_root "$scratch/root" || { echo "$test_name: no root" >&2; exit 1; }
tar -C "$scratch/root" --exclude=./usr --exclude='./lib*' --numeric-owner -cf "$scratch/busybox.tar" .
rm -rf "$scratch/root"
cat >"$context/reach" <<-EOF
	#!/bin/sh
	for address in $near $far; do
		timeout 2 nc -w 2 \$address 8080 </dev/null 2>/dev/null | grep -q here && printf '%s ' \$address
	done
	echo .
EOF
chmod 755 "$context/reach"
cat >"$context/Dockerfile" <<-'EOF'
	FROM busybox
	COPY reach /bin/
	RUN echo first: $(reach)
	RUN --network=default echo second: $(reach)
	RUN --network=none echo none: $(reach)
	RUN grep nameserver /etc/resolv.conf; ip addr
EOF
cat >"$context/Names" <<-'EOF'
	FROM busybox
	RUN echo servers: $(sed -n 's/^nameserver //p' /etc/resolv.conf); echo options: $(grep -v nameserver /etc/resolv.conf)
	RUN echo found: $(timeout 5 nslookup some.name.test | sed -n '/^Name/,$s/^Address[ 0-9]*: *//p' | head -n 1)
EOF
printf 'FROM busybox\nRUN --network=host true\n' >"$context/Wider"
printf 'FROM busybox\nRUN echo started && sleep 60\n' >"$context/Sleeps"

# Places where only one of the programs is found, which says that it was started.
for place in pasta slirp4netns neither; do
	mkdir "$scratch/$place"
	ln -s "$(command -v newuidmap)" "$(command -v newgidmap)" "$scratch/$place"
done
for program in pasta slirp4netns; do
	printf '#!/bin/sh\necho started >>%s\nexec %s "$@"\n' \
		"$scratch/started" "$(command -v $program)" >"$scratch/$program/$program"
done
chmod 755 "$scratch"/*/ "$scratch"/pasta/pasta "$scratch"/slirp4netns/slirp4netns

# build PLACE OPTION...: with what is in that place.
build()
{
	$as env PATH="$scratch/$1" "$CBUILD" --root "$own" build --no-cache --progress plain "${@:2}" \
		"$context" 2>&1
}

# What runs in this network, and is cbuild or one of the programs.
helpers()
{
	ps -eo pid,netns,comm | awk -v ns="$(readlink /proc/self/ns/net | tr -dc 0-9)" \
		'$2 == ns && $3 ~ /^(pasta|slirp4netns|cbuild)/'
}

# none_left [PID]: nor that process, after ten seconds at most.
none_left()
{
	for _ in {1..500}; do
		[ -n "$(helpers)" ] || [ -e "/proc/${1:-none}" ] || return 0
		sleep 0.02
	done
	helpers
	return 1
}

# ends_by SIGNAL PLACE: a build that is sent it while a step runs leaves nothing.
ends_by()
{
	local pid program

	build "$2" --network private -f "$context/Sleeps" >"$scratch/sleeps" &
	for _ in {1..1000}; do
		grep -q ' started$' "$scratch/sleeps" && break
		sleep 0.02
	done
	pid=$(helpers | awk '/cbuild-net/ { print $1 }')
	program=$(pgrep -P "${pid:-0}") || { echo "$2 does not run"; cat "$scratch/sleeps"; return 1; }
	pid=$(helpers | awk '{ print $1 }' | head -n 1) # the lowest: cbuild
	kill "-$1" "$pid"
	wait $!
	none_left "$program"
}

for who in root user; do
	as='' own=$store
	if [ "$who" = user ]; then
		user_ready
		as=as_user own=$user_home/store
	fi
	$as "$CBUILD" --root "$own" import "$scratch/busybox.tar" busybox >/dev/null || exit 1
	check "$who: host reaches both" says "first: $near $far \." build neither --network host
	check "$who: none reaches nothing" says 'first: \.' build neither --network none
	build neither --network host -f "$context/Names" >"$scratch/said"
	check "$who, host: a nameserver on loopback is used" grep -q ' found: 192.0.2.99$' "$scratch/said"
	check "$who, host: as the machine has it" grep -q ' servers: 127.0.0.53$' "$scratch/said"
	build neither --network none -f "$context/Names" >"$scratch/said"
	check "$who, none: there is none" eval 'grep " servers:$" "$scratch/said" && grep " found:$" "$scratch/said"'
	for program in pasta slirp4netns; do
		: >"$scratch/started" && chmod 666 "$scratch/started"
		check "$who, $program: a build" build "$program" --network private
		cp "$scratch/output" "$scratch/said"
		check "$who, $program: the machine is reached, its loopback is not" \
			grep -q " first: $far \.$" "$scratch/said"
		check "$who, $program: --network=default is the same" grep -q " second: $far \.$" "$scratch/said"
		check "$who, $program: --network=none is still none" grep -q ' none: \.$' "$scratch/said"
		check "$who, $program: a nameserver on loopback is reached by its deputy" \
			grep -q 'nameserver 10.0.2.3$' "$scratch/said"
		check "$who, $program: the address is always the same" grep -q 'inet 10.0.2.100/24' "$scratch/said"
		check "$who, $program: it was started once" equal "$(wc -l <"$scratch/started")" 1
		check "$who, $program: and is gone" none_left
		build "$program" --network private -f "$context/Names" >"$scratch/said"
		check "$who, $program: the deputy answers" eval 'cat "$scratch/said"; grep -q " found: 192.0.2.99$" "$scratch/said"'
		check "$who, $program: the other lines are the machine's" grep -q ' options: search test options ndots:0$' "$scratch/said"
		for signal in KILL TERM; do # INT is ignored by what a script runs in the background
			check "$who, $program: it is gone after SIG$signal, too" ends_by "$signal" "$program"
		done
	done
	check "$who: neither is there: the fix is named" \
		fails 1 build neither --network private
	check "$who: in these words" grep -q 'neither pasta nor slirp4netns is installed (fix: apt-get install' \
		"$scratch/said"
	check "$who: a Dockerfile cannot widen it" fails 1 build pasta --network private -f "$context/Wider"
	check "$who: but by --allow" build pasta --network private --allow network.host -f "$context/Wider"
	check "$who: cbuild run has it" prints 10.0.2.100/24 $as env PATH="$scratch/pasta" "$CBUILD" \
		--root "$own" run --network private busybox sh -c \
		"ip -4 addr show tap0 | sed -n 's/.*inet \([^ ]*\).*/\1/p'"
done

: >"$scratch/started"
as='' own=$store
check 'a cached build' build pasta --network private -t cached
check 'starts it not at all' eval ': >"$scratch/started" &&
	PATH=$scratch/pasta "$CBUILD" --root "$own" build -q --network private "$context" >/dev/null &&
	[ ! -s "$scratch/started" ]'
check 'host and private are two keys' says 'network' \
	"$CBUILD" --root "$own" plan --network host "$context"
mount -t tmpfs none /dev/net
check 'without a tun device' fails 1 build pasta --network private
check 'the fix is named' grep -q 'open /dev/net/tun (fix: sudo modprobe tun' "$scratch/said"

finish
