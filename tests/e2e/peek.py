#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""peek.py SECRET COMMAND...: what another process of the same user sees of a build.

The command is a build with a step that says "started" and waits. Its process and those that it has
started itself are looked into, then it is made to crash. Prints what could be seen; nothing is well.
"""

import ctypes
import os
import resource
import signal
import subprocess
import sys

PTRACE_ATTACH = 16
PTRACE_DETACH = 17
LIBC = ctypes.CDLL(None, use_errno=True)


def read(pid, name):
    """It may not even be opened, whether the secret is in it or not."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as data:
            if name != "mem":
                data.read()
        print(f"{name} of {pid} can be read")
    except PermissionError:
        pass


def attach(pid):
    if LIBC.ptrace(PTRACE_ATTACH, pid, None, None) == 0:
        print(f"{pid} can be traced")
        os.waitpid(pid, os.WUNTRACED)
        LIBC.ptrace(PTRACE_DETACH, pid, None, None)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as pids:
        return [int(child) for child in pids.read().split()]


def main():
    secret, command = sys.argv[1], sys.argv[2:]
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    build = subprocess.Popen(command, env={**os.environ, "SECRET": secret}, cwd=os.environ["HOME"],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = []
    for line in build.stdout:
        said.append(line)
        if line.rstrip().endswith(" started"):
            break
    else:
        sys.exit("the build ended: " + "".join(said))
    pids = [build.pid, *children(build.pid)]
    if len(pids) < 2:
        sys.exit("no process of a step")
    for pid in pids:
        for name in "environ", "mem", "maps":
            read(pid, name)
        attach(pid)
    os.kill(build.pid, signal.SIGSEGV)
    _, status = os.waitpid(build.pid, 0)
    if not os.WIFSIGNALED(status) or os.WCOREDUMP(status):
        print(f"it ended with {status:#x}: a core file")


main()
