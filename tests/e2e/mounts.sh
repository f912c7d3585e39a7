#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# RUN --mount in all types, and what the command line gives to RUN, as root and as a plain user, and
# by --isolation=chroot, where what is mounted is moved or copied: there nothing is read-only.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

canary=cbuild-canary-$RANDOM$RANDOM$RANDOM
context=$scratch/context
seccomp=$(sed -n "s/^Seccomp:\t//p" /proc/self/status) # 0, but for tests/e2e/refused-calls.sh
last=$scratch/Dockerfile.last # to be built again

# new_context: make the context anew: a/one, a/two, ignored/three, link to a/one.
new_context()
{
	rm -rf "$context"
	mkdir -p "$context/a" "$context/ignored"
	echo one >"$context/a/one"
	echo two >"$context/a/two"
	echo three >"$context/ignored/three"
	ln -s a/one "$context/link"
	ln -s /etc/passwd "$context/out"
	echo ignored >"$context/.dockerignore"
	chmod -R a+rX "$context"
}

# build OPTION...: the Dockerfile on standard input, over the context, by the user whose turn it is.
build()
{
	cat >"$scratch/Dockerfile"
	chmod a+r "$scratch/Dockerfile"
	cp "$scratch/Dockerfile" "$last"
	$by --progress=plain -f "$scratch/Dockerfile" "$@" "$context"
}

# built TEXT OPTION...: the build succeeds and says TEXT (an extended regexp).
built()
{
	local want=$1

	shift
	build "$@" >"$scratch/said" 2>&1 || { cat "$scratch/said"; return 1; }
	grep -qE -- "$want" "$scratch/said" || { cat "$scratch/said"; return 1; }
}

# refused TEXT OPTION...: the build fails and says TEXT.
refused()
{
	local want=$1

	shift
	! build "$@" >"$scratch/said" 2>&1 || { cat "$scratch/said"; return 1; }
	grep -qE -- "$want" "$scratch/said" || { cat "$scratch/said"; return 1; }
}

# said TEXT: the last build said so. silent TEXT: it did not.
said() { grep -qE -- "$1" "$scratch/said" || { cat "$scratch/said"; return 1; }; }
silent() { ! grep -E -- "$1" "$scratch/said"; }

# holds PATH...: the image x has these entries in the layers above its base, and no others.
holds()
{
	local layer

	rm -rf "$scratch/saved" && mkdir "$scratch/saved"
	chmod 777 "$scratch/saved"
	$by save -o "$scratch/saved/x.tar" x || return
	tar -C "$scratch/saved" -xf "$scratch/saved/x.tar"
	while read -r layer; do
		tar -tf "$layer" 2>/dev/null
	done < <(find "$scratch/saved" -type f ! -name x.tar ! -size +1000k) |
		sed 's,^\./,,; s,/$,,; /^$/d' | sort -u >"$scratch/entries"
	printf '%s\n' "$@" | sed '/^$/d' | sort -u | diff - "$scratch/entries"
}

test_bind()
{
	new_context
	check "$who: bind: the context, without what is ignored" built '^#. .* a link out$' <<-'EOF'
		FROM busybox
		RUN --mount=target=/src cd /src && echo $(ls -d a ignored link out 2>/dev/null)
	EOF
	[ -n "$moved" ] || check "$who: bind: read-only" refused 'Read-only file system' <<-'EOF'
		FROM busybox
		RUN --mount=target=/src touch /src/x
	EOF
	check "$who: bind: rw, and the context is as before" built ' 2 new$' <<-'EOF'
		FROM busybox
		RUN --mount=target=/src,rw cd /src && echo new >a/two && rm a/one && cat a/two | xargs echo 2
	EOF
	check "$who: bind: rw writes are gone" equal $'one\ntwo' "$(cat "$context/a/one" "$context/a/two")"
	check "$who: bind: one file, by a link, relative target" built ' file one$' <<-'EOF'
		FROM busybox
		WORKDIR /w
		RUN --mount=source=link,target=f,readwrite=false echo file $(cat f); echo $(ls)
	EOF
	check "$who: bind: a link out of the context leads into it" refused 'out' <<-'EOF'
		FROM busybox
		RUN --mount=source=out,target=/f cat /f
	EOF
	check "$who: bind: an ignored source names the rule" refused 'Dockerfile:2:5:.*(\.dockerignore|ignored)' <<-'EOF'
		FROM busybox
		RUN --mount=source=ignored,target=/f cat /f
	EOF
	check "$who: bind: variables, but not in from" built ' one$' <<-'EOF'
		FROM busybox
		ARG DIR=a
		RUN --mount=source=$DIR/one,target=/${DIR}1 cat /a1
	EOF
	check "$who: bind: a directory" built ' one$' <<-'EOF'
		FROM busybox
		RUN --mount=source=a,target=/a cat /a/one
	EOF
	check "$who: bind: known again" built '\(0 run' <"$last"
	echo more >>"$context/ignored/three"
	check "$who: bind: what is not mounted changes nothing" built '\(0 run' <"$last"
	echo more >>"$context/a/two"
	check "$who: bind: other content is another key" built '\(1 run' <"$last"
	check "$who: bind: from a stage, and its writes are gone" built ' seen$' <<-'EOF'
		FROM busybox AS base
		RUN mkdir /data && echo seen >/data/f && ln -s / /data/root
		FROM busybox
		RUN --mount=from=base,source=/data,target=/d,rw cat /d/f && echo x >/d/f
		RUN --mount=from=base,source=data,target=/d cat /d/f
	EOF
	check "$who: bind: a link in an image ends at the image's root" built ' bin data etc tmp$' <<-'EOF'
		FROM busybox AS base
		RUN mkdir /data && echo seen >/data/f && ln -s / /data/root
		FROM busybox
		RUN --mount=from=base,source=data/root,target=/d echo $(ls /d)
	EOF
	check "$who: bind: from an image" built ' root:x:0:0' <<-'EOF'
		FROM busybox
		RUN --mount=from=busybox,source=/etc/passwd,target=/p cat /p
	EOF
	check "$who: bind: a missing source" refused 'Dockerfile:2:5:.*"/none" does not exist in busybox' <<-'EOF'
		FROM busybox
		RUN --mount=from=busybox,source=/none,target=/p true
	EOF
}

# Each spelling of each option that language.md's table of BuildKit has, through the program.
test_spellings()
{
	[ -z "$moved" ] || return 0
	new_context
	check "$who: spellings: bind" built ' one one one one two x$' <<-'EOF'
		FROM busybox
		WORKDIR /w
		RUN --mount=type=bind,src=a,dst=/1 --mount=type=bind,source=a,destination=/2,ro --mount=source=a,target=3,readonly=true \
			--mount=source=a,target=4,readwrite --mount=source=a/two,target=/with,readonly \
			echo x >/w/4/new && echo $(cat /1/one /2/one /w/3/one /w/4/one /with /w/4/new); \
			! touch /1/x 2>/dev/null && ! touch /2/x 2>/dev/null && ! touch /w/3/x 2>/dev/null
	EOF
	check "$who: spellings: cache" built ' 711 5 6 y$' <<-'EOF'
		FROM busybox
		RUN --mount=type=cache,dst=/c,id=spelled,uid=5,gid=6,mode=0711,sharing=private echo y >/c/y; stat -c '%a %u %g' /c | xargs -I{} echo {} $(cat /c/y)
	EOF
	check "$who: spellings: cache, read-only, in two ways" refused 'Read-only' <<-'EOF'
		FROM busybox
		RUN --mount=type=cache,destination=/c,readonly touch /c/z
	EOF
	check "$who: spellings: tmpfs" built ' tmpfs tmpfs$' <<-'EOF'
		FROM busybox
		RUN --mount=type=tmpfs,dst=/t --mount=type=tmpfs,destination=/u,size=64k echo $(stat -f -c %T /t /u)
	EOF
}

test_stubs()
{
	new_context
	check "$who: mount points: build" built . -t x <<-'EOF'
		FROM busybox
		RUN mkdir /var && ln -s /run /var/run
		RUN --mount=source=a,target=/deep/er/dir --mount=source=a/one,target=/etc/file \
			--mount=type=tmpfs,target=/tmp/t --mount=type=cache,target=/deep/cache \
			--mount=type=cache,target=/deep/cache/inner \
			--mount=type=tmpfs,target=/var/run/x --mount=type=tmpfs,target=/etc/passwd.d \
			ls /deep/er/dir/one /etc/file /run/x /deep/cache/inner && echo y >/etc/new
	EOF
	check "$who: mount points: none stays in the layer" holds etc etc/new var var/run
	check "$who: mount points: owners of directories on the way stay" built ' 1000 755 1000$' -t x <<-'EOF'
		FROM busybox
		RUN mkdir -p /home/user && chown 1000 /home/user
		RUN --mount=type=cache,target=/home/user/.cache echo $(stat -c %u /home/user) $(stat -c %a /home/user) \
			$(stat -c %g /home/user; touch /home/user/.x; stat -c %u /home/user) | sed 's/ 0 / /'
	EOF
}

test_cache()
{
	new_context
	check "$who: cache: is kept" built ' x x$' --no-cache <<-'EOF'
		FROM busybox
		RUN --mount=type=cache,target=/c echo x >>/c/n
		RUN --mount=type=cache,target=/other,id=/c echo x >>/other/n && echo $(cat /other/n)
	EOF
	check "$who: cache: another id is another directory, and another key" built ' empty$' <<-'EOF'
		FROM busybox
		RUN --mount=type=cache,target=/c echo x >>/c/n
		RUN --mount=type=cache,target=/c,id=../../../escaped-id [ -e /c/n ] || echo empty
	EOF
	check "$who: cache: no id is a path" not_there escaped-id
	check "$who: cache: owner and mode" built ' 1000 1001 770$' <<-'EOF'
		FROM busybox
		USER user
		RUN --mount=type=cache,target=/c,uid=1000,gid=1001,mode=770 touch /c/x && stat -c '%u %g %a' /c
	EOF
	[ -n "$moved" ] || check "$who: cache: read-only" refused 'Read-only file system' <<-'EOF'
		FROM busybox
		RUN --mount=type=cache,target=/c,ro touch /c/x
	EOF
	check "$who: cache: filled from a stage, once" built ' seed more more$' <<-'EOF'
		FROM busybox AS base
		RUN mkdir /data && echo seed >/data/f && chown 5:6 /data
		FROM busybox
		RUN --mount=type=cache,target=/c,id=s,from=base,source=/data echo more >>/c/f
		RUN --mount=type=cache,target=/c,id=s,from=base,source=/data \
			[ "$(stat -c %u:%g /c)" = 5:6 ] && echo more >>/c/f && echo $(cat /c/f)
	EOF
	check "$who: cache: twice in one step, locked" built ' y$' <<-'EOF'
		FROM busybox
		RUN --mount=type=cache,id=l,target=/a,sharing=locked --mount=type=cache,id=l,target=/b,sharing=locked \
			echo y >/a/f && cat /b/f
	EOF
}

# not_there NAME: no file of that name in the store but under mounts/, nor beside it.
not_there()
{
	local place

	for place in "$store" "$user_store"; do
		[ -d "$place" ] || continue
		[ -z "$(find "$place" "$(dirname "$place")" -maxdepth 3 -name "$1")" ] || return 1
	done
	return 0
}

# Two builds at once that hold a cache for a second each.
two_builds()
{
	local sharing=$1 pids=() pid i

	for i in 1 2; do
		printf 'FROM busybox\nRUN --mount=type=cache,target=/c,id=%s,sharing=%s : %s; echo $$ >>/c/in; sleep 1; wc -l </c/in; echo out >>/c/in\n' \
			"$sharing" "$sharing" "$i" >"$scratch/Dockerfile.$i"
		chmod a+r "$scratch/Dockerfile.$i"
		$by --progress=plain -f "$scratch/Dockerfile.$i" "$context" >"$scratch/out.$i" 2>&1 &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid" || { cat "$scratch"/out.?; return 1; }
	done
	grep -hoE ' [0-9]+$' "$scratch"/out.? | sort -n | xargs echo
}

test_sharing()
{
	if [ -z "$moved" ]; then
		check "$who: cache: shared by two at once" says '^2 [23]$' two_builds shared
	else
		check "$who: cache: shared is one after the other" prints '1 3' two_builds shared
	fi
	check "$who: cache: locked is one after the other" prints '1 3' two_builds locked
	check "$who: cache: private is a directory for each" prints '1 1' two_builds private
}

test_tmpfs()
{
	[ -z "$moved" ] || return 0
	check "$who: tmpfs: size and mode in both spellings" built ' 1024 1777 2048 700$' <<-'EOF'
		FROM busybox
		RUN --mount=type=tmpfs,target=/a,size=1m,mode=1777 --mount=type=tmpfs,target=/b,tmpfs-size=2m,tmpfs-mode=0700 \
			echo $(df /a | tail -n 1 | awk '{print $2}') $(stat -c %a /a) $(df /b | tail -n 1 | awk '{print $2}') $(stat -c %a /b)
	EOF
}

# nowhere SECRET: not in any file of the store and of the image, which holds() has saved; what is
# packed is unpacked.
nowhere()
{
	local place=$store

	[ "${who%%-*}" = root ] || place=$user_store
	[ -d "$place/steps" ] && python3 "$srcdir/tests/e2e/search_secret.py" "$1" "$place" "$scratch/saved"
}

# A search that finds nothing is worth something when it finds what is there.
test_search()
{
	local dir=$scratch/searched

	mkdir "$dir"
	printf %s "abc$canary" >"$dir/plain"
	gzip -c "$dir/plain" >"$dir/packed"
	tar -C "$dir" -cf - packed | xz >"$dir/nested"
	base64 <"$dir/plain" >"$dir/base64"
	check 'a secret in four files is found in four' eval \
		'fails 1 python3 "$srcdir/tests/e2e/search_secret.py" "$canary" "$dir" && equal 4 "$(wc -l <"$scratch/said")"'
	rm -r "$dir"
}

test_secret()
{
	printf %s "$canary" >"$scratch/secret"
	chmod a+r "$scratch/secret"
	check "$who: secret: file and variable" built " 400 0 0 ${#canary}\$" -t x \
		--secret "id=tok,src=$scratch/secret" --secret id=two,env=SECRET_OF_TEST <<-'EOF'
		FROM busybox
		RUN --mount=type=secret,id=tok stat -c '%a %u %g %s' /run/secrets/tok
		RUN --mount=type=secret,id=two,env=TWO,target=/root/two [ "$TWO" = "$(cat /root/two)" ] && [ -n "$TWO" ]
		RUN --mount=type=secret,id=two,env=TWO [ ! -e /run/secrets/two ] && [ -n "$TWO" ]
		RUN [ -z "$TWO" ] && [ ! -e /run/secrets ] && [ ! -e /root ]
		USER user
		RUN --mount=type=secret,target=/run/x/tok,uid=1000,gid=7,mode=0440 [ -r /run/x/tok ] && \
			[ "$(stat -c '%a %u %g' /run/x/tok)" = '440 1000 7' ] && ! echo x 2>/dev/null >/run/x/tok
	EOF
	[ -n "$moved" ] || check "$who: secret: on a tmpfs" built 'tmpfs' --secret "id=tok,src=$scratch/secret" <<-'EOF'
		FROM busybox
		RUN --mount=type=secret,id=tok grep -F ' /run/secrets/tok ' /proc/self/mountinfo
	EOF
	check "$who: secret: in no layer" holds ''
	check "$who: secret: the image, packed" $by save --format oci -o "$scratch/saved/oci.tar" x
	check "$who: secret: nowhere in the store or the image" nowhere "$canary"
	check "$who: secret: not in what was printed" silent "$canary"
	echo other >"$scratch/secret"
	check "$who: secret: its value is no part of the key" built CACHED --secret "id=tok,src=$scratch/secret" <"$last"
	check "$who: secret: a missing one is a warning" built 'warning: .*"none".*given are "tok"' \
		--secret "id=tok,src=$scratch/secret" <<-'EOF'
		FROM busybox
		RUN --mount=type=secret,id=none [ ! -e /run/secrets/none ]
	EOF
	check "$who: secret: a required one is an error" refused 'Dockerfile:2:5:.*"none" is required' <<-'EOF'
		FROM busybox
		RUN --mount=type=secret,id=none,required true
	EOF
}

# The agents of this machine that answer in a step: OpenSSH's ssh-add with its libraries in an image.
test_ssh()
{
	local root=$scratch/ssh-root library

	command -v ssh-agent >/dev/null || { skip "$who: ssh: no ssh-agent"; return; }
	[ -d "$root" ] || {
		mkdir -p "$root/bin"
		cp "$(command -v ssh-add)" "$root/bin/"
		for library in $(ldd "$root/bin/ssh-add" | grep -oE '/[^ ]+'); do
			install -D "$library" "$root$library"
		done
		tar -C "$root" -cf "$scratch/ssh.tar" .
	}
	$by import "$scratch/ssh.tar" ssh-tools >/dev/null
	printf 'FROM ssh-tools AS ssh\nFROM busybox\nCOPY --from=ssh / /\nCOPY --from=busybox /etc/passwd /etc/\nRUN --mount=type=ssh ssh-add -l\nUSER user\nRUN --mount=type=ssh,id=default,uid=1000,target=/tmp/a ssh-add -l; echo $SSH_AUTH_SOCK\n' >"$scratch/ssh.Dockerfile"
	ssh-keygen -q -t ed25519 -N '' -C "key-$who" -f "$scratch/k.$who"
	ssh-keygen -q -t ed25519 -N secret -C locked -f "$scratch/locked.$who"
	[ "${who%%-*}" = root ] || chown "$plain_user:" "$scratch"/k."$who"* "$scratch"/locked."$who"*
	check "$who: ssh: a private agent with a key" built "key-$who" --no-cache --ssh "default=$scratch/k.$who" <"$scratch/ssh.Dockerfile"
	check "$who: ssh: for another user of the image" said ' /tmp/a'
	check "$who: ssh: no agent is left" equal '' "$(own_agents)"
	check "$who: ssh: no key in the store" nowhere "$(sed -n 3p "$scratch/k.$who")"
	check "$who: ssh: by another id, with a mode" built "key-$who" --no-cache --ssh "other=$scratch/k.$who" < <(
		sed 's/^RUN --mount=type=ssh ssh/RUN --mount=type=ssh,id=other,mode=0666,required ssh/; /^USER/,$d' "$scratch/ssh.Dockerfile"
		echo 'USER user'
		echo 'RUN --mount=type=ssh,id=other,mode=0666 ssh-add -l')
	check "$who: ssh: a required one is an error" refused '"absent" is required' <<-'EOF'
		FROM busybox
		RUN --mount=type=ssh,id=absent,required true
	EOF
	check "$who: ssh: a key with a passphrase is an error" refused 'ssh-add cannot use' --no-cache --ssh "default=$scratch/locked.$who" <"$scratch/ssh.Dockerfile"
	$as ssh-agent -D -a "$user_home/agent.$who" >/dev/null 2>&1 &
	agent=$!
	wait_until 5 test -S "$user_home/agent.$who"
	$as env SSH_AUTH_SOCK="$user_home/agent.$who" ssh-add -q "$scratch/k.$who"
	check "$who: ssh: a running agent" built "key-$who" --no-cache --ssh "default=$user_home/agent.$who" <"$scratch/ssh.Dockerfile"
	pkill -P "$agent" 2>/dev/null
	kill "$agent" 2>/dev/null
	wait "$agent" 2>/dev/null
}

# own_agents: those that this test's builds have running: their directory is in a store of its.
own_agents()
{
	local pid

	for pid in $(pgrep -f 'ssh-agent -D -a agent'); do
		case $(readlink "/proc/$pid/cwd") in "$scratch"/*) echo "$pid" ;; esac
	done
}

# killed: a build that holds an agent, a cache and a bind is killed; nothing of it goes on, and the
# next one waits for nobody.
killed()
{
	local pid nap=1$RANDOM$RANDOM # seconds of a sleep that nobody else does

	printf 'FROM busybox\nRUN --mount=type=ssh --mount=target=/b,rw --mount=type=cache,id=k,target=/c,sharing=locked : %s; touch /c/x; sleep %s\n' \
		"$RANDOM" "$nap" >"$scratch/killed"
	"$CBUILD" --root "$store" --ssh "default=$scratch/k.root" -f "$scratch/killed" "$context" >"$scratch/out" 2>&1 &
	pid=$!
	wait_until 10 pgrep -f "^sleep $nap$" || { cat "$scratch/out"; return 1; }
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null
	wait_until 5 eval "! pgrep -f '^sleep $nap\$'" || return 1
	equal '' "$(own_agents; pgrep -fa -- "--root $store")" || return 1
	sed -i "s/sleep $nap/true/" "$scratch/killed"
	timeout 10 "$CBUILD" --root "$store" --ssh "default=$scratch/k.root" -f "$scratch/killed" "$context" || return 1
	equal '' "$(ls "$store/tmp")"
}

test_kill()
{
	[ "$who" = root ] || return 0
	command -v ssh-agent >/dev/null || { skip "$who: kill: no ssh-agent"; return; }
	check "$who: kill -9 leaves no process, no lock and, after the next build, no file" killed
}

# killed_moved: a build that has a secret, and a cache moved into its root, is killed while the
# step has made of the places what it likes. The secret is empty at once; the cache comes home.
killed_moved()
{
	local pid seconds=$((10000 + RANDOM))

	build --secret "id=tok,src=$scratch/secret" <<-'EOF' || return 1
		FROM busybox
		RUN --mount=type=cache,id=moved,target=/c/d echo kept >/c/d/kept
	EOF
	printf 'FROM busybox\nRUN --mount=type=secret,id=tok --mount=type=cache,id=moved,target=/c/d : %s; ln /run/secrets/tok /mine; ln -s /etc /c/link; touch /c/d/x; sleep %s\n' \
		"$RANDOM" "$seconds" >"$scratch/killed"
	chmod a+r "$scratch/killed"
	$by --secret "id=tok,src=$scratch/secret" -f "$scratch/killed" "$context" >"$scratch/out" 2>&1 &
	wait_until 10 pgrep -f "^sleep $seconds$" || { cat "$scratch/out"; return 1; }
	pid=$(pgrep -o -f -- "-f $scratch/killed")
	kill -KILL "$pid"
	wait_until 5 eval "! pgrep -f '^sleep $seconds$'" || return 1
	wait_until 5 nowhere "$canary" || return 1
	built ' kept x$' --no-cache <<-'EOF'
		FROM busybox
		RUN --mount=type=cache,id=moved,target=/c echo $(ls /c)
	EOF
}

# What is moved into the root, and what the step makes of the places.
test_moved()
{
	printf %s "$canary" >"$scratch/secret"
	chmod a+r "$scratch/secret"
	new_context
	check "$who: moved: places that the step replaced reach nothing outside" built ' fine$' -t x <<-EOF
		FROM busybox AS base
		RUN mkdir /data && echo seen >/data/f
		FROM busybox
		RUN --mount=type=cache,id=replaced,target=/p/c --mount=from=base,source=/data,target=/p/d,rw --mount=target=/q/r \
			mv /p /away && ln -s ../../../../../../../../../../../..$scratch /p && rm -r /q && ln -s $scratch/context /q && \
			mv /bin/usleep /away/c/ && echo y >/away/d/f && echo fine
		RUN [ ! -e /away/d ] && [ ! -e /away/c ] && [ -L /p ] && [ -L /q ] && [ ! -e /bin/usleep ]
	EOF
	check "$who: moved: and what they hold is not in the layer" holds away p q bin bin/.wh.usleep
	check "$who: moved: nothing outside was touched" equal $'one\ntwo' "$(cat "$context/a/one" "$context/a/two")"
	check "$who: moved: a program left behind keeps nothing" built ' [0-9]+$' <<-'EOF'
		FROM busybox
		RUN --mount=type=cache,id=behind,target=/c (setsid sh -c 'while :; do touch /c/x; ln -sfn /etc /c/d; rm /c/d; done' >/dev/null 2>&1 &) ; sleep 0.2; echo 1
		RUN [ ! -e /c ] && echo 2
	EOF
	check "$who: moved: a link to a cache's file is a file of the layer" built ' cached$' <<-'EOF'
		FROM busybox
		RUN --mount=type=cache,id=linked,target=/c echo cached >/c/f && ln /c/f /f
		RUN --mount=type=cache,id=linked,target=/c echo other >/c/f
		RUN cat /f
	EOF
	check "$who: moved: killed, the cache is kept and the secret gone" killed_moved
	check "$who: moved: --network=none" built 'Address family not supported' <<-'EOF'
		FROM busybox
		RUN --network=none nc -w 1 127.0.0.1 9 2>&1 || true
	EOF
	check "$who: moved: insecure is refused" refused 'security=insecure needs namespaces' --allow security.insecure <<-'EOF'
		FROM busybox
		RUN --security=insecure true
	EOF
	check "$who: moved: after a failed step nothing is left" refused 'exit' --secret "id=tok,src=$scratch/secret" <<-'EOF'
		FROM busybox
		RUN --mount=type=secret,id=tok --mount=target=/b cp /run/secrets/tok /copied; false
	EOF
	check "$who: moved: of the copied secret neither" nowhere "$canary"
}

test_syntax()
{
	local line

	while IFS='|' read -r option want; do
		check "$who: syntax: $option" refused "Dockerfile:2:5:.*$want" <<-EOF
			FROM busybox
			RUN --mount=$option true
		EOF
	done <<-'EOF'
		type=cach,target=/x|unsupported mount type "cach" .did you mean cache
		targt=/x|unexpected key "targt" .did you mean target
		bind-propagation=shared,target=/x|unexpected key "bind-propagation"
		target=/x,z|unexpected key "z"
		target=/|invalid mount target
		target=/..|invalid mount target
		type=tmpfs|target is missing
		type=tmpfs,target=/x,sharing=locked|sharing is not an option of type=tmpfs
		type=cache,target=/x,sharing=some|unsupported sharing value "some"
		type=tmpfs,target=/x,size=many|invalid size "many"
		type=cache,target=/x,mode=9|invalid value "9" of mode
		type=cache,target=/x,uid=-1|invalid value "-1" of uid
		type=cache,target=/x,source=/y|needs from=
		type=secret|needs an id or a target
		type=secret,id=a,env=1x|not the name of a variable
		from=$x,target=/x|doesn't support variable expansion
		target=/x,ro,rw|contradict
		target|must be a key=value pair
	EOF
}

test_grants()
{
	check "$who: --ulimit" built ' 200 300 2048$' --ulimit nofile=200:300 --ulimit core=2048:4096 <<-'EOF'
		FROM busybox
		RUN echo $(ulimit -Sn) $(ulimit -Hn) $(($(ulimit -Sc) * 512))
	EOF
	check "$who: --ulimit is part of the key" built ' 100$' --ulimit nofile=100 <<-'EOF'
		FROM busybox
		RUN echo $(ulimit -Hn)
	EOF
	check "$who: --ulimit: other value runs again" built ' 101$' --ulimit nofile=101 <"$last"
	check "$who: --ulimit: unknown type" fails 2 "$by" --ulimit files=1 "$context"
	check "$who: --shm-size" built ' 3072$' --shm-size 3m <<-'EOF'
		FROM busybox
		RUN df /dev/shm | tail -n 1 | awk '{print $2}'
	EOF
	check "$who: --shm-size: not a size" fails 2 "$by" --shm-size much "$context"
	check "$who: insecure is refused" refused 'Dockerfile:2:5:.*--allow security.insecure' <<-'EOF'
		FROM busybox
		RUN --security=insecure true
	EOF
	check "$who: insecure is allowed" built " 00000[0-9a-f]*ffffff $seccomp\$" --allow security.insecure <<-'EOF'
		FROM busybox
		RUN --security=insecure echo $(grep CapEff /proc/self/status | cut -f2) $(grep Seccomp: /proc/self/status | cut -f2)
	EOF
	check "$who: a step beside it is as it was" built ' 00000000a80425fb 2$' --allow security.insecure <<-'EOF'
		FROM busybox
		RUN echo $(grep CapEff /proc/self/status | cut -f2) $(grep Seccomp: /proc/self/status | cut -f2)
	EOF
	check "$who: network none" built ' lo$' --network none <<-'EOF'
		FROM busybox
		RUN echo $(ls /sys/class/net)
	EOF
	check "$who: network=host is refused then" refused 'Dockerfile:2:5:.*--allow network.host' --network none <<-'EOF'
		FROM busybox
		RUN --network=host true
	EOF
	check "$who: network=host is allowed" built "$(echo " $(ls /sys/class/net)" | xargs echo)\$" \
		--network none --allow network.host <<-'EOF'
		FROM busybox
		RUN --network=host echo $(ls /sys/class/net)
	EOF
	check "$who: --allow: unknown" fails 2 "$by" --allow all "$context"
}

# The user's cbuild, with the variable that a secret comes from.
user_with_secret()
{
	as_user env SECRET_OF_TEST="$SECRET_OF_TEST" \
		${CBUILD_ISOLATION:+CBUILD_ISOLATION="$CBUILD_ISOLATION"} "$CBUILD" --root "$user_store" "$@"
}

export SECRET_OF_TEST=$canary-env
busybox_tar
user_ready
new_context
test_search
for who in root user; do
	by=cbuild as= moved=
	store=$scratch/store user_store=$user_home/store
	[ "$who" = root ] || by=user_with_secret as=as_user
	$by import "$scratch/root.tar" busybox >/dev/null || exit 1
	for part in bind spellings stubs cache sharing tmpfs secret ssh kill syntax grants; do
		"test_$part"
	done
	who=$who-chroot moved=1
	store=$scratch/store-chroot user_store=$user_home/store-chroot
	$by import "$scratch/root.tar" busybox >/dev/null || exit 1
	export CBUILD_ISOLATION=chroot
	for part in bind stubs cache sharing secret ssh moved; do
		"test_$part"
	done
	unset CBUILD_ISOLATION
done
finish
