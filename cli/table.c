/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/internal.h"

#define GAP 3

/* Characters of UTF-8 text, near enough to its width. */
static size_t width(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

void table_print(const struct table *table)
{
	cleanup_free size_t *widths = xcalloc(table->columns, sizeof(*widths));

	for (size_t i = 0; i < table->cells.n; i++) {
		size_t wide = width(table->cells.v[i]);
		size_t column = i % table->columns;

		/* docker's columns are never narrower than ten */
		if (wide < 10 - GAP)
			wide = 10 - GAP;
		if (wide > widths[column])
			widths[column] = wide;
	}
	for (size_t i = 0; i < table->cells.n; i++) {
		const char *cell = table->cells.v[i];
		size_t column = i % table->columns;

		fputs(cell, stdout);
		if (column + 1 == table->columns)
			putchar('\n');
		else
			printf("%*s", (int)(widths[column] + GAP - width(cell)), "");
	}
}
