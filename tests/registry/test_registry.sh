#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Pull and push against real registries (plain, htpasswd, token), with skopeo as the other side.
set -eu
. "${srcdir:-.}/tests/registry/lib.sh"
need docker-registry skopeo python3 openssl zstd

plain=$(free_port)
basic=$(free_port)
bearer=$(free_port)
tokens=$(free_port)

config() { # name, port, auth block
	cat >"$work/$1.yml" <<-END
	version: 0.1
	log: {level: error, accesslog: {disabled: true}}
	storage: {filesystem: {rootdirectory: $work/$1-data}}
	http: {addr: "127.0.0.1:$2", secret: test}
	$3
	END
}

config plain "$plain" ""
serve "$plain" docker-registry serve "$work/plain.yml"

python3 -W ignore -c 'import crypt; print("u:" + crypt.crypt("p", crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)))' |
	sed 's/\$2b\$/$2y$/' >"$work/htpasswd"
config basic "$basic" "auth: {htpasswd: {realm: basic-realm, path: $work/htpasswd}}"
serve "$basic" docker-registry serve "$work/basic.yml"

openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key" -out "$work/cert" -days 2 \
	-subj /CN=issuer >/dev/null 2>&1
serve "$tokens" python3 "$tests/token_server.py" "$tokens" "$work/key" "$work/cert"
config bearer "$bearer" \
	"auth: {token: {realm: \"http://localhost:$tokens/token\", service: svc, issuer: issuer, rootcertbundle: $work/cert}}"
serve "$bearer" docker-registry serve "$work/bearer.yml"

python3 "$tests/make_images.py" "$work/layout"
copy() { skopeo copy -q --src-tls-verify=false --dest-tls-verify=false "$@"; }
copy --all "oci:$work/layout:multi" "docker://localhost:$plain/t/multi:latest"
copy "oci:$work/layout:single" "docker://localhost:$plain/t/single:latest"
copy "oci:$work/layout:zstd" "docker://localhost:$plain/t/zstd:latest"
copy --format v2s2 "oci:$work/layout:single" "docker://localhost:$plain/t/docker:latest"
copy --all --format v2s2 "oci:$work/layout:multi" "docker://localhost:$plain/t/list:latest"

t() { "$transfer" "$helper" "$work/store" "$@"; }
d() { "$transfer" "$helper" "$work/store-docker" "$@"; }
digest() { # layout name: of its manifest or index
	python3 -c 'import json, sys
for m in json.load(open(sys.argv[1] + "/index.json"))["manifests"]:
    if m["annotations"]["org.opencontainers.image.ref.name"] == sys.argv[2]: print(m["digest"])' \
		"$work/layout" "$1"
}
says() { # pattern, command...
	pattern_=$1
	shift
	"$@" >"$work/says" 2>&1 || { cat "$work/says"; return 1; }
	grep -q -- "$pattern_" "$work/says" || { cat "$work/says"; return 1; }
}
fewer() { # command that must not fetch any blob
	"$@" >"$work/says" 2>&1 || { cat "$work/says"; return 1; }
	! grep -E '^(moving|done)' "$work/says"
}
inspect() { skopeo inspect --raw --tls-verify=false "docker://localhost:$1"; }
same_raw() { # the same bytes as manifest
	inspect "$1" >"$work/raw1" && inspect "$2" >"$work/raw2" && cmp "$work/raw1" "$work/raw2"
}

# --- pull
ok "resolve" says "$(digest multi)" t resolve "localhost:$plain/t/multi"
ok "pull an index" says "remote $(digest multi)" t pull "localhost:$plain/t/multi" linux/amd64
ok "pull another platform" t pull "localhost:$plain/t/multi" linux/arm64
ok "an unchanged name costs no blob" fewer t pull "localhost:$plain/t/multi" linux/arm64
ok "arm/v7 for arm" t pull "localhost:$plain/t/multi" linux/arm
refused "a platform that is not there" "linux/s390x.*available|available.*linux" \
	t pull "localhost:$plain/t/multi" linux/s390x
ok "pull a single manifest" says "manifest $(digest single)" t pull "localhost:$plain/t/single"
ok "pull by digest" says "manifest $(digest single)" \
	t pull "localhost:$plain/t/single@$(digest single)"
ok "layers that are here are not fetched" says "^exists" t pull "localhost:$plain/t/multi" \
	linux/amd64
ok "pull docker's list" d pull "localhost:$plain/t/list" linux/amd64
ok "pull docker's manifest" d pull "localhost:$plain/t/docker"
ok "pull zstd layers" says "manifest $(digest zstd)" t pull "localhost:$plain/t/zstd"
refused "no such name" "MANIFEST_UNKNOWN" t pull "localhost:$plain/t/none"
refused "no registry" "cannot connect" t pull "localhost:$(free_port)/t/none"

# --- push
ok "push" says "$(digest single)" t push "localhost:$plain/p/single" "localhost:$plain/t/single"
ok "what was pulled is pushed byte by byte" same_raw "$plain/p/single" "$plain/t/single"
ok "pushed again, nothing is sent" fewer t push "localhost:$plain/p/single" \
	"localhost:$plain/t/single"
ok "push docker's types" d push "localhost:$plain/p/docker" "localhost:$plain/t/docker"
ok "docker's manifest stays docker's" same_raw "$plain/p/docker" "$plain/t/docker"
ok "push zstd" t push "localhost:$plain/p/zstd" "localhost:$plain/t/zstd"
ok "zstd stays zstd" same_raw "$plain/p/zstd" "$plain/t/zstd"
ok "skopeo takes what was pushed" copy "docker://localhost:$plain/p/single" \
	"dir:$work/taken"
python3 -c 'import os, sys, tarfile
for name in sys.argv[2:]:
    tar = tarfile.open(sys.argv[1] + "/" + name + ".tar", "w")
    info = tarfile.TarInfo(name); info.size = 1 << 20
    tar.addfile(info, open("/dev/zero", "rb")); tar.close()' "$work" one two
ok "import two layers" t import "made" "$work/one.tar" "$work/two.tar"
ok "push a made image, gzip" t push "localhost:$plain/p/made" made gzip
ok "its layers are gzip" says 'layer.v1.tar+gzip' inspect "$plain/p/made"
ok "pushed again, nothing is sent" fewer t push "localhost:$plain/p/made" made gzip
ok "skopeo takes it" copy "docker://localhost:$plain/p/made" "dir:$work/taken2"
ok "push it as docker" t push "localhost:$plain/p/madedocker" made gzip docker
ok "docker's types" says 'application/vnd.docker.distribution.manifest.v2' \
	inspect "$plain/p/madedocker"
ok "skopeo takes that" copy "docker://localhost:$plain/p/madedocker" "dir:$work/taken3"
refused "a name with a digest cannot be pushed" "digest" \
	t push "localhost:$plain/p/x@$(digest single)" made

# --- blobs that another repository of the registry has
python3 -c 'import os, sys, tarfile
tar = tarfile.open(sys.argv[1], "w"); info = tarfile.TarInfo("r"); info.size = 1 << 20
tar.addfile(info, open("/dev/urandom", "rb")); tar.close()' "$work/random.tar"
lent() { # a fresh store pushes to one name, then to another
	t import lent1 "$work/random.tar" && t push "localhost:$plain/lent/a" lent1 &&
		t pull "localhost:$plain/lent/a" && t push "localhost:$plain/lent/b" lent1 >"$work/l" 2>&1 &&
		test "$(grep -c '^moving' "$work/l")" -le 1
}
ok "are mounted, not sent" lent

# --- two processes
both() {
	"$transfer" "$helper" "$work/store2" pull "localhost:$plain/t/single" >"$work/b1" 2>&1 &
	first=$!
	"$transfer" "$helper" "$work/store2" pull "localhost:$plain/t/single" >"$work/b2" 2>&1 &&
		wait $first && test "$(cat "$work/b1" "$work/b2" | grep -c '^done')" = 4
}
ok "two pulls at once fetch each blob once" both

# --- basic
refused "no credentials" "authoriz" t pull "localhost:$basic/t/single"
mkdir -p "$HOME/.docker"
printf '{"auths": {"localhost:%s": {"auth": "dTp3cm9uZw=="}}}' "$basic" >"$HOME/.docker/config.json"
refused "a wrong password" "authentication failed for localhost:$basic .user u from" \
	t push "localhost:$basic/t/single" "localhost:$plain/t/single"
printf '{"auths": {"localhost:%s": {"auth": "dTpw"}, "localhost:%s": {"auth": "dTpw"}}}' \
	"$basic" "$bearer" >"$HOME/.docker/config.json"
ok "push with a password" t push "localhost:$basic/t/single" "localhost:$plain/t/single"
ok "pull with a password" "$transfer" "$helper" "$work/store3" pull "localhost:$basic/t/single"

# --- bearer
ok "push with a token" t push "localhost:$bearer/public/single" "localhost:$plain/t/single"
ok "push to a private one" t push "localhost:$bearer/private/single" "localhost:$plain/t/single"
ok "pull with a token" "$transfer" "$helper" "$work/store4" pull \
	"localhost:$bearer/private/single"
lent_with_token() {
	"$transfer" "$helper" "$work/store4" push "localhost:$bearer/private/other" \
		"localhost:$bearer/private/single" >"$work/l" 2>&1 &&
		test "$(grep -c '^moving' "$work/l")" -le 1
}
ok "mount with a token for both" lent_with_token
rm "$HOME/.docker/config.json"
ok "pull anonymously with a token" "$transfer" "$helper" "$work/store5" pull \
	"localhost:$bearer/public/single"
refused "a private one needs more" "pull access denied|authoriz" "$transfer" "$helper" \
	"$work/store5" pull "localhost:$bearer/private/single"
printf '{"auths": {"localhost:%s": {"auth": "dTp3cm9uZw=="}}}' "$bearer" >"$HOME/.docker/config.json"
refused "the token server's words" "incorrect username or password" "$transfer" "$helper" \
	"$work/store5" pull "localhost:$bearer/private/single"
rm "$HOME/.docker/config.json"

# --- TLS
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/tls.key" -out "$work/tls.crt" -days 2 \
	-subj /CN=localhost -addext subjectAltName=DNS:localhost >/dev/null 2>&1
tls=$(free_port)
config tls "$tls" ""
sed -i "s|secret: test|secret: test, tls: {certificate: $work/tls.crt, key: $work/tls.key}|" "$work/tls.yml"
serve "$tls" docker-registry serve "$work/tls.yml"
refused "an unknown certificate is no reason for plain HTTP" "certificate" \
	t push "localhost:$tls/t/single" "localhost:$plain/t/single"
ok "insecure does not look at it" env TRANSFER_INSECURE=1 "$transfer" "$helper" "$work/store" \
	push "localhost:$tls/t/single" "localhost:$plain/t/single"

# --- mirrors
cat >"$HOME/.config/containers/registries.conf" <<END
[[registry]]
prefix = "docker.io"
location = "docker.io"
[[registry.mirror]]
location = "localhost:$plain/t"
[[registry]]
location = "blocked.example"
blocked = true
END
copy "oci:$work/layout:single" "docker://localhost:$plain/t/library/base:1"
ok "docker.io by its mirror" says "$(digest single)" t pull base:1
refused "a blocked registry" "registry blocked.example is blocked in" t pull blocked.example/x

done_testing
