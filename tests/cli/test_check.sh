#!/bin/sh
# build --check, --call and the warnings of a build, through the program itself.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cbuild=${builddir:-.}/cbuild
root=$work/store
failed=0

run() { # arguments of cbuild: stdout, stderr and status are kept
	status=0
	"$cbuild" --root "$root" "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
}

fail() {
	echo "FAILED: $1 (status $status)"
	cat "$work/out" "$work/err"
	failed=1
}

expect() { # name status [text in stdout or stderr]...
	name=$1
	want=$2
	shift 2
	[ "$status" = "$want" ] || fail "$name: status $want expected"
	for text; do
		cat "$work/out" "$work/err" | grep -qF -e "$text" || fail "$name: no \"$text\""
	done
}

refuse() { # name text: stands nowhere
	cat "$work/out" "$work/err" | grep -qF -e "$2" && fail "$1: \"$2\"" || :
}

dockerfile() { # from standard input, into a fresh context
	rm -rf "$work/ctx"
	mkdir "$work/ctx"
	cat >"$work/ctx/Dockerfile"
	echo data >"$work/ctx/file"
}

# --- check ---
dockerfile <<'END'
FROM scratch
COPY file /file
CMD ["/file"]
END
run build --check "$work/ctx"
expect 'no warnings' 0 'Check complete, no warnings found.'
[ ! -e "$root" ] || fail 'a check makes no store'

dockerfile <<'END'
FROM scratch
COPY file /file

CMD echo hello
END
run build --check "$work/ctx"
cat >"$work/want" <<'END'
Check complete, 2 warnings have been found!

WARNING: JSONArgsRecommended - https://docs.docker.com/go/dockerfile/rule/json-args-recommended/
JSON arguments recommended for CMD to prevent unintended behavior related to OS signals
Dockerfile:4
--------------------
   2 |     COPY file /file
   3 |     
   4 | >>> CMD echo hello
   5 |     
--------------------

WARNING: DL3025 - https://github.com/hadolint/hadolint/wiki/DL3025
Use the JSON form of CMD
Dockerfile:4
--------------------
   2 |     COPY file /file
   3 |     
   4 | >>> CMD echo hello
   5 |     
--------------------
END
expect 'two warnings' 1
cmp -s "$work/out" "$work/want" || fail 'the text of two warnings'
[ ! -s "$work/err" ] || fail 'nothing on stderr'

run build --call=check "$work/ctx"
expect '--call=check' 1 'Check complete, 2 warnings'
run build --call=check,format=json "$work/ctx"
expect '--call with format' 1 '"ruleName": "JSONArgsRecommended"' '"line": 4' \
	'"filename": "Dockerfile"' "$(base64 <"$work/ctx/Dockerfile" | head -1)"
run build --check --format json "$work/ctx"
expect '--format json' 1 '"detail": "Use the JSON form of CMD"'
run build --check --format=sarif "$work/ctx"
expect '--format sarif' 1 '"version": "2.1.0"' '"ruleId": "DL3025"' '"startLine": 4' \
	'"uri": "Dockerfile"'
run build --check -f - "$work/ctx" # an empty Dockerfile
expect 'no Dockerfile' 1 'file with no instructions'

run build --check --build-arg BUILDKIT_DOCKERFILE_CHECK=skip=all "$work/ctx"
expect 'the build argument' 0 'no warnings'
run build --check --build-arg 'BUILDKIT_DOCKERFILE_CHECK=skip=DL3025' "$work/ctx"
expect 'the build argument, one rule' 1 '1 warning has been found!'
run build --check --build-arg 'BUILDKIT_DOCKERFILE_CHECK=skp' "$work/ctx"
expect 'a wrong option' 1 'invalid check option "skp"'

# --- wrong command lines ---
run build --call=nonsense "$work/ctx"
expect 'unknown call' 2 '--call: expected build, check, outline or targets'
run build --call=check --check "$work/ctx"
expect 'both' 2 '--check is --call=check'
run build --format json "$work/ctx"
expect 'format alone' 2 '--format goes with --call'
run build --check --format yaml "$work/ctx"
expect 'unknown format' 2 'expected text, json or sarif'
run build --call=targets --format sarif "$work/ctx"
expect 'sarif of targets' 2 '--format=sarif goes with --check'
run build --call=check,form=json "$work/ctx"
expect 'wrong call' 2 'METHOD,format=FORMAT'

# --- severities, in triggers too ---
dockerfile <<'END'
FROM scratch
ONBUILD RUN sudo x && apt-get install -y x=1
END
run build --check --format=sarif "$work/ctx"
expect 'levels' 1 '"level": "error"' '"level": "note"' '"ruleId": "DL3004"' '"ruleId": "DL3015"'
run build --check --format=json "$work/ctx"
expect 'severities' 1 '"severity": "error"' '"severity": "info"'

# --- all stages, or those of the target ---
dockerfile <<'END'
FROM scratch AS one
ENV a b
FROM scratch AS two
CMD ["x"]
END
run build --check "$work/ctx"
expect 'every stage' 1 'LegacyKeyValueFormat'
run build --check --target two "$work/ctx"
expect 'the target' 0
run build --check --target three "$work/ctx"
expect 'a target that is not there' 1 'LegacyKeyValueFormat' 'target stage "three"'

# --- ignore file ---
dockerfile <<'END'
FROM scratch
COPY file /file
COPY dir/x /x
END
echo file >"$work/ctx/.dockerignore"
run build --check "$work/ctx"
expect 'ignored source' 1 'Attempting to Copy file "file" that is excluded by .dockerignore'
printf 'dir\n!dir/y\n' >"$work/ctx/.dockerignore"
run build --check "$work/ctx"
expect 'ignored, with exceptions' 1 '.dockerignore:1 `dir` excludes dir/x'
refuse 'ignored, with exceptions' CopyIgnoredFile

dockerfile <<'END'
FROM other.example/x:1
END
run build --check --trusted-registry docker.io "$work/ctx"
expect 'registry' 1 'other.example is not one of the registries allowed'

# --- during a build ---
dockerfile <<'END'
FROM scratch
COPY file /file
MAINTAINER me
ADD file /f
END
run build -t p1 "$work/ctx"
expect 'a build' 0 ' 1 warning found:' \
	' - MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 3)' \
	'Dockerfile:3' '   3 | >>> MAINTAINER me'
refuse 'a build: only docker'\''s own' DL3020
run build -q -t p1 "$work/ctx"
expect 'a quiet build' 0
refuse 'a quiet build' warning

dockerfile <<'END'
# check=error=true
FROM scratch
COPY file /file
ENV a b
END
run build -t p2 "$work/ctx"
expect 'warnings are errors' 1 'lint violation found for rules: LegacyKeyValueFormat' '>>> ENV a b'
refuse 'nothing is built' '#1 '
run images -q p2
expect 'no image' 0
[ ! -s "$work/out" ] || fail 'no image of that name'
run build --check "$work/ctx"
expect 'check with error=true' 1 'lint violation found for rules: LegacyKeyValueFormat'
sed -i 's/ENV a b/# check=skip=LegacyKeyValueFormat\nENV a b/' "$work/ctx/Dockerfile"
run build -t p2 "$work/ctx"
expect 'silenced' 0
refuse 'silenced' warning

dockerfile <<'END'
FROM scratch
ENV a b
COPY missing /
END
run build "$work/ctx"
expect 'a build that fails' 1 LegacyKeyValueFormat 'missing'

# --- what the store knows of a base ---
tar cf "$work/base.tar" -T /dev/null
run import --change 'ENV GREETING=hello' "$work/base.tar" base:1
expect 'import' 0
dockerfile <<'END'
FROM base:1
LABEL a=$GREETING b=$GREETNG
FROM nobody-has-this:1
LABEL c=$WHATEVER
END
run build --check "$work/ctx"
expect 'variables of the base' 1 "Usage of undefined variable '\$GREETNG' (did you mean \$GREETING?)"
refuse 'variables of the base' "variable '\$GREETING'"
refuse 'an unknown base' "variable '\$WHATEVER'"
run build --check --platform linux/s390x "$work/ctx"
expect 'platform of the base' 1 'Base image base:1 was pulled with platform'

dockerfile <<'END'
FROM base:1 AS one
ENV a b
FROM one
LABEL c=$a$GREETNG
END
run build --check --build-context one="$work" "$work/ctx"
expect 'a stage that a --build-context replaces' 0
run build --check --build-context base:1="$work" "$work/ctx"
expect 'a base that a --build-context replaces' 1 LegacyKeyValueFormat
refuse 'a base that a --build-context replaces' "variable '\$GREETNG'"
run build --check -
expect 'nothing on standard input' 1
(cd "$work/ctx" && tar cf "$work/ctx.tar" .)
run build --check "$work/ctx.tar"
expect 'a tar' 1 LegacyKeyValueFormat Dockerfile:2

# --- outline and targets ---
dockerfile <<'END'
# GO_VERSION sets the Go version
ARG GO_VERSION=1.22
ARG UNUSED=1
# base holds the tools
FROM golang:${GO_VERSION} AS base
ARG JOBS=4
RUN --mount=type=secret,id=token,required --mount=type=ssh make -j$JOBS
FROM scratch AS other
ARG OTHER
# release is what is shipped
FROM scratch AS release
ARG LABEL=${JOBS:-none}
COPY --from=base /x /x
END
run build --call=targets "$work/ctx"
cat >"$work/want" <<'END'
TARGET              DESCRIPTION
base                holds the tools
other               
release (default)   is what is shipped
END
expect targets 0
cmp -s "$work/out" "$work/want" || fail 'the text of targets'
run build --call=targets --format json "$work/ctx"
expect 'targets as JSON' 0 '"base": "golang:${GO_VERSION}"' '"default": true' '"sources": ['
run build --call=outline --build-arg JOBS=9 "$work/ctx"
cat >"$work/want" <<'END'
TARGET:      release
DESCRIPTION: is what is shipped

BUILD ARG    VALUE     DESCRIPTION
GO_VERSION   1.22      sets the Go version
JOBS         9         
LABEL        none      

SECRET    REQUIRED
token     true

SSH       REQUIRED
default   

END
expect outline 0
cmp -s "$work/out" "$work/want" || fail 'the text of the outline'
run build --call=outline,format=json --target base "$work/ctx"
expect 'outline as JSON' 0 '"name": "base"' '"value": "4"'
refuse 'outline as JSON' LABEL\"

exit $failed
