# SPDX-License-Identifier: GPL-2.0-or-later
"""A Dockerfile and its context as the property test knows them, and which steps must run.

The model knows nothing of keys. A step is what docs say it depends on: a tuple of everything that it
reads, beginning with the same of the step before it. A step must run exactly when no earlier build
ran one with the same tuple.
"""
import fnmatch
import hashlib
import os
import stat

SHELL = ("/bin/sh", "-c")
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Missing(Exception):
    """A source that is not there: the build fails."""


class Context:
    """What a build sees of a directory, its ignore rules applied."""

    def __init__(self, root, rules):
        self.rules = rules
        self.entries = {}
        self.read(root, "")

    def read(self, root, below):
        """Whether anything in the directory is visible."""
        any_visible = False
        for name in sorted(os.listdir(os.path.join(root, below) or root)):
            path = f"{below}/{name}" if below else name
            info = os.lstat(os.path.join(root, path))
            visible = not self.ignores(path)
            if stat.S_ISDIR(info.st_mode):
                visible |= self.read(root, path)
            if visible:
                self.entries[path] = self.entry(os.path.join(root, path), info)
            any_visible |= visible
        return any_visible

    def ignores(self, path):
        parts = path.split("/")
        ignored = False
        for rule in self.rules:
            pattern = rule.removeprefix("!")
            if any("/".join(parts[:n]) == pattern for n in range(1, len(parts) + 1)):
                ignored = not rule.startswith("!")
        return ignored

    @staticmethod
    def entry(path, info):
        kind, mode = stat.S_IFMT(info.st_mode), stat.S_IMODE(info.st_mode)
        if kind == stat.S_IFLNK:
            return kind, None, os.readlink(path), None
        if kind == stat.S_IFREG:
            with open(path, "rb") as file:
                content = hashlib.sha256(file.read()).hexdigest()
            return kind, mode, content, info.st_ino if info.st_nlink > 1 else None
        return kind, mode, None, None

    def matches(self, source):
        """The entries that a source stands for: (name of a file or "", entries in order)."""
        if source == ".":
            return [("", self.below(""))]
        if "*" in source:
            found = [path for path in self.entries
                     if path.count("/") == source.count("/") and fnmatch.fnmatchcase(path, source)]
        else:
            found = [source] if source in self.entries else []
            if not found:
                raise Missing(source)
        return [self.match(path) for path in sorted(found, key=lambda path: path.split("/"))]

    def match(self, path):
        """A link stands for what it points to, under its own name."""
        name = os.path.basename(path)
        if path in self.entries and self.entries[path][0] == stat.S_IFLNK:
            path = os.path.normpath(os.path.join(os.path.dirname(path), self.entries[path][2]))
        if path not in self.entries:
            raise Missing(path)
        if self.entries[path][0] == stat.S_IFDIR:
            return "", self.below(path + "/")
        return name, [("", *self.entries[path][:3], 0)]

    def below(self, prefix):
        """Names of one inode are known by the place of the first."""
        paths = sorted((path for path in self.entries if path.startswith(prefix)),
                       key=lambda path: path.split("/"))
        first, count, result = {}, {}, []
        for place, path in enumerate(paths):
            inode = self.entries[path][3]
            first.setdefault(inode, place)
            count[inode] = count.get(inode, 0) + 1
        for path in paths:
            kind, mode, content, inode = self.entries[path]
            group = first[inode] + 1 if inode is not None and count[inode] > 1 else 0
            result.append((path.removeprefix(prefix), kind, mode, content, group))
        return result


class Stage:
    """The state of a stage while its instructions are gone through."""

    def __init__(self, base=None, state=None):
        self.state = base.state if base else state
        self.env = list(base.env) if base else [PATH]
        self.directory = base.directory if base else "/"
        self.user = base.user if base else ""
        self.outputs = dict(base.outputs) if base else {}
        self.whole = not base or base.whole # nothing that it reads is missing
        self.position = 1
        self.steps = [] # (position, tuple)

    def set(self, name, value):
        for i, pair in enumerate(self.env):
            if pair.startswith(name + "="):
                self.env[i] = f"{name}={value}"
                return
        self.env.append(f"{name}={value}")

    def get(self, name):
        return next((pair.partition("=")[2] for pair in self.env if pair.startswith(name + "=")), "")

    def step(self, *reads):
        self.position += 1
        self.state = hashlib.sha256(repr((self.state, reads)).encode()).hexdigest()
        self.steps.append((self.position, self.state))


class Project:
    """Stages of instructions; an instruction is a dictionary with a "kind"."""

    def __init__(self, root):
        self.root = root
        self.rules = []
        self.build_args = {}
        self.stages = []
        self.bases = {}
        self.comments = 0

    # --- as text

    def dockerfile(self):
        lines = ["# " + "comment" * self.comments]
        for number, stage in enumerate(self.stages):
            lines.append(f"FROM {stage['from']} AS s{number}")
            lines += [self.line(instruction) for instruction in stage["steps"]]
        return "\n".join(lines) + "\n"

    @staticmethod
    def line(step):
        kind = step["kind"]
        if kind == "copy":
            flags = f"--chmod={step['chmod']} " if step["chmod"] else ""
            flags += f"--chown={step['chown']} " if step["chown"] else ""
            return f"COPY {flags}{' '.join(step['sources'])} {step['dest']}"
        if kind == "copy-from":
            return f"COPY --from=s{step['stage']} /out/{step['file']} {step['dest']}"
        if kind == "run":
            return f"RUN {step['command']}"
        if kind == "echo":
            return f"RUN echo {step['word']} $V0 $A0 >/out/{step['file']}"
        if kind == "mount":
            return f"RUN --mount=type=bind,source={step['source']},target=/m find /m >/out/mounted"
        if kind == "mount-from":
            return f"RUN --mount=from=s{step['stage']},source=/out,target=/m ls /m >/out/mounted"
        return f"{kind.upper()} {step['text']}"

    # --- what it depends on

    def targets(self):
        """The stages that the last one needs."""
        needed, left = set(), [len(self.stages) - 1]
        while left:
            number = left.pop()
            if number in needed:
                continue
            needed.add(number)
            stage = self.stages[number]
            if stage["from"].startswith("s"):
                left.append(int(stage["from"][1:]))
            left += [step["stage"] for step in stage["steps"] if "stage" in step]
        return sorted(needed)

    def expected(self):
        """{stage: Stage} of the stages that are needed. One whose source is missing ends there."""
        context = Context(self.root, self.rules)
        stages = {}
        for number in self.targets():
            base = self.stages[number]["from"]
            if base.startswith("s"):
                stage = Stage(base=stages[int(base[1:])])
            else:
                stage = Stage(state=self.bases[base])
            stages[number] = stage
            try:
                for step in self.stages[number]["steps"] if stage.whole else []:
                    self.apply(stages, stage, step, context)
            except Missing:
                stage.whole = False
        return stages

    def apply(self, stages, stage, step, context):
        kind = step["kind"]
        if kind in ("env", "arg"):
            name, _, value = step["text"].partition("=")
            if kind == "arg":
                value = self.build_args.get(name, value)
            if value.startswith("$"):
                value = stage.get(value[1:])
            stage.set(name, value)
        elif kind == "user":
            stage.user = step["text"]
        elif kind == "workdir":
            stage.directory = step["text"]
            stage.step("workdir", stage.directory, stage.user)
        elif kind == "copy":
            found = [match for source in step["sources"] for match in context.matches(source)]
            stage.step("copy", step["dest"], step["chmod"], step["chown"],
                       self.without_modes(found) if step["chmod"] else found)
        elif kind == "copy-from":
            content = stages[step["stage"]].outputs.get(step["file"])
            if content is None or not stages[step["stage"]].whole:
                raise Missing(step["file"])
            stage.step("copy-from", step["dest"], step["file"], content)
        elif kind in ("run", "echo", "mount", "mount-from"):
            self.run(stages, stage, step, context)

    @staticmethod
    def without_modes(found):
        return [(name, [(path, kind, None, content, group)
                        for path, kind, _, content, group in entries]) for name, entries in found]

    def run(self, stages, stage, step, context):
        mounted = None
        if step["kind"] == "mount":
            mounted = context.matches(step["source"])
        elif step["kind"] == "mount-from":
            if not stages[step["stage"]].whole:
                raise Missing(step["stage"])
            mounted = stages[step["stage"]].state
        elif step["kind"] == "echo":
            words = [step["word"], stage.get("V0"), stage.get("A0")]
            stage.outputs[step["file"]] = " ".join(word for word in words if word)
        stage.step("run", SHELL, self.line(step), tuple(stage.env), stage.directory, stage.user,
                   mounted)
