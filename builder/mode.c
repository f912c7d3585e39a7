/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "builder/mode.h"

#include <string.h>

#include "base/err.h"

static int bad(const char *text, struct err *err)
{
	return err_set(err, ERR_INVALID,
		       "invalid mode \"%s\": expected octal digits up to 7777, or clauses such as "
		       "u=rwX,go=rX",
		       text);
}

static bool parse_octal(const char *text, mode_t *ret_mode)
{
	mode_t mode = 0;

	for (const char *at = text; *at; at++) {
		if (*at < '0' || *at > '7' || mode > 07777)
			return false;
		mode = mode * 8 + (mode_t)(*at - '0');
	}
	*ret_mode = mode;
	return *text && mode <= 07777;
}

static mode_t who_bits(char c)
{
	switch (c) {
	case 'u':
		return 04700;
	case 'g':
		return 02070;
	case 'o':
		return 01007;
	case 'a':
		return 07777;
	default:
		return 0;
	}
}

/* One operation: an operator and what follows it. */
static bool parse_operation(const char **at, mode_t who, struct mode_clause *clause)
{
	*clause = (struct mode_clause){ .who = who, .op = **at };
	if (!**at || !strchr("+-=", **at))
		return false;
	++*at;
	if (**at && strchr("ugo", **at)) {
		clause->copy = *(*at)++;
		return true;
	}
	for (;; ++*at) {
		switch (**at) {
		case 'r':
			clause->set |= 0444;
			break;
		case 'w':
			clause->set |= 0222;
			break;
		case 'x':
			clause->set |= 0111;
			break;
		case 'X':
			clause->execute_some = true;
			break;
		case 's':
			clause->set |= 06000;
			break;
		case 't':
			clause->set |= 01000;
			break;
		default:
			return true;
		}
	}
}

int mode_parse(const char *text, struct mode_change *ret_change, struct err *err)
{
	struct mode_change change = { .octal = false };
	const char *at = text;

	if (parse_octal(text, &change.mode)) {
		change.octal = true;
		*ret_change = change;
		return 0;
	}
	for (;;) {
		mode_t who = 0;

		for (; who_bits(*at); at++)
			who |= who_bits(*at);
		do {
			if (change.n == MODE_CLAUSES_MAX ||
			    !parse_operation(&at, who ? who : 07777, &change.clauses[change.n++]))
				return bad(text, err);
		} while (*at && *at != ',');
		if (!*at)
			break;
		at++;
	}
	*ret_change = change;
	return 0;
}

mode_t mode_apply(const struct mode_change *change, mode_t mode, bool directory)
{
	if (change->octal)
		return change->mode;
	mode &= 07777;
	for (unsigned i = 0; i < change->n; i++) {
		const struct mode_clause *clause = &change->clauses[i];
		mode_t set = clause->set;

		if (clause->execute_some && (directory || (mode & 0111)))
			set |= 0111;
		if (clause->copy) {
			unsigned shift = clause->copy == 'u' ? 6 : clause->copy == 'g' ? 3 : 0;

			set = (mode >> shift & 7) * 0111;
		}
		set &= clause->who;
		if (clause->op == '=')
			mode &= ~clause->who;
		mode = clause->op == '-' ? mode & ~set : mode | set;
	}
	return mode;
}
