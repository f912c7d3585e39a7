#!/bin/sh
# The help of each command and its man page tell of the same options: what --help lists has an item
# in the page, and what has an item there is an option that the command knows.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cbuild=${builddir:-.}/cbuild
man=${srcdir:-.}/man
failed=0

fail() {
	echo "FAILED: $*"
	failed=1
}

helped() { # command: the options of its help, with their dashes, a line each
	"$cbuild" "$@" --help | sed -n '/^Options:/,$p' |
		grep -oE '^  (-[a-z], | +)--[a-z-]+' | tr -d ' ' | tr , '\n'
}

documented() { # page: the options that have an item in it
	sed -n '/^\.It Fl/p' "$1" | sed -e 's/Fl Fl /--/g' -e 's/Fl \([a-z]\) /-\1 /g' |
		grep -oE -- ' --?[a-z][a-z-]*' | tr -d ' '
	if grep -q '^The options are those of' "$1"; then
		documented "$man/cbuild-build.1"
	fi
}

commands=$("$cbuild" --help | sed -n '/^Commands:/,/^$/p' | awk '/^  / { print $1 }')
[ "$(echo "$commands" | wc -w)" -gt 10 ] || fail "cbuild --help lists no commands"
for command in $commands; do
	page=$man/cbuild-$command.1
	[ -f "$page" ] || { fail "$command has no man page" && continue; }
	pages=$(documented "$page")
	for option in $(helped "$command"); do
		echo "$pages" | grep -qxe "$option" ||
			fail "$command $option is in --help and not in cbuild-$command.1"
	done
	for option in $pages; do
		said=$("$cbuild" --root "$work/store" "$command" "$option" --help 2>&1 \
			>/dev/null </dev/null || :)
		case $said in
		*unknown*) fail "$command $option is in cbuild-$command.1: $said" ;;
		esac
	done
done
exit $failed
