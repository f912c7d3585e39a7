/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/size.h"
#include "cli/internal.h"
#include "dockerfile-parser/dockerfile.h"
#include "registry/reference.h"

int cli_name(struct cli *cli, const char *text, struct strv *ret_names, struct err *err)
{
	char name[REFERENCE_TEXT_MAX];
	struct reference reference;
	struct err why = ERR_INIT;

	if (reference_parse(text, &reference, &why) < 0)
		return cli_usage(cli, err, "invalid name \"%s\": %s", text, why.message);
	if (reference.has_digest)
		return cli_usage(cli, err, "invalid name \"%s\": a digest cannot be given here",
				 text);
	strv_add(ret_names, reference_format(&reference, name));
	return 0;
}

int cli_network(struct cli *cli, const char *text, enum sandbox_network *ret_network,
		struct err *err)
{
	if (!text || !strcmp(text, "default") || !strcmp(text, "host"))
		*ret_network = SANDBOX_NETWORK_HOST;
	else if (!strcmp(text, "none"))
		*ret_network = SANDBOX_NETWORK_NONE;
	else if (!strcmp(text, "private"))
		*ret_network = SANDBOX_NETWORK_PRIVATE;
	else
		return cli_usage(cli, err,
				 "--network: expected default, host, private or none, got \"%s\"",
				 text);
	return 0;
}

int cli_isolation(struct cli *cli, const char *text, enum build_isolation *ret_isolation,
		  struct err *err)
{
	const char *given = text ? text : getenv("CBUILD_ISOLATION");

	*ret_isolation = BUILD_ISOLATION_AUTO;
	if (!given || !*given || !strcmp(given, "auto"))
		return 0;
	if (!strcmp(given, "namespace"))
		*ret_isolation = BUILD_ISOLATION_NAMESPACE;
	else if (!strcmp(given, "chroot"))
		*ret_isolation = BUILD_ISOLATION_CHROOT;
	else
		return cli_usage(cli, err, "%s: expected auto, namespace or chroot, got \"%s\"",
				 text ? "--isolation" : "CBUILD_ISOLATION", given);
	return 0;
}

int cli_hosts(struct cli *cli, const struct strv *hosts, char **ret_text, struct err *err)
{
	struct buf lines;

	*ret_text = NULL;
	buf_init(&lines, 1024 * 1024);
	for (size_t i = 0; i < hosts->n; i++) {
		size_t len = strcspn(hosts->v[i], ":=");
		const char *address = hosts->v[i] + len + (hosts->v[i][len] != '\0');
		size_t address_len = strlen(address);

		if (!len || !address_len || strpbrk(hosts->v[i], " \t\n\r")) {
			buf_release(&lines);
			return cli_usage(cli, err, "--add-host: expected HOST:ADDRESS, got \"%s\"",
					 hosts->v[i]);
		}
		if (*address == '[' && address[address_len - 1] == ']') {
			address++;
			address_len -= 2;
		}
		buf_addf(&lines, "%.*s\t%.*s\n", (int)address_len, address, (int)len, hosts->v[i]);
	}
	if (hosts->n)
		*ret_text = buf_steal(&lines);
	buf_release(&lines);
	return 0;
}

static int write_whole(const char *output, cli_writer *writer, void *arg, struct err *err)
{
	struct file_draft draft;

	if (file_draft_open(AT_FDCWD, output, 0600, &draft, err) < 0)
		return -1;
	if (writer(arg, draft.fd, err) < 0) {
		file_draft_release(&draft);
		return -1;
	}
	return file_draft_commit(&draft, true, err);
}

int cli_write_file(struct cli *cli, const char *output, const char *instead, cli_writer *writer,
		   void *arg, struct err *err)
{
	cleanup_fd int fd = -1;
	struct stat st;

	if (!output || !strcmp(output, "-")) {
		if (isatty(STDOUT_FILENO))
			return cli_usage(cli, err, "cowardly refusing to save to a terminal: %s",
					 instead);
		return writer(arg, STDOUT_FILENO, err);
	}
	if (stat(output, &st) < 0 || S_ISREG(st.st_mode))
		return write_whole(output, writer, arg, err);
	fd = open(output, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? err_os(err, "open %s", output) : writer(arg, fd, err);
}

int cli_dockerfile_max(struct cli *cli, const char *text, size_t *ret_max, struct err *err)
{
	uint64_t max = DOCKERFILE_MAX;

	if (text && (size_parse(text, &max) < 0 || !max || max > DOCKERFILE_MOST))
		return cli_usage(
			cli, err,
			"--max-dockerfile-size: expected a size of at most %dm, got \"%s\"",
			DOCKERFILE_MOST >> 20, text);
	*ret_max = (size_t)max;
	return 0;
}
