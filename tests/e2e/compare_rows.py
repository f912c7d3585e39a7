#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""compare_rows.py ROWS CONTEXT BUILD-COMMAND [DOCKER-COMMAND]: do the rows mean what they say?

ROWS is testdata/dockerfile-rows, whose README has the form of a row; the commands are split at
blanks. Each row is built by the first command, and by docker too if the row says so and there is
one. Prints "ok - ..." or "not ok - ..." for each row.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys

INVISIBLE = {"␠": " ", "␉": "\t", "␍": "\r", "<BOM>": "\ufeff"}


class Row:
    def __init__(self, head):
        found = re.fullmatch(r"(.*?)( \[docker\])?\s*", head)
        self.name = found[1]
        self.docker = bool(found[2])
        self.args = []
        self.text = ""
        self.wants = []

    def take(self, line):
        if line.startswith("### args "):
            self.args += line[len("### args "):].split()
        elif line.startswith("### => "):
            self.wants.append(line[len("### => "):].split(" ", 1))
        elif not self.wants:
            self.text += line + "\n"

    def dockerfile(self):
        text = self.text.rstrip("\n") + "\n"
        for sign, meant in INVISIBLE.items():
            text = text.replace(sign, meant)
        return text.encode()


def read_rows(path):
    rows = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line.startswith("### ") and not line.startswith(("### args ", "### => ")):
            rows.append(Row(line[len("### "):]))
        elif rows:
            rows[-1].take(line)
    return rows


def run(command, data=None):
    environment = dict(os.environ, DOCKER_BUILDKIT="1")
    return subprocess.run(command, input=data, env=environment, capture_output=True, check=False)


def build(tool, context, dockerfile, args=()):
    """(config, None), or (None, what was said)."""
    built = run([*tool, "build", "-q", "--network=host", *args, "-f", "-", context], dockerfile)
    if built.returncode:
        return None, built.stderr.decode(errors="replace")
    shown = run([*tool, "inspect", built.stdout.decode().strip()])
    return json.loads(shown.stdout)[0]["Config"], None


def differs(row, config, said, exact):
    for key, *value in row.wants:
        if key == "error":
            if config is not None:
                return "was built"
            if "error during connect" in said: # a daemon that fell over did not refuse it
                return said
            if exact and value and value[0] not in said:
                return f"said\n{said}"
        elif config is None:
            return f"failed:\n{said}"
        elif key != "builds":
            got = config.get(key)
            want = json.loads(value[0])
            if got != want and not (not got and not want):
                return f"{key} is {json.dumps(got, ensure_ascii=False)}"
    return None


def check_row(row, context, ours, docker):
    if not row.wants:
        return "expects nothing"
    text = row.dockerfile()
    wrong = differs(row, *build(ours, context, text, row.args), True)
    if wrong:
        return f"cbuild: {wrong}"
    if row.docker and docker:
        wrong = differs(row, *build(docker, context, text, row.args), False)
    return f"docker: {wrong}" if wrong else None


class Words:
    """expansion.txt: all words that expand become labels of one image, each other has a build."""

    def __init__(self, path):
        self.rows = []
        self.head = "FROM scratch\n"
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line or line.startswith("#"):
                continue
            mark, word, result = line.split("\t")
            if mark == "set":
                self.head += f"ENV {word}='{result}'\n" if "'" not in result else \
                    f'ENV {word}="{result}"\n'
            elif mark in "=+" and "⏎" not in result:
                self.rows.append((mark, word, result))

    def labels(self, tool, context, rows):
        lines = [f"LABEL r{i} {word}\n" for i, (_, word, _) in enumerate(rows)]
        config, said = build(tool, context, (self.head + "".join(lines)).encode())
        if config is None:
            yield "all", said
            return
        for i, (_, word, result) in enumerate(rows):
            got = config["Labels"].get(f"r{i}")
            if got != result:
                yield word, f'gave "{got}", not "{result}"'

    def check(self, tool, context, marks):
        rows = [row for row in self.rows if row[0] in marks]
        yield from self.labels(tool, context, [row for row in rows if row[2][:1] != "!"])
        for _, word, result in rows:
            if result[:1] == "!":
                text = (self.head + f"LABEL r {word}\n").encode()
                if build(tool, context, text)[0] is not None:
                    yield word, "was accepted"


def check_words(path, context, ours, docker):
    words = Words(path)
    wrong = [f"cbuild: {word} {why}" for word, why in words.check(ours, context, "=+")]
    if docker:
        wrong += [f"docker: {word} {why}" for word, why in words.check(docker, context, "=")]
    return "\n".join(wrong) or None


def report(name, wrong):
    print(f"{'not ok' if wrong else 'ok'} - rows: {name}")
    if wrong:
        print("    " + wrong.replace("\n", "\n    "))
    return not wrong


def main():
    directory, context, *commands = sys.argv[1:]
    ours, docker = commands[0].split(), commands[1].split() if len(commands) > 1 else None
    good = True
    with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
        for path in sorted(pathlib.Path(directory).glob("*.txt")):
            if path.name == "expansion.txt":
                good &= report(path.stem, check_words(path, context, ours, docker))
                continue
            rows = read_rows(path)
            found = pool.map(lambda row: check_row(row, context, ours, docker), rows)
            for row, wrong in zip(rows, found):
                good &= report(f"{path.stem}: {row.name}", wrong)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
