# Sourced by the registry tests: TAP lines, a work directory, servers that end with the test.

: "${srcdir:=.}" "${builddir:=.}"
helper=${CBUILD_REGISTRY:-$builddir/cbuild-registry}
transfer=${TRANSFER:-$builddir/tests/registry/transfer}
tests=$srcdir/tests/registry

n=0
failed=0
pids=

need() { # programs: skip the test without them
	for program; do
		command -v "$program" >/dev/null 2>&1 || {
			echo "1..0 # SKIP no $program"
			exit 77
		}
	done
}

ok() { # description, command...: the command succeeds
	what=$1
	shift
	n=$((n + 1))
	if "$@" >"$work/out" 2>"$work/err"; then
		echo "ok $n - $what"
	else
		echo "not ok $n - $what"
		sed 's/^/# /' "$work/out" "$work/err"
		failed=1
	fi
}

refused() { # description, pattern for the message, command...: it fails, and says so
	what=$1
	pattern=$2
	shift 2
	n=$((n + 1))
	if "$@" >"$work/out" 2>"$work/err"; then
		echo "not ok $n - $what: it succeeded"
		failed=1
	elif ! grep -Eq "$pattern" "$work/err"; then
		echo "not ok $n - $what: another message than $pattern"
		sed 's/^/# /' "$work/err"
		failed=1
	else
		echo "ok $n - $what"
	fi
}

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

wait_port() { # port
	python3 - "$1" <<-'END'
	import socket, sys, time
	for _ in range(200):
	    try:
	        socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1).close()
	        sys.exit(0)
	    except OSError:
	        time.sleep(0.05)
	sys.exit("nothing listens on port " + sys.argv[1])
	END
}

serve() { # port, command...: in the background until the test ends
	port_=$1
	shift
	"$@" >>"$work/servers.log" 2>&1 &
	pids="$pids $!"
	wait_port "$port_"
}

cleanup() {
	for pid in $pids; do kill "$pid" 2>/dev/null || true; done
	rm -rf "$work"
}

done_testing() {
	echo "1..$n"
	exit $failed
}

work=$(mktemp -d "${TMPDIR:-/tmp}/cbuild-registry.XXXXXX")
trap cleanup EXIT
trap 'exit 1' INT TERM
HOME=$work/home
export HOME
mkdir -p "$HOME/.config/containers"
: >"$HOME/.config/containers/registries.conf"
unset XDG_RUNTIME_DIR XDG_CONFIG_HOME DOCKER_CONFIG DOCKER_AUTH_CONFIG REGISTRY_AUTH_FILE
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY
