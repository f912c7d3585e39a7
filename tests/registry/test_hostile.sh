#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Registries that are broken or mean harm (tests/registry/hostile.py): nothing wrong enters the
# store, no secret leaves, every failure has a message of one line.
set -eu
. "${srcdir:-.}/tests/registry/lib.sh"
need python3

main=$(free_port)
other=$(free_port)
serve "$main" python3 "$tests/hostile.py" "$main" "$other" "$work/log"
wait_port "$other"
mkdir -p "$HOME/.docker"
printf '{"auths": {"localhost:%s": {"auth": "dTpw"}}}' "$main" >"$HOME/.docker/config.json"

fresh() { # command...: with a store of its own
	rm -rf "$work/store"
	: >"$work/log"
	"$transfer" "$helper" "$work/store" "$@" 2>"$work/stderr" || {
		cat "$work/stderr" >&2
		return 1
	}
}
pull() { fresh pull "localhost:$main/$1/x" linux/amd64; }
store_has_no_layer() { # nothing larger than the config is in the store
	test -z "$(find "$work/store" -type f -size +16k)"
}
no_secret_at_other() { ! grep "^$other .* yes " "$work/log"; }
asked_other() { grep -q "^$other " "$work/log"; }
requests() { test "$(grep -c "$1" "$work/log")" -le "$2"; }
one_line() { test "$(grep -c '^error' "$work/stderr")" = 1 && test "$(tail -n 1 "$work/stderr" | grep -c '^error')" = 1; }

ok "a good one" pull good

# --- blobs
refused "other bytes of the same length" "digest mismatch: .*expected sha256:" pull flipped
ok "and nothing of it is kept" store_has_no_layer
refused "more bytes than the descriptor says" "larger than its descriptor" pull longer
ok "and nothing of it is kept" store_has_no_layer
refused "fewer bytes" "ends after" pull shorter
ok "and nothing of it is kept" store_has_no_layer
refused "bytes without an end" "larger than its descriptor" pull endless
ok "a cut connection goes on where it stopped" pull cut
ok "by a range" grep -q " yes$" "$work/log"
stalls() { CBUILD_STALL_SECONDS=1 pull stall; } # instead of half a minute
ok "a blob that stalls goes on where it stopped" stalls
ok "by a range" grep -q " yes$" "$work/log"
badly() { CBUILD_STALL_SECONDS=0 pull good; }
ok "a patience that makes no sense" badly
ok "is told, and not used" grep -q '^note CBUILD_STALL_SECONDS: "0" is not between 1 and 3600; it is 30$' "$work/stderr"
ok "a server without ranges begins again" pull norange
refused "another range than asked for" "another range" pull badrange
refused "a range of something else" "another range" pull othertotal
refused "a range refused for ever" "status 416|ends|closed|outstanding" pull lying416

# --- manifests
refused "a path as digest" "digest" pull traversal
refused "an upper-case digest" "digest" pull uppercase
refused "a digest too short" "digest" pull shorthex
refused "a negative size" "size|number" pull negative
refused "a size beyond numbers" "size|number|big" pull hugesize
refused "manifest and index in one" "ambiguous|both|manifests" pull both
refused "schema 1" "schema" pull schema1
refused "more layers than diff_ids" "layers" pull morelayers
refused "a huge config" "config is larger" pull hugeconfig
refused "a key twice" "duplicate|twice" pull twice
refused "nesting without end" "JSON|deep|depth|nest" pull deep
refused "no JSON" "JSON|expected" pull notjson
refused "nothing" "JSON|expected" pull empty
refused "5 MiB" "larger than" pull huge
refused "a NUL at the end" "JSON|NUL|end of file" pull nul
refused "a web page" "JSON|expected|text/html" pull webpage
refused "a content type that is not the body's" "but was sent as" pull mismatch
refused "an index in a loop" "digest|bytes" pull loopindex
refused "90 kB of headers" "headers" pull bigheader
ok "a forged digest header is only a warning" pull forged

# --- redirects
ok "a redirect to another origin" pull redirect
ok "is followed" asked_other
ok "without the password" no_secret_at_other
ok "another port is another origin" pull selfredirect
ok "and gets no password" no_secret_at_other
refused "to the cloud's metadata" "address inside" pull tometa
refused "to a file" "neither http nor https" pull tofile
refused "to gopher" "neither http nor https" pull togopher
refused "in a circle" "redirects" pull around
refused "to nowhere" "without a location" pull noplace

# --- authorization
refused "401 for ever" "UNAUTHORIZED" pull loop401
ok "is not asked for ever" requests "/v2/loop401" 2
refused "a realm in the cloud's metadata" "without TLS|address inside" pull realmmeta
refused "a realm without TLS" "without TLS" pull realmplain
refused "a realm that is a file" "neither http nor https" pull realmfile
refused "a realm with a user" "user name" pull realmuser
refused "a token with a line break" "no usable token" pull tokencrlf
refused "an empty token" "no usable token" pull tokennone
refused "a huge token" "larger than" pull tokenhuge
refused "401 without a challenge" "UNAUTHORIZED" pull silent401

# --- refusals
ok "503 once" pull busy
refused "a wait of a day" "TOOMANYREQUESTS" pull never
ok "is not waited for" requests "/v2/never" 1
refused "colours in a message" "X: .\[31mred. next$" pull escape
ok "messages are one line" one_line

# --- push
python3 -c 'import sys, tarfile
tar = tarfile.open(sys.argv[1], "w")
info = tarfile.TarInfo("x"); info.size = 1 << 20
tar.addfile(info, open("/dev/urandom", "rb")); tar.close()' "$work/one.tar"
push() {
	rm -rf "$work/store"
	: >"$work/log"
	"$transfer" "$helper" "$work/store" import made "$work/one.tar" || return 1
	"$transfer" "$helper" "$work/store" push "localhost:$main/$1/x" made
}
ok "a good push" push pushok
ok "in nine requests" requests "" 9
ok "an upload location on another origin" push evilupload
ok "is used" asked_other
ok "without the password" no_secret_at_other
refused "no upload location" "did not return an upload location" push nolocation
refused "an upload to the cloud's metadata" "address inside" push metaupload
refused "an upload to a file" "neither http nor https" push fileupload
ok "a registry that wants PATCH" push patchonly
ok "a connection lost in an upload" push flaky
ok "a blob lost before the manifest" push lostblob
refused "a manifest stored as another" "does not have the manifest" push otherdigest

done_testing
