#!/bin/sh
# Errors of a build say where and what: file:line:col, the source line, a caret under the range, and
# what was meant where that can be guessed. Each case is a Dockerfile and all that is printed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cbuild=${builddir:-.}/cbuild
mkdir -p "$work/ctx/dir" "$work/ctx/secret"
cd "$work/ctx"
touch file app.conf dir/main.c secret/key
printf '# rules\n\n*.log\n*.conf\nsecret\n!secret/ok\n' >.dockerignore
failed=0

check() { # name [option...]: the Dockerfile, a line "---" and what is said come from standard input
	name=$1
	shift
	cat >"$work/case"
	sed '/^---$/,$d' "$work/case" >"$work/Dockerfile"
	sed '1,/^---$/d' "$work/case" >"$work/want"
	if "$cbuild" --root "$work/store" build -q --offline "$@" -f "$work/Dockerfile" . \
		>"$work/out" 2>&1; then
		echo "FAILED: $name was built"
		failed=1
	fi
	sed "s|$work/||" "$work/out" | diff "$work/want" - || {
		echo "FAILED: $name"
		failed=1
	}
}

check 'an ignored source' <<'END'
FROM scratch
COPY app.conf /
---
cbuild: Dockerfile:2:6: COPY app.conf: "app.conf" not found in the build context; .dockerignore:4 `*.conf` excludes it
  2 | COPY app.conf /
    |      ^^^^^^^^
END
check 'a source in an ignored directory, in spite of exceptions' <<'END'
FROM scratch
ADD file secret/key /
---
cbuild: Dockerfile:2:10: ADD secret/key: "secret/key" not found in the build context; .dockerignore:5 `secret` excludes it
  2 | ADD file secret/key /
    |          ^^^^^^^^^^
END
check 'a mistyped source' <<'END'
FROM scratch
COPY file \
  dir/mian.c /
---
cbuild: Dockerfile:3:3: COPY dir/mian.c: "dir/mian.c" not found in the build context; did you mean "dir/main.c"?
  3 |   dir/mian.c /
    |   ^^^^^^^^^^
END
check 'a mistyped directory' <<'END'
FROM scratch
COPY ["dri/main.c", "/"]
---
cbuild: Dockerfile:2:7: COPY dri/main.c: "dri/main.c" not found in the build context; did you mean "dir/main.c"?
  2 | COPY ["dri/main.c", "/"]
    |       ^^^^^^^^^^^^
END
check 'a mistyped flag' <<'END'
FROM scratch
COPY --chwon=1 file /
---
cbuild: Dockerfile:2:6: unknown flag: --chwon (did you mean --chown?)
  2 | COPY --chwon=1 file /
    |      ^^^^^^^^^
END
check 'a mistyped option of --mount' <<'END'
FROM scratch
RUN --mount=type=cache,taget=/x true
---
cbuild: Dockerfile:2:5: --mount: unexpected key "taget" (did you mean target?)
  2 | RUN --mount=type=cache,taget=/x true
    |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^
END
check 'a mistyped instruction, in a trigger' <<'END'
FROM scratch
ONBUILD	CPOY a b
---
cbuild: Dockerfile:2:9: unknown instruction "CPOY" (did you mean COPY?)
  2 | ONBUILD	CPOY a b
    |        	^^^^
END
check 'a mistyped stage' <<'END'
FROM scratch AS build
FROM scratch
COPY --from=biuld /x /
---
cbuild: Dockerfile:3:6: biuld:latest: the network is needed, and --offline was given (did you mean the stage build?)
  3 | COPY --from=biuld /x /
    |      ^^^^^^^^^^^^
END
check 'a stage that is none' <<'END'
FROM scratch
COPY --from=1 /x /
---
cbuild: Dockerfile:2:6: --from=1: there is no stage of this number above
  2 | COPY --from=1 /x /
    |      ^^^^^^^^
END
check 'a mistyped target' --target biuld <<'END'
FROM scratch AS build
---
cbuild: Dockerfile: target stage "biuld" could not be found (did you mean build?)
END
check 'a mistyped signal' <<'END'
FROM scratch
STOPSIGNAL SIGTREM
---
cbuild: Dockerfile:2:12: invalid signal: SIGTREM (did you mean SIGTERM?)
  2 | STOPSIGNAL SIGTREM
    |            ^^^^^^^
END
check 'a port' <<'END'
FROM scratch
EXPOSE 80 443/tpc
---
cbuild: Dockerfile:2:11: invalid proto: tpc (expected tcp, udp or sctp)
  2 | EXPOSE 80 443/tpc
    |           ^^^^^^^
END
check 'a mode' <<'END'
FROM scratch
COPY --chmod=u=rxq file /
---
cbuild: Dockerfile:2:20: invalid mode "u=rxq": expected octal digits up to 7777, or clauses such as u=rwX,go=rX
  2 | COPY --chmod=u=rxq file /
    |                    ^^^^
END
check 'a bad substitution' <<'END'
FROM scratch
LABEL a=b c=${x:=y}
---
cbuild: Dockerfile:2:13: unsupported modifier (:=) in substitution
  2 | LABEL a=b c=${x:=y}
    |             ^^^^^^^
END
check 'a required variable' <<'END'
FROM scratch
USER ${who:?is to be given}
---
cbuild: Dockerfile:2:6: who: is to be given
  2 | USER ${who:?is to be given}
    |      ^^^^^^^^^^^^^^^^^^^^^^
END
check 'a missing secret' --secret id=tokken,src=file <<'END'
FROM scratch
RUN --mount=type=secret,id=token,required true
---
cbuild: Dockerfile:2:5: --mount: the secret "token" is required: use --secret id=token,src=FILE (given are "tokken")
  2 | RUN --mount=type=secret,id=token,required true
    |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
END

# a Dockerfile of more than a megabyte, for who says so
{ echo 'FROM scratch'; yes '# a line that says nothing' | head -n 60000; echo 'LABEL a=b'; } >"$work/large"

refused() { # pattern command...: it fails, and says so
	pattern=$1
	shift
	if "$@" >"$work/out" 2>&1 || ! grep -q -e "$pattern" "$work/out"; then
		echo "FAILED: $*: $(tail -n 1 "$work/out")"
		failed=1
	fi
}

taken() {
	if ! "$@" >"$work/out" 2>&1; then
		echo "FAILED: $*: $(tail -n 1 "$work/out")"
		failed=1
	fi
}

option=--max-dockerfile-size
build() { "$cbuild" --root "$work/store" build -q "$@"; }
refused 'larger than 1048576 bytes' "$cbuild" parse --json "$work/large"
refused "larger than 1048576 bytes (fix: $option)" build --check -f "$work/large" .
refused "larger than 1048576 bytes (fix: $option)" build -f "$work/large" .
refused "$option: expected a size of at most 64m, got \"65m\"" build "$option=65m" .
taken "$cbuild" parse --json "$option=3m" "$work/large"
taken build --check "$option=3m" -f "$work/large" .
taken build "$option=3m" -f "$work/large" .
taken build "$option=3m" - <"$work/large"
exit "$failed"
