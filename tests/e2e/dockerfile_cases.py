#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-or-later
"""dockerfile_cases.py [OPTION...] CONTEXTS BASE.tar NAME... -- BUILDER...: build cases, compare.

BUILDER is a command that knows `build` and `save`: cbuild with a store of its own, or docker. For
each NAME the context CONTEXTS/NAME is built and what is in the image, less what is in BASE.tar (a
`docker save` archive), is compared with testdata/dockerfile/NAME/expect; or the build has to fail,
and to say each line of expect-error. docs/testing.md describes the files of a case. Prints a line
"ok - " or "not ok - " for each; exits with 1 when one is not ok.

    --who TEXT    what the lines call the builder
    --docker      BUILDER is docker: its messages are its own
    --write       what is built becomes what is expected
"""
import argparse
import concurrent.futures
import difflib
import io
import os
import pathlib
import shlex
import subprocess
import sys
import threading

import image_listing

CASES = pathlib.Path(__file__).resolve().parents[2] / "testdata" / "dockerfile"
BEFORE = "before.Dockerfile"  # makes the image `before`, which one case at a time can have


class Wrong(Exception):
    pass


class Runner:
    def __init__(self, options):
        self.options = options
        self.base = image_listing.read(options.base)
        self.before = threading.Lock()

    def call(self, name, *words):
        """(exit status, stdout, what was said)."""
        done = subprocess.run([*self.options.builder, *words], stdin=subprocess.DEVNULL,
                              cwd=self.options.contexts / name, capture_output=True, check=False)
        return done.returncode, done.stdout, done.stderr.decode(errors="replace")

    def build(self, name):
        flags = ["--network=host"] if self.options.docker else []
        args = CASES / name / "args"
        words = shlex.split(args.read_text()) if args.exists() else []
        if not (self.options.contexts / name / BEFORE).exists():
            return self.call(name, "build", "-q", "-t", "case-" + name, *flags, *words, ".")
        with self.before:
            status, _, said = self.call(name, "build", "-q", "-t", "before", "-f", BEFORE, *flags,
                                        ".")
            if status:
                raise Wrong(said)
            return self.call(name, "build", "-q", "-t", "case-" + name, *flags, *words, ".")

    def fails(self, name, wanted):
        status, _, said = self.build(name)
        if status != 1 or "docker daemon" in said: # it is gone, which is no opinion
            raise Wrong(f"exit status {status}, not 1 for a reason\n{said}")
        missing = [line for line in wanted.splitlines() if line not in said]
        if missing and not self.options.docker:
            raise Wrong(f"says nothing of {missing}:\n{said}")

    def gives(self, name, expect):
        status, _, said = self.build(name)
        if status:
            raise Wrong(said)
        status, archive, said = self.call(name, "save", "case-" + name)
        if status:
            raise Wrong(said)
        image = image_listing.read(fileobj=io.BytesIO(archive))
        got = [line + "\n" for line in image_listing.show(image, self.base)]
        if self.options.write:
            expect.write_text("".join(got), errors="surrogateescape")
        wanted = []
        if expect.exists():
            wanted = expect.read_text(errors="surrogateescape").splitlines(keepends=True)
        if got != wanted:
            raise Wrong("".join(difflib.unified_diff(wanted, got, "expected", "built")))

    def run(self, name):
        """The line to print, and whether all is well."""
        what = f"{self.options.who}: {name}"
        error = CASES / name / "expect-error"
        try:
            if error.exists():
                self.fails(name, error.read_text())
            else:
                self.gives(name, CASES / name / "expect")
        except Wrong as wrong:
            return f"not ok - {what}\n    " + str(wrong)[-4000:].replace("\n", "\n    "), False
        return f"ok - {what}", True


def main():
    split = sys.argv.index("--")
    parser = argparse.ArgumentParser()
    parser.add_argument("--who", default="dockerfiles")
    parser.add_argument("--docker", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("contexts", type=pathlib.Path)
    parser.add_argument("base")
    parser.add_argument("names", nargs="+")
    options = parser.parse_args(sys.argv[1:split])
    options.builder = sys.argv[split + 1:]
    runner = Runner(options)
    well = True
    # More than there are processors: much of the time is the disk's.
    with concurrent.futures.ThreadPoolExecutor(2 + os.cpu_count()) as pool:
        for line, good in pool.map(runner.run, options.names):
            print(line, flush=True)
            well &= good
    sys.exit(0 if well else 1)


main()
