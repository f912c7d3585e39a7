#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""property.py CBUILD SCRATCH EDITS SEED: whatever is edited, the cache gives what a build gives.

Makes random contexts and Dockerfiles and edits them at random. After each edit the project is built
with the cache, and a copy of it in another place, whose index knows nothing, without: both images
must be one digest (SOURCE_DATE_EPOCH makes them comparable). A step must have run exactly when
property_model.py says that nothing like it ran before. SCRATCH/one and SCRATCH/two are stores that
have base:0 and base:1. Prints a line per failure and the sum; the status says whether all is well.
"""
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter

from property_model import Project

CBUILD, SCRATCH, EDITS, SEED = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
DIRECTORIES = ["a", "b", "a/d0", "b/d1"]
EDITS_PER_PROJECT = 25
chance = random.Random(SEED)


def words():
    return "".join(chance.choice("abcdefgh") for _ in range(chance.randint(1, 12)))


# --- random projects

def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def new_project(root, bases):
    project = Project(root)
    project.bases = bases
    for directory in DIRECTORIES:
        for number in range(chance.randint(1, 4)):
            write(f"{root}/{directory}/f{number}", words())
    for _ in range(chance.randint(1, 3)):
        new_stage(project)
    return project


def new_stage(project):
    number = len(project.stages)
    base = f"base:{chance.randint(0, 1)}"
    if number and chance.random() < 0.3:
        base = f"s{chance.randrange(number)}"
    steps = [{"kind": "arg", "text": f"A0={words()}"}, {"kind": "env", "text": f"V0={words()}"}]
    steps.append(new_step(project, number, "echo"))
    steps.append(new_step(project, number, "copy"))
    if number:
        steps.append(new_step(project, number, "copy-from"))
    steps += [new_step(project, number) for _ in range(chance.randint(1, 4))]
    project.stages.append({"from": base, "steps": steps})


def new_step(project, stage, kind=None):
    outputs = [(number, step["file"]) for number in range(stage)
               for step in project.stages[number]["steps"] if step["kind"] == "echo"]
    kinds = ["copy"] * 4 + ["echo"] * 2 + ["run", "mount", "env", "arg", "user", "workdir", "label"]
    if outputs:
        kinds += ["copy-from", "copy-from", "copy-from", "mount-from"]
    kind = kind or chance.choice(kinds)
    if kind == "copy":
        sources = chance.sample([".", ".", "a", "b", "a/f0", "b/f*", "a/d0", "b/d1/*"],
                                chance.randint(1, 2))
        return {"kind": kind, "sources": sources, "dest": f"/c{chance.randint(0, 3)}/",
                "chmod": chance.choice([None, None, None, "640"]),
                "chown": chance.choice([None, None, None, "1:2"])}
    if kind in ("copy-from", "mount-from"):
        number, file = chance.choice(outputs)
        return {"kind": kind, "stage": number, "file": file, "dest": f"/from{chance.randint(0, 2)}"}
    return {
        "echo": {"word": words(), "file": words()},
        "run": {"command": chance.choice(["ls -R /c0 >/out/list || true", "rm -rf /c1",
                                          "env | sort >/out/env", "mkdir -p /c2/made", "true"])},
        "mount": {"source": chance.choice(["a", "b", "a/d0"])},
        "env": {"text": f"V{chance.randint(0, 1)}={chance.choice([words(), '$A0'])}"},
        "arg": {"text": f"A{chance.randint(0, 1)}={words()}"},
        "user": {"text": chance.choice(["0", "root", "0:0"])},
        "workdir": {"text": chance.choice(["/w0", "/w1/x", "/"])},
        "label": {"text": f"l={words()}"},
    }[kind] | {"kind": kind}


# --- edits: each changes the project, or finds that it cannot, and returns False

def is_file(path):
    return os.path.isfile(path) and not os.path.islink(path)


def pick_file(project, kind=is_file):
    found = [os.path.join(at, name) for at, _, names in os.walk(project.root) for name in names
             if kind(os.path.join(at, name)) and name != ".dockerignore"]
    return chance.choice(sorted(found)) if found else None


def pick_step(project, *kinds):
    found = [step for stage in project.stages for step in stage["steps"] if step["kind"] in kinds]
    return chance.choice(found) if found else None


def edit_content(project):
    path = pick_file(project)
    if path:
        write(path, words())
    return bool(path)


def rewrite_in_kind(path):
    """Another content of the same size under the same mtime."""
    info = os.stat(path)
    with open(path, "r+", encoding="utf-8") as file:
        old = file.read()
        file.seek(0)
        file.write(old[1:] + chr(ord("a") + (ord(old[0]) - ord("a") + 1) % 26) if old else "")
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def edit_same_size_and_mtime(project):
    path = pick_file(project)
    if path:
        rewrite_in_kind(path)
    return bool(path)


def edit_at_once(project):
    """A build right after a file was written, and the file written again right after that."""
    path = pick_file(project)
    if path:
        write(path, words())
        check.between(project)
        rewrite_in_kind(path)
    return bool(path)


def edit_mode(project):
    path = pick_file(project)
    if path:
        os.chmod(path, chance.choice([0o600, 0o644, 0o755, 0o4711]))
    return bool(path)


def edit_directory_mode(project):
    os.chmod(f"{project.root}/{chance.choice(DIRECTORIES)}", chance.choice([0o700, 0o755, 0o1777]))


def edit_mtime(project):
    path = pick_file(project)
    if path:
        os.utime(path, (0, chance.randint(0, 2000000000)))
    return bool(path)


def edit_rename(project):
    path = pick_file(project)
    new = f"{project.root}/{chance.choice(DIRECTORIES)}/f{chance.randint(0, 9)}"
    if not path or os.path.lexists(new):
        return False
    os.rename(path, new)
    return True


def edit_swap_names(project):
    one, two = pick_file(project), pick_file(project)
    if not one or not two or one == two:
        return False
    os.rename(one, f"{SCRATCH}/aside")
    os.rename(two, one)
    os.rename(f"{SCRATCH}/aside", two)
    return True


def edit_symlink(project):
    path = f"{project.root}/{chance.choice(DIRECTORIES)}/l{chance.randint(0, 1)}"
    if os.path.lexists(path):
        os.unlink(path)
    os.symlink(chance.choice(["f0", "f1", "../b", "nowhere"]), path)


def edit_hardlink(project):
    path = pick_file(project)
    new = f"{project.root}/{chance.choice(DIRECTORIES)}/h{chance.randint(0, 1)}"
    if not path or os.path.lexists(new):
        return False
    os.link(path, new)
    return True


def edit_split_hardlink(project):
    path = pick_file(project, lambda path: is_file(path) and os.stat(path).st_nlink > 1)
    if path:
        shutil.copy2(path, f"{SCRATCH}/aside")
        os.rename(f"{SCRATCH}/aside", path)
    return bool(path)


def edit_delete(project):
    path = pick_file(project, os.path.lexists)
    if path:
        os.unlink(path)
    return bool(path)


def edit_add(project):
    write(f"{project.root}/{chance.choice(DIRECTORIES)}/f{chance.randint(0, 9)}", words())


def edit_file_to_directory(project):
    path = f"{project.root}/a/x"
    if os.path.isdir(path):
        shutil.rmtree(path)
        write(path, words())
    else:
        if os.path.exists(path):
            os.unlink(path)
        os.mkdir(path)


def edit_ignore(project):
    if project.rules and chance.random() < 0.5:
        project.rules.pop(chance.randrange(len(project.rules)))
    else:
        rule = chance.choice(["a", "b", "a/f1", "a/d0", "b/f0", "b/d1/f1"])
        project.rules.append(chance.choice(["", "", "!"]) + rule)


def edit_text(kind):
    def edit(project):
        step = pick_step(project, kind)
        if step:
            step["text"] = f"{step['text'].partition('=')[0]}={words()}"
        return bool(step)
    return edit


def edit_build_arg(project):
    name = f"A{chance.randint(0, 1)}"
    if name in project.build_args and chance.random() < 0.5:
        del project.build_args[name]
    else:
        project.build_args[name] = words()


def edit_command(project):
    step = pick_step(project, "echo")
    if step:
        step["word"] = words()
    return bool(step)


def edit_copy(project):
    step = pick_step(project, "copy")
    if step:
        step.update(new_step(project, 0, "copy"))
    return bool(step)


def edit_base(project):
    stage = chance.choice(project.stages)
    if stage["from"].startswith("base"):
        stage["from"] = f"base:{chance.randint(0, 1)}"
        return True
    return False


def edit_insert(project):
    number = chance.randrange(len(project.stages))
    steps = project.stages[number]["steps"]
    steps.insert(chance.randint(0, len(steps)), new_step(project, number))


def edit_remove(project):
    steps = chance.choice(project.stages)["steps"]
    found = [step for step in steps if step["kind"] != "echo"]
    if found:
        steps.remove(chance.choice(found))
    return bool(found)


def edit_order(project):
    steps = chance.choice(project.stages)["steps"]
    if len(steps) < 2:
        return False
    at = chance.randrange(len(steps) - 1)
    steps[at], steps[at + 1] = steps[at + 1], steps[at]
    return True


def edit_comment(project):
    project.comments += 1


def edit_nothing(_):
    pass


# Those that a cache gets wrong most easily come often.
OFTEN = [edit_same_size_and_mtime, edit_at_once, edit_hardlink, edit_split_hardlink, edit_mode]
ALL_EDITS = OFTEN * 4 + [edit_content, edit_same_size_and_mtime, edit_at_once, edit_mode, edit_directory_mode,
             edit_mtime, edit_rename, edit_swap_names, edit_symlink, edit_hardlink,
             edit_split_hardlink, edit_delete, edit_add, edit_file_to_directory, edit_ignore,
             edit_text("env"), edit_text("arg"), edit_text("label"), edit_build_arg, edit_command,
             edit_copy, edit_base, edit_insert, edit_remove, edit_order, edit_comment, edit_nothing]


def repair(project):
    """After a build that had to fail: what is copied is there again."""
    project.rules.clear()
    for path in ["a/f0", "b/f0", "a/d0/f0", "b/d1/f0"]:
        if not os.path.isfile(f"{project.root}/{path}"):
            write(f"{project.root}/{path}", words())


# --- builds

def command(store, *arguments):
    return subprocess.run([CBUILD, "--root", f"{SCRATCH}/{store}", *arguments], text=True,
                          capture_output=True, check=False)


def save(project):
    write(f"{SCRATCH}/Dockerfile", project.dockerfile())
    write(f"{project.root}/.dockerignore", "".join(rule + "\n" for rule in project.rules))


def build(project, store, *options, context=None):
    if context:
        shutil.rmtree(context, ignore_errors=True)
        shutil.copytree(project.root, context, symlinks=True)
        link_as_in(project.root, context)
    for name, value in project.build_args.items():
        options += ("--build-arg", f"{name}={value}")
    return command(store, "build", "-q", "--source-date-epoch", "1", "-f", f"{SCRATCH}/Dockerfile",
                   *options, context or project.root)


def link_as_in(root, copy):
    """copytree() makes files of hard links."""
    first = {}
    for at, _, names in os.walk(root):
        for name in sorted(names):
            path = os.path.join(at, name)
            info = os.lstat(path)
            there = copy + path.removeprefix(root)
            if info.st_nlink > 1 and info.st_ino in first:
                os.unlink(there)
                os.link(first[info.st_ino], there)
            first.setdefault(info.st_ino, there)


class Check:
    """Builds, and what is wrong with them."""

    def __init__(self):
        self.ran, self.perhaps = set(), set() # perhaps: steps of builds that failed
        self.steps = Counter()
        self.builds = self.failed = 0

    def note(self, stages, whole):
        states = {state for stage in stages.values() for _, state in stage.steps}
        if whole:
            self.ran |= states
        else:
            self.perhaps |= states - self.ran

    def between(self, project):
        """One build with the cache, whatever becomes of it."""
        save(project)
        stages = project.expected()
        self.note(stages, build(project, "one").returncode == 0)

    def after(self, project):
        """Build twice and compare; a text when something is wrong."""
        save(project)
        stages = project.expected()
        cached = build(project, "one")
        fresh = build(project, "two", "--no-cache", context=f"{SCRATCH}/copy")
        whole = all(stage.whole for stage in stages.values())
        self.builds += 1
        wrong = None
        if cached.returncode == 0 and fresh.returncode == 0 and whole:
            if cached.stdout != fresh.stdout:
                wrong = f"{cached.stdout.strip()}, without a cache {fresh.stdout.strip()}"
            else:
                wrong = self.compare_steps(stages, project)
        elif cached.returncode == 0 or fresh.returncode == 0 or whole:
            wrong = (f"something is missing: {not whole}; with the cache: {cached.stdout}"
                     f"{cached.stderr}; without: {fresh.stdout}{fresh.stderr}")
        self.note(stages, cached.returncode == 0)
        if not whole:
            self.failed += 1
            repair(project)
        return wrong

    def compare_steps(self, stages, project):
        explained = command("one", "explain", "--format", "json", "-f", f"{SCRATCH}/Dockerfile",
                            project.root)
        states = {(step["stage"], step["position"]): step for step in
                  json.loads(explained.stdout)["steps"]}
        wrong, met = [], set()
        for number, stage in stages.items():
            for position, state in stage.steps:
                step = states[f"s{number}", position]
                want = "cached" if state in self.ran else "run"
                self.steps[step["state"]] += 1
                if step["state"] != want and state not in self.perhaps | met:
                    wrong.append(f"{step['instruction']}: {step['state']}, not {want}")
                met.add(state)
        return "; ".join(wrong)


check = Check()


def main():
    bases = {f"base:{number}": command("one", "inspect", "--format", "{{.Id}}", f"base:{number}").stdout
             for number in (0, 1)}
    bad, made, kinds, started = 0, 0, Counter(), time.monotonic()
    while made < EDITS:
        root = f"{SCRATCH}/context{made}"
        project = new_project(root, bases)
        what = "new"
        for _ in range(EDITS_PER_PROJECT):
            wrong = check.after(project)
            if wrong:
                bad += 1
                print(f"not ok - property: seed {SEED}, edit {made} ({what}): {wrong}")
                print("   ", project.dockerfile().replace("\n", "\n    "), project.rules,
                      project.build_args)
            if made >= EDITS:
                break
            edit = chance.choice(ALL_EDITS)
            while edit(project) is False:
                edit = chance.choice(ALL_EDITS)
            what = edit.__qualname__.removesuffix(".<locals>.edit")
            kinds[what] += 1
            made += 1
        shutil.rmtree(root)
    print(f"# seed {SEED}: {made} edits of {len(kinds)} kinds, {check.builds} builds, {check.failed} of "
          f"them failed as they should, {check.steps['run']} steps run, {check.steps['cached']} not, "
          f"{time.monotonic() - started:.1f} s")
    return 1 if bad else 0


sys.exit(main())
