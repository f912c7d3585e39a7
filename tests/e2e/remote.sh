#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Sources and contexts that lie elsewhere: ADD of URLs and git repositories, tars, URLs and
# repositories as contexts, --build-context; and what hostile ones of them try.
# shellcheck disable=SC2016 # what is quoted is evaluated later
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

www=$scratch/www context=$scratch/context
mkdir -p "$www/git" "$context"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=http://127.0.0.1:$port
: >"$scratch/log"
python3 "$srcdir/tests/e2e/remote_server.py" "$port" "$www" "$scratch/log" 2>"$scratch/server.err" &
server=$!
at_end_of_test() { kill "$server"; }
for _ in $(seq 100); do
	(: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
	sleep 0.05
done

# dockerfile LINE...: what follows FROM busybox.
dockerfile() { printf '%s\n' 'FROM busybox' "$@" >"$context/Dockerfile"; }
sum_of() { sha256sum "$1" | cut -d' ' -f1; }
build() { cbuild -t t "$@"; }
in_image() { cbuild run t sh -c "$1"; }
nothing_left() { [ -z "$(ls -A "$store/tmp")" ] || { ls -lAR "$store/tmp"; return 1; }; }

# refuses PATTERN COMMAND...: it exits with 1 and its message matches; the canary is not in it.
refuses()
{
	local want=$1

	shift
	fails 1 "$@" && grep -qE -- "$want" "$scratch/said" && ! grep -q "^canary" "$scratch/said" && return
	cat "$scratch/said"
	return 1
}

mkdir -p "$scratch/root/bin" "$scratch/root/etc"
echo 'root:x:0:0:root:/root:/bin/sh' >"$scratch/root/etc/passwd"
cp /bin/busybox "$scratch/root/bin/"
chroot "$scratch/root" /bin/busybox --install -s /bin
tar -C "$scratch/root" --numeric-owner -cf "$scratch/root.tar" .
cbuild import "$scratch/root.tar" busybox >/dev/null
echo canary >"$scratch/canary"

# --- ADD of a URL ---

echo hello >"$www/file.txt"
touch -d '2020-01-02 03:04:05Z' "$www/file.txt"
head -c 3000000 /dev/urandom >"$www/big"
tar -C "$scratch/root" -czf "$www/etc.tgz" etc
sum=sha256:$(sum_of "$www/file.txt")

dockerfile "ADD $url/files/file.txt /d/" "ADD --chmod=644 --chown=7:8 $url/files/file.txt?v=1 /named" \
	"ADD $url/files/etc.tgz /kept/" "ADD --unpack=true $url/files/etc.tgz /unpacked"
check 'ADD of a URL' build "$context"
check 'name, mode and time' prints '600 0 0 1577934245 /d/file.txt' in_image 'stat -c "%a %u %g %Y %n" /d/*'
check '--chmod and --chown' prints '644 7 8' in_image 'stat -c "%a %u %g" /named'
check 'an archive stays whole' says '^1f8b' in_image 'xxd -p /kept/etc.tgz | head -n 1'
check '--unpack=true unpacks' in_image 'test -s /unpacked/etc/passwd'
before=$(wc -l <"$scratch/log")
check 'again: cached' eval 'build "$context" 2>&1 | grep "0 run, 4 cached"'
check 'again: asked, and told 304' eval '[ "$(tail -n +$((before + 1)) "$scratch/log" | grep -c " 304$")" = 4 ]'
old=$(image_id t)
touch "$www/file.txt"
check 'another time alone is no other content' eval 'build "$context" && equal "$old" "$(image_id t)"'
echo changed >"$www/file.txt"
check 'other content is' eval 'build "$context" && prints changed in_image "cat /d/file.txt"'

dockerfile "ADD --checksum=$sum $url/files/file.txt /f"
check '--checksum of other content' refuses 'Dockerfile:2:.*digest mismatch' build "$context"
echo hello >"$www/file.txt"
check '--checksum' eval 'build "$context" && prints hello in_image "cat /f"'
before=$(wc -l <"$scratch/log")
check '--checksum, known: nobody is asked' eval 'build "$context" && equal "$before" "$(wc -l <"$scratch/log")"'
dockerfile "ADD --checksum=sha256:12 $url/files/file.txt /f"
check '--checksum that is none' refuses 'checksum' build "$context"
dockerfile "ADD --checksum=$sum Dockerfile /f"
check '--checksum of a path' refuses 'checksum requires HTTP' build "$context"
dockerfile "ADD --checksum=$sum $url/files/file.txt $url/files/big /f/"
check '--checksum of two' refuses "checksum can't be specified for multiple" build "$context"

dockerfile "ADD $url/slow/big /big"
check 'a broken transfer goes on' build "$context"
check 'and is whole' prints "$(sum_of "$www/big")" in_image 'sha256sum </big | cut -d" " -f1'
dockerfile "ADD $url/fail/2/file.txt /f"
check '503 twice' build "$context"
dockerfile "ADD $url/files/nosuch /f"
check '404' refuses 'Dockerfile:2:.*404' build "$context"
dockerfile "ADD $url/files/..%2f..%2ffile.txt /d/"
check 'a name with ..%2f is its last component' eval 'build "$context" && prints file.txt in_image "ls -A /d"'
dockerfile "ADD $url/to?$url/files/file.txt /f"
check 'a redirect' build "$context"
dockerfile "ADD $url/to?http://169.254.169.254/x /f"
check 'a redirect to the cloud metadata' refuses 'address inside' build "$context"
dockerfile "ADD $url/to?file:///etc/passwd /f"
check 'a redirect to file://' refuses 'neither http nor https' build "$context"
dockerfile 'ADD --unpack=false root.tar /r/' 'ADD root.tar /u/'
cp "$scratch/root.tar" "$context/root.tar"
check '--unpack=false of a path' eval 'build "$context" && in_image "test -f /r/root.tar && test -d /u/bin"'
rm "$context/root.tar"
printf a >"$context/a"; printf b >"$context/b"
dockerfile "ADD a $url/files/file.txt b /f"
check 'the last source wins' eval 'build "$context" && prints b in_image "cat /f"'
dockerfile "ADD a b $url/files/file.txt /f"
check 'also when it is a URL' eval 'build "$context" && prints hello in_image "cat /f"'
dockerfile "ADD $url/huge /f"
check 'a body past the limit' refuses 'larger than' build "$context"
dockerfile "ADD http://user:secret@127.0.0.1:$port/files/file.txt /f"
check 'a password in a URL is refused' refuses 'user name .*--secret id=HTTP_AUTH_HEADER_' build "$context"

check 'and is not shown' eval '! grep -E "#[0-9].*secret" "$scratch/said"'

# --- contexts ---

mkdir -p "$scratch/c/other"
printf 'FROM busybox\nCOPY . /all/\n' >"$scratch/c/Dockerfile"
printf 'FROM busybox\nCOPY only /\n' >"$scratch/c/other/Second"
echo data >"$scratch/c/data"; echo only >"$scratch/c/only"; echo '*' >"$scratch/c/.dockerignore"
tar -C "$scratch/c" --owner=12 --group=13 --numeric-owner -cf "$www/c.tar" .
gzip -k "$www/c.tar"; xz -k "$www/c.tar"
for form in c.tar c.tar.gz c.tar.xz; do
	check "$form on stdin" eval 'build - <"$www/$form"'
	check "$form by a pipe" eval 'cat "$www/$form" | build -'
	check "$form as a path" build "$www/$form"
	check "$form by a URL" build "$url/files/$form"
done
check 'owners of a tar are kept' prints '12 13' in_image 'stat -c "%u %g" /all/data'
check 'a Dockerfile on stdin' eval 'printf "FROM busybox\nRUN echo in >/in\n" | build - && prints in in_image "cat /in"'
printf 'FROM busybox\nRUN echo url >/in\n' >"$www/Dockerfile"
check 'a Dockerfile by a URL' eval 'build "$url/files/Dockerfile" && prints url in_image "cat /in"'
check '-f inside a tar' eval 'build -f other/Second - <"$www/c.tar" && prints only in_image "cat /only"'
check '-f of the host does not reach a tar' eval 'refuses "No such file|no such file" build -f "$context/Dockerfile" - <"$www/c.tar"'
check '-f - with a tar by a URL' eval 'printf "FROM busybox\nCOPY data /x\n" | build -f - "$url/files/c.tar" && prints data in_image "cat /x"'
check '-f - and - are too much' fails 2 build -f - -
check 'garbage on stdin' eval 'refuses "neither a tar" build - <"$www/big"'
head -c 5000 "$www/c.tar" >"$scratch/half.tar"
check 'half a tar is no Dockerfile' eval 'refuses "tar|ends" build - <"$scratch/half.tar"'
check 'a FIFO as a path' eval 'mkfifo "$scratch/fifo" && refuses "neither a directory nor a tar" timeout 5 "$CBUILD" --root "$store" -t t "$scratch/fifo"'
check 'no trace in tmp/' nothing_left

mkdir "$scratch/h"
pack_h() { tar -C "$scratch/h" -cf "$scratch/h.tar" .; }
ln -s "$scratch/canary" "$scratch/h/Dockerfile"; pack_h
check 'a tar whose Dockerfile is a link out of it' eval 'refuses . build - <"$scratch/h.tar"'
rm "$scratch/h/Dockerfile"; mkfifo "$scratch/h/Dockerfile"; pack_h
check 'a tar whose Dockerfile is a FIFO' eval 'refuses . timeout 5 "$CBUILD" --root "$store" -t t - <"$scratch/h.tar"'
rm "$scratch/h/Dockerfile"
printf 'FROM busybox\nCOPY . /all/\n' >"$scratch/h/Dockerfile"
ln -s "$scratch/canary" "$scratch/h/.dockerignore"; ln -s "$scratch" "$scratch/h/dir"; pack_h
check 'a .dockerignore that is a link is a link' eval 'build - <"$scratch/h.tar" && prints "$scratch/canary" in_image "readlink /all/.dockerignore"'
printf 'FROM busybox\nCOPY dir/canary /dir/\n' >"$scratch/h/Dockerfile"; pack_h
check 'links out of a tar lead nowhere' eval 'refuses "Dockerfile:2" build - <"$scratch/h.tar"'
python3 - "$scratch/evil.tar" <<-'EOF'
	import io, sys, tarfile
	with tarfile.open(sys.argv[1], "w") as tar:
	    link = tarfile.TarInfo("out"); link.type = tarfile.SYMTYPE; link.linkname = "/tmp"
	    tar.addfile(link)
	    for name in ("out/cbuild-evil", "../../../../tmp/cbuild-evil", "/tmp/cbuild-evil"):
	        member = tarfile.TarInfo(name); member.size = 4
	        tar.addfile(member, io.BytesIO(b"evil"))
	    member = tarfile.TarInfo("Dockerfile"); text = b"FROM busybox\n"; member.size = len(text)
	    tar.addfile(member, io.BytesIO(text))
EOF
check 'a tar that climbs stays inside' eval 'build - <"$scratch/evil.tar"; [ ! -e /tmp/cbuild-evil ]'

# --- git ---

export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t
work=$scratch/work
in_work() { git -C "$work" -c protocol.file.allow=always "$@" >>"$scratch/git.log" 2>&1; }
git init -q -b main "$work"
mkdir "$work/sub"
echo one >"$work/file"; echo in-sub >"$work/sub/inner"
printf '#!/bin/sh\n' >"$work/script"; chmod 775 "$work/script"
printf 'FROM busybox\nCOPY . /all/\n' >"$work/Dockerfile"
printf 'FROM busybox\nCOPY . /sub/\n' >"$work/sub/Dockerfile"
ln -s "$scratch" "$work/link"; ln -s sub "$work/inlink"
in_work add . && in_work commit -m 1 && in_work tag -a v1 -m v1
first=$(git -C "$work" rev-parse HEAD)
echo two >"$work/file"
in_work commit -am 2
second=$(git -C "$work" rev-parse HEAD)
git clone -q --bare "$work" "$www/git/r.git"
repo=$url/git/r.git

dockerfile "ADD $repo /g"
check 'ADD of a repository' build "$context"
check 'its files' prints two in_image 'cat /g/file'
check 'modes and owners' prints '644 0 0 755 0 0 755' in_image 'echo $(stat -c "%a %u %g" /g/file /g/script) $(stat -c %a /g/sub)'
check 'no .git' in_image 'test ! -e /g/.git'
packs() { grep -c 'POST .*git-upload-pack' "$scratch/log"; }
before=$(packs)
check 'again: cached' eval 'build "$context" 2>&1 | grep "0 run"'
check 'and only its refs were asked for' eval '[ "$(packs)" -le $((before + 1)) ]'
for form in "#v1" "#$first" "#refs/tags/v1" "?tag=v1" "?ref=$first"; do
	dockerfile "ADD $repo$form /g"
	check "$form" eval 'build "$context" && prints one in_image "cat /g/file"'
done
dockerfile "ADD $repo#main:sub /g"
check '#main:sub' eval 'build "$context" && prints "Dockerfile inner" in_image "echo \$(ls -A /g)"'
dockerfile "ADD --keep-git-dir=true $repo#v1 /g"
check '--keep-git-dir' eval 'build "$context" && prints "$first" in_image "cat /g/.git/HEAD"'
dockerfile "ADD --keep-git-dir=true $repo?keep-git-dir=false /g"
check '--keep-git-dir against the URL' refuses 'differ' build "$context"
dockerfile "ADD --checksum=${second:0:12} $repo#main /g"
check '--checksum of a commit' build "$context"
dockerfile "ADD --checksum=$first $repo#main /g"
check '--checksum of another commit' refuses 'expected checksum to match' build "$context"
echo three >"$work/file"; in_work commit -am 3; in_work push "$www/git/r.git" main
dockerfile "ADD $repo /g"
check 'a new commit is seen' eval 'build "$context" && prints three in_image "cat /g/file"'

for bad in '#nosuch' '#main:nosuch' '#main:link' '#main:inlink' '#main:../..' '#main:sub/../..' \
	'#--upload-pack=touch' '#-f' '#main..v1' '#@{1}' '#main:file' '?upload-pack=x'; do
	dockerfile "ADD $repo$bad /g"
	check "refused: $bad" refuses 'Dockerfile:2' build "$context"
	check "refused as context: $bad" refuses . build "$repo$bad"
done
for bad in "file://$www/git/r.git" 'ext::sh -c touch% /tmp/cbuild-ext' 'ftp://x/y.git' 'fd::17/x.git'; do
	check "refused: $bad" refuses . build "$bad"
	check "refused as a named context: $bad" refuses . build --build-context "x=$bad" "$context"
done
check 'a host like an option' refuses . build 'ssh://-oProxyCommand=touch/x.git'
check 'nothing of that ran' eval '! ls /tmp/cbuild-ext touch 2>/dev/null'

check 'a repository as context' eval 'build "$repo" && prints three in_image "cat /all/file"'
check 'its owners are root' prints '0 0' in_image 'stat -c "%u %g" /all/file'
check 'with a subdirectory' eval 'build "$repo#main:sub" && prints in-sub in_image "cat /sub/inner"'
check 'with -f' eval 'build -f sub/Dockerfile "$repo" && prints three in_image "cat /sub/file"'
check '-f does not leave it' refuses . build -f link/context/Dockerfile "$repo"
in_work checkout -b hostile
rm "$work/Dockerfile"; ln -s "$scratch/canary" "$work/Dockerfile"
in_work commit -am link; in_work push "$www/git/r.git" hostile
check 'a repository whose Dockerfile is a link' refuses . build "$repo#hostile"
in_work checkout main

git init -q -b main "$scratch/mod"
echo part >"$scratch/mod/part"
git -C "$scratch/mod" add . && git -C "$scratch/mod" commit -qm 1
git clone -q --bare "$scratch/mod" "$www/git/mod.git"
in_work submodule add "$url/git/mod.git" mod
in_work commit -m sub; in_work push "$www/git/r.git" main:with-module
dockerfile "ADD $repo#with-module /g"
check 'a submodule' eval 'build "$context" && prints part in_image "cat /g/mod/part && ! ls /g/mod/.git 2>/dev/null"'
git -C "$work" config -f .gitmodules submodule.mod.url "$scratch/mod"
in_work commit -am local; in_work push "$www/git/r.git" main:local-module
dockerfile "ADD $repo#local-module /g"
check 'a submodule of a local path' refuses 'not allowed' build "$context"
echo fetched >"$www/file"
dockerfile "ADD $repo#v1 $url/files/file /g/"
check 'a repository and a URL: the last source wins' eval 'build "$context" && prints fetched in_image "cat /g/file"'
dockerfile "ADD $url/files/file $repo#v1 /g/"
check 'and the other way round' eval 'build "$context" && prints one in_image "cat /g/file"'
# password_in BRANCH URL: a submodule of that URL, and a remote with a password.
password_in()
{
	git -C "$work" config -f .gitmodules submodule.mod.url "$2"
	in_work commit -am "$1"; in_work push "$www/git/r.git" "main:$1"
	dockerfile 'ARG P' "ADD --keep-git-dir http://user:\$P@127.0.0.1:$port/git/r.git#$1 /g"
}
password_in relative-module ../mod.git
check 'kept .git: no password of the URL, of submodules neither' eval 'build --build-arg P=c4nary "$context" && in_image "test -f /g/mod/part && grep -rqF mod.git /g/.git && ! grep -rF c4nary /g"'
password_in no-module ../nosuch.git
check 'nor in what git says of a submodule' eval 'refuses "git: .*nosuch.git" build --build-arg P=c4nary "$context" && ! grep c4nary "$scratch/said"'
check 'no trace in tmp/' nothing_left

mkdir -p "$scratch/fakehome"
printf '[url "file:///"]\n\tinsteadOf = http://\n' >"$scratch/fakehome/.gitconfig"
dockerfile "ADD $repo#v1 /g"
check "the user's configuration of git is not read" eval 'HOME=$scratch/fakehome build --no-cache "$context"'

# --- --build-context ---

mkdir -p "$scratch/named/deep"
echo named >"$scratch/named/deep/n"; echo no >"$scratch/named/ignored"; echo ignored >"$scratch/named/.dockerignore"
dockerfile 'COPY --from=src deep/n /n'
check 'COPY --from=name, a path' eval 'build --build-context src="$scratch/named" "$context" && prints named in_image "cat /n"'
echo named2 >"$scratch/named/deep/n"
check 'its changes are seen' eval 'build --build-context src="$scratch/named" "$context" && prints named2 in_image "cat /n"'
dockerfile 'COPY --from=src . /n'
check 'its ignore rules hold' eval 'build --build-context src="$scratch/named" "$context" && in_image "test ! -e /n/ignored"'
dockerfile 'COPY --from=src file /n'
check 'a repository' eval 'build --build-context "src=$repo#v1" "$context" && prints one in_image "cat /n"'
dockerfile 'COPY --from=src data /n'
check 'a tar by a URL' eval 'build --build-context "src=$url/files/c.tar.gz" "$context" && prints "data 12" in_image "echo \$(cat /n; stat -c %u /n)"'
check 'a file by a URL that is no tar' refuses 'no tar' build --build-context "src=$url/files/big" "$context"
dockerfile 'RUN echo other >/which'
cbuild -t other "$context" >/dev/null 2>&1
printf 'FROM alpine:3\nRUN cp /which /got\n' >"$context/Dockerfile"
check 'FROM is replaced by an image' eval 'build --build-context alpine:3=docker-image://other "$context" && prints other in_image "cat /got"'
machine=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
check 'for one platform' build --build-context "alpine:3::linux/$machine=docker-image://other" "$context"
printf 'FROM busybox AS stage\nRUN false\nFROM busybox\nCOPY --from=stage /which /got\n' >"$context/Dockerfile"
check 'a stage is replaced' eval 'build --build-context stage=docker-image://other "$context" && prints other in_image "cat /got"'
dockerfile 'RUN --mount=from=src,target=/m cp /m/deep/n /n && ! ls /m/ignored && ! touch /m/x'
check 'RUN --mount from a path' eval 'build --build-context src="$scratch/named" "$context" && prints named2 in_image "cat /n"'
check 'and again: cached' eval 'build --build-context src="$scratch/named" "$context" 2>&1 | grep "0 run"'
dockerfile 'RUN --mount=from=src,source=/which,target=/m cp /m /n'
check 'RUN --mount from an image' eval 'build --build-context src=docker-image://other "$context" && prints other in_image "cat /n"'
dockerfile 'RUN --mount=from=src,target=/m,rw echo x >/m/file && cat /m/sub/inner >/n'
check 'RUN --mount from a repository' eval 'build --build-context "src=$repo#v1" "$context" && prints in-sub in_image "cat /n"'
dockerfile 'RUN --mount=from=src,target=/m stat -c "%u %g" /m/data >/n'
check 'RUN --mount from a tar: its owners' eval 'build --build-context "src=$url/files/c.tar" "$context" && prints "12 13" in_image "cat /n"'
dockerfile 'RUN --mount=type=cache,from=src,source=deep,target=/m cat /m/n >/n'
check 'a cache that begins as a path' eval 'build --build-context src="$scratch/named" "$context" && prints named2 in_image "cat /n"'
printf 'FROM base\nRUN cat /etc/passwd >/got\n' >"$context/Dockerfile"
check 'FROM a directory' eval 'build --build-context base="$scratch/root" "$context" && in_image "test -s /got"'
check 'and again: cached' eval 'build --build-context base="$scratch/root" "$context" 2>&1 | grep "0 run"'
printf 'FROM what\nRUN cp /which /got\n' >"$context/Dockerfile"
cbuild save -o "$scratch/layout.tar" other >/dev/null # docker's archive is a layout too
mkdir "$scratch/layout" && tar -C "$scratch/layout" -xf "$scratch/layout.tar"
manifest=$(grep -oE 'sha256:[0-9a-f]{64}' "$scratch/layout/index.json" | head -n 1)
check 'an OCI layout' eval 'build --build-context "what=oci-layout://$scratch/layout" "$context" && prints other in_image "cat /got"'
check 'its tag' build --build-context "what=oci-layout://$scratch/layout:latest" "$context"
check 'its digest' build --build-context "what=oci-layout://$scratch/layout@$manifest" "$context"
check 'a tag that it has not' refuses 'no image "nosuch"' build --build-context "what=oci-layout://$scratch/layout:nosuch" "$context"
for blob in "$scratch/layout/blobs/sha256"/*; do printf x >>"$blob"; done
check 'a layout with other bytes' refuses 'digest' build --build-context "what=oci-layout://$scratch/layout" "$context"
check 'a path that is not there' refuses 'No such file' build --build-context "x=$scratch/nosuch" "$context"
check 'no value' refuses 'NAME=VALUE' build --build-context x "$context"
printf 'FROM busybox\nRUN --mount=target=/m stat -c "%%u %%g" /m/data >/n\n' >"$scratch/c/Dockerfile"
tar -C "$scratch/c" --owner=12 --group=13 --numeric-owner -cf "$www/m.tar" .
check 'RUN --mount of a context that is a tar' eval 'build - <"$www/m.tar" && prints "12 13" in_image "cat /n"'
check 'no trace in tmp/' nothing_left

# --- what is for some only: secrets for ADD ---

secret=c4nary-t0ken
printf '%s\n' "$secret" >"$scratch/token"
echo "Bearer $secret" | tee "$scratch/bearer" >"$www/authorization"
host=127.0.0.1
token=(--secret "id=HTTP_AUTH_TOKEN_$host,src=$scratch/token")
dockerfile "ADD $url/private/files/file.txt /f"
check 'without a secret: 401' refuses 'Dockerfile:2:5:.*401' build "$context"
check 'HTTP_AUTH_TOKEN_host' eval 'build "${token[@]}" "$context" && in_image "test -s /f"'
check 'HTTP_AUTH_HEADER_host:port' build --no-cache --secret "id=HTTP_AUTH_HEADER_$host:$port,src=$scratch/bearer" "$context"
check 'another secret, the same content: cached' eval 'build --secret "id=HTTP_AUTH_HEADER_$host,src=$scratch/bearer" "$context" 2>&1 | grep "0 run"'
check 'of another host: 401' refuses 401 build --secret "id=HTTP_AUTH_TOKEN_localhost,src=$scratch/token" "$context"
printf 'a\nb' >"$scratch/lines"
check 'two lines are no header' refuses 'what a header cannot' build --no-cache --secret "id=HTTP_AUTH_TOKEN_$host,src=$scratch/lines" "$context"
dockerfile "ADD $url/to?http://localhost:$port/files/file.txt /f"
check 'a redirect elsewhere' build --no-cache "${token[@]}" "$context"
check 'goes without it' eval 'grep -q "^GET /to.* 302 authorized$" "$scratch/log" && tail -n 1 "$scratch/log" | grep -q "^GET /files/file.txt 200$"'
printf 'Basic %s\n' "$(printf 'x-access-token:%s' "$secret" | base64)" | tee "$scratch/basic" >"$www/authorization"
private=$url/private/git/r.git
dockerfile "ADD $private#v1 /g"
check 'a repository without a secret' refuses 'Dockerfile:2:5' build "$context"
check 'GIT_AUTH_TOKEN' eval 'build --secret "id=GIT_AUTH_TOKEN,src=$scratch/token" "$context" && prints one in_image "cat /g/file"'
check 'GIT_AUTH_TOKEN.host' build --no-cache --secret "id=GIT_AUTH_TOKEN.$host,src=$scratch/token" "$context"
check 'GIT_AUTH_HEADER.host' build --no-cache --secret "id=GIT_AUTH_HEADER.$host,src=$scratch/basic" "$context"
check 'of another host' refuses 'Dockerfile:2:5' build --no-cache --secret "id=GIT_AUTH_TOKEN.localhost,src=$scratch/token" "$context"
dockerfile "ADD --keep-git-dir=true $private#v1 /g"
check 'kept .git: no secret in it' eval 'build --secret "id=GIT_AUTH_TOKEN,src=$scratch/token" "$context" && in_image "test -d /g/.git && ! grep -rqF -e Authorization -e extraHeader /g/.git"'
check 'a repository as context' build --secret "id=GIT_AUTH_TOKEN,src=$scratch/token" "$private"
basic=$(cut -d' ' -f2 "$scratch/basic")
check 'the secret is in no file of the store' eval '! grep -rlF -e "$secret" -e "$basic" "$store"'
check 'nor in what is said' eval 'cbuild build --no-cache --progress plain --secret "id=GIT_AUTH_TOKEN,src=$scratch/token" "$context" >"$scratch/said" 2>&1; cbuild history t >>"$scratch/said"; cbuild inspect t >>"$scratch/said"; ! grep -F -e "$secret" -e "$basic" "$scratch/said"'
check 'nor when it fails' eval 'echo other >"$www/authorization"; refuses . build --no-cache --secret "id=GIT_AUTH_TOKEN,src=$scratch/token" "$context"; ! grep -F -e "$secret" -e "$basic" "$scratch/said"'
check 'no trace in tmp/' nothing_left

# --- a plain user ---

user_ready
user_cbuild import - busybox <"$scratch/root.tar" >/dev/null
check 'a user: a tar with owners' eval 'user_cbuild -t t - <"$www/c.tar"'
check 'a user: owners are kept' prints '12 13' user_cbuild run t stat -c '%u %g' /all/data
check 'a user: a repository as context' user_cbuild -t t "$repo"
dockerfile 'RUN true' "ADD $repo#v1 /g" "ADD $url/files/file.txt /f" 'COPY --from=src n /n'
check 'a user: ADD after a RUN' user_cbuild -t t --build-context src="$scratch/named/deep" "$context"
check 'a user: what came' prints 'one hello named2' user_cbuild run t sh -c 'echo $(cat /g/file /f /n)'

finish
