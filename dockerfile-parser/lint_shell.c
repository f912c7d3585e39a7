/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shell text taken apart as far as rules need it: simple commands, their words without quotes,
 * and which of them are joined by a pipe. Substitutions stay in the word as written; redirections
 * are dropped; of compound commands the simple ones inside are found, wherever they stand.
 */
#include "dockerfile-parser/lint_internal.h"

#include <ctype.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/mem.h"

struct shell {
	struct arena *arena;
	const char *at;
	struct buf word;
	bool in_word;
	bool drop_word; /* it is the target of a redirection */
	struct shell_command command;
	size_t cap_words;
	struct shell_command *commands;
	size_t n_commands, cap_commands;
};

/* Words that stand before a command, or alone. */
static bool is_keyword(const char *word)
{
	static const char *const keywords[] = {
		"!",  "{",    "}",     "if",	"then", "else", "elif", "fi",
		"do", "done", "while", "until", "time", "esac", "exec", "command",
	};

	for (size_t i = 0; i < ARRAY_SIZE(keywords); i++)
		if (!strcmp(word, keywords[i]))
			return true;
	return false;
}

static bool is_assignment(const char *word)
{
	size_t len =
		strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");

	return len && !isdigit((unsigned char)*word) && word[len] == '=';
}

static void finish_word(struct shell *shell)
{
	if (!shell->in_word)
		return;
	shell->in_word = false;
	if (shell->drop_word) {
		shell->drop_word = false;
	} else if (shell->command.n_words ||
		   (!is_keyword(shell->word.data) && !is_assignment(shell->word.data))) {
		shell->command.words =
			arena_grow(shell->arena, shell->command.words, shell->command.n_words,
				   &shell->cap_words, sizeof(*shell->command.words));
		shell->command.words[shell->command.n_words++] =
			arena_strndup(shell->arena, shell->word.data, shell->word.len);
	}
	buf_clear(&shell->word);
}

static void finish_command(struct shell *shell, bool piped)
{
	finish_word(shell);
	shell->drop_word = false;
	if (!shell->command.n_words)
		return;
	shell->command.piped = piped;
	shell->commands = arena_grow(shell->arena, shell->commands, shell->n_commands,
				     &shell->cap_commands, sizeof(*shell->commands));
	shell->commands[shell->n_commands++] = shell->command;
	shell->command = (struct shell_command){ 0 };
	shell->cap_words = 0;
}

static void take(struct shell *shell, size_t len)
{
	len = strnlen(shell->at, len);
	buf_add(&shell->word, shell->at, len);
	shell->at += len;
	shell->in_word = true;
}

/* $(...) or ${...}, whatever is in it */
static void take_nested(struct shell *shell, char open, char close)
{
	size_t depth = 0, len = 1;

	for (; shell->at[len]; len++) {
		depth += shell->at[len] == open;
		if (shell->at[len] == close && --depth == 0) {
			len++;
			break;
		}
	}
	take(shell, len);
}

static void take_dollar(struct shell *shell)
{
	if (shell->at[1] == '(')
		take_nested(shell, '(', ')');
	else if (shell->at[1] == '{')
		take_nested(shell, '{', '}');
	else
		take(shell, 1);
}

static void take_single(struct shell *shell)
{
	size_t len = strcspn(++shell->at, "'");

	take(shell, len);
	shell->at += *shell->at == '\'';
	shell->in_word = true;
}

static void take_double(struct shell *shell)
{
	shell->at++;
	shell->in_word = true;
	while (*shell->at && *shell->at != '"') {
		if (*shell->at == '\\' && shell->at[1]) {
			shell->at++;
			take(shell, 1);
		} else if (*shell->at == '$') {
			take_dollar(shell);
		} else {
			take(shell, 1);
		}
	}
	shell->at += *shell->at == '"';
}

static void take_escaped(struct shell *shell)
{
	shell->at++;
	if (*shell->at == '\n')
		shell->at++;
	else if (*shell->at)
		take(shell, 1);
}

/* [n]>word, [n]<word, n>&m, &>word */
static void redirect(struct shell *shell)
{
	if (shell->in_word && strspn(shell->word.data, "0123456789") == shell->word.len) {
		shell->in_word = false;
		buf_clear(&shell->word);
	}
	finish_word(shell);
	shell->at += strspn(shell->at, "<>&|");
	shell->drop_word = true;
}

static void operator(struct shell *shell)
{
	bool pipe = *shell->at == '|' && shell->at[1] != '|';

	if (*shell->at == '&' && shell->at[1] == '>') {
		redirect(shell);
		return;
	}
	finish_command(shell, pipe);
	shell->at++;
	shell->at += *shell->at && strchr("|&;", *shell->at) && shell->at[-1] != '\n';
}

static void next(struct shell *shell)
{
	switch (*shell->at) {
	case ' ':
	case '\t':
	case '\r':
		finish_word(shell);
		shell->at++;
		break;
	case '\n':
	case ';':
	case '&':
	case '|':
	case '(':
	case ')':
		operator(shell);
		break;
	case '<':
	case '>':
		redirect(shell);
		break;
	case '\'':
		take_single(shell);
		break;
	case '"':
		take_double(shell);
		break;
	case '\\':
		take_escaped(shell);
		break;
	case '$':
		take_dollar(shell);
		break;
	case '#':
		if (shell->in_word)
			take(shell, 1);
		else
			shell->at += strcspn(shell->at, "\n");
		break;
	default:
		take(shell, 1);
	}
}

void shell_parse(struct arena *arena, const char *text, struct shell_command **ret_commands,
		 size_t *ret_n)
{
	struct shell shell = { .arena = arena, .at = text };

	buf_init(&shell.word, strlen(text) + 1);
	while (*shell.at)
		next(&shell);
	finish_command(&shell, false);
	buf_release(&shell.word);
	*ret_commands = shell.commands;
	*ret_n = shell.n_commands;
}

bool shell_is(const struct shell_command *command, const char *program)
{
	const char *slash = strrchr(command->words[0], '/');

	return !strcmp(slash ? slash + 1 : command->words[0], program);
}

static size_t verb_index(const struct shell_command *command)
{
	size_t i = 1;

	while (i < command->n_words && command->words[i][0] == '-')
		i++;
	return i;
}

const char *shell_verb(const struct shell_command *command)
{
	size_t i = verb_index(command);

	return i < command->n_words ? command->words[i] : "";
}

bool shell_has(const struct shell_command *command, const char *option)
{
	size_t len = strlen(option);

	for (size_t i = 1; i < command->n_words; i++)
		if (!strncmp(command->words[i], option, len) &&
		    (!command->words[i][len] || command->words[i][len] == '='))
			return true;
	return false;
}

bool shell_has_letter(const struct shell_command *command, char letter)
{
	for (size_t i = 1; i < command->n_words; i++)
		if (command->words[i][0] == '-' && command->words[i][1] != '-' &&
		    strchr(command->words[i] + 1, letter))
			return true;
	return false;
}

static bool listed(const char *const *list, const char *word)
{
	for (; list && *list; list++)
		if (!strcmp(*list, word))
			return true;
	return false;
}

size_t shell_operands(struct arena *arena, const struct shell_command *command,
		      const char *const *valued, const char ***ret_words)
{
	size_t n = 0;

	*ret_words = arena_alloc(arena, (command->n_words + 1) * sizeof(**ret_words));
	for (size_t i = verb_index(command) + 1; i < command->n_words; i++) {
		if (command->words[i][0] != '-')
			(*ret_words)[n++] = command->words[i];
		else if (listed(valued, command->words[i]))
			i++;
	}
	return n;
}
