#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""image_listing.py ARCHIVE [BASE]: what a `docker save` archive holds, as text that can be compared.

A line for each path of the root file system, layers stacked, then the config and the history:

    file 0644 0:0 "hello\\n" /greeting            size and sha256 for what is long or not text
    dir 0755 0:0 /d
    link 1:2 /l -> target
    same /name = /other                          names of one inode
    char 0666 0:0 1:3 /null                      block, fifo
    gone /bin/vi                                 only with BASE

followed by extended attributes, and by @SECONDS for a time before 2005: those are made by tests,
later ones by the clock. With BASE, an archive too, what is as in BASE is left out: paths, fields of
the config, history. What an archive spells in two ways is spelled in one.
"""
import hashlib
import json
import sys
import tarfile

OLD = 1104537600  # 2005-01-01
SHORT = 80  # characters of a file that are shown
KINDS = {tarfile.REGTYPE: "file", tarfile.AREGTYPE: "file", tarfile.DIRTYPE: "dir",
         tarfile.SYMTYPE: "link", tarfile.CHRTYPE: "char", tarfile.BLKTYPE: "block",
         tarfile.FIFOTYPE: "fifo"}
# What a config says of the build and not of the image.
CONFIG_SKIPPED = {"Image", "Hostname", "Domainname", "AttachStdin", "AttachStdout", "AttachStderr",
                  "Tty", "OpenStdin", "StdinOnce", "ArgsEscaped"}
DOCUMENT_KEPT = ("architecture", "variant", "os", "os.version", "author")


def remove_below(tree, name):
    for path in [path for path in tree if path.startswith(name + "/")]:
        del tree[path]


def quote(text):
    return "".join(char if char.isprintable() and char != "\\" else
                   char.encode("unicode_escape").decode() for char in text)


def content(data):
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = None
    if text is not None and len(text) <= SHORT and "\0" not in text:
        return json.dumps(text, ensure_ascii=False)
    return f"{len(data)} sha256:{hashlib.sha256(data).hexdigest()}"


def entry_of(layer, member):
    """(line without path, what follows the path)."""
    kind = KINDS[member.type]
    words = [kind]
    after = ""
    if kind == "link":
        after = " -> " + quote(member.linkname)
    else:
        words.append(f"{member.mode & 0o7777:04o}")
    words.append(f"{member.uid}:{member.gid}")
    if kind == "file":
        words.append(content(layer.extractfile(member).read()))
    if kind in ("char", "block"):
        words.append(f"{member.devmajor}:{member.devminor}")
    for key, value in sorted(member.pax_headers.items()):
        if key.startswith("SCHILY.xattr."):
            data = value.encode("utf-8", "surrogateescape")
            after += f" {key[13:]}={content(data)}"
    if member.mtime < OLD:
        after += f" @{int(member.mtime)}"
    return " ".join(words), after


def stack(tree, layer):
    """Lay one layer over tree: {path: [entry]}, the names of one inode share the list. Returns
    whether it was empty."""
    members = [(member, member.name.strip("/")) for member in layer]
    members = [(member, name[2:] if name.startswith("./") else name) for member, name in members]
    for member, name in members: # whiteouts hide what is below this layer, in any order
        folder, _, leaf = name.rpartition("/")
        if leaf == ".wh..wh..opq":
            remove_below(tree, folder)
        elif leaf.startswith(".wh."):
            hidden = (folder + "/" if folder else "") + leaf[4:]
            tree.pop(hidden, None)
            remove_below(tree, hidden)
    for member, name in members:
        if name.rpartition("/")[2].startswith(".wh.") or name in ("", "."):
            continue
        if member.islnk():
            tree[name] = tree[member.linkname.strip("/").removeprefix("./")]
            continue
        entry = [entry_of(layer, member)]
        if member.type != tarfile.DIRTYPE:
            remove_below(tree, name)
        tree[name] = entry
    return not members


def root_lines(tree):
    """{path: line}."""
    first, lines = {}, {}
    for path in sorted(tree):
        (before, after), shown = tree[path][0], "/" + quote(path)
        if id(tree[path]) in first:
            lines[path] = f"same {shown} = {first[id(tree[path])]}"
        else:
            lines[path] = f"{before} {shown}{after}"
            first[id(tree[path])] = shown
    return lines


def config_lines(document):
    """{field: line}."""
    config = {key: value for key, value in document.get("config", {}).items()
              if value and key not in CONFIG_SKIPPED}
    config.update({key: document[key] for key in DOCUMENT_KEPT if document.get(key)})
    return {key: f"{key}: {json.dumps(value, sort_keys=True, ensure_ascii=False)}"
            for key, value in sorted(config.items())}


def history_words(document, empty):
    """The instructions, those that change no file in parentheses, and the ARGs that RUN shows: the
    rest of the text is each builder's own. `empty` says of each layer whether it has no entries:
    some builders keep such layers."""
    empty = iter(empty)
    for entry in document.get("history", []):
        nothing = entry.get("empty_layer") or next(empty)
        text = entry.get("created_by", "")
        word = text.split(" ", 1)[0]
        if text.startswith("RUN |"):
            word = quote(text.split(" /bin/")[0])
        yield f"({word})" if nothing else word


def read(path=None, fileobj=None):
    """(layers' names, root, config, history) of an archive."""
    tree, empty = {}, []
    with tarfile.open(path, fileobj=fileobj) as archive:
        manifest = json.load(archive.extractfile("manifest.json"))[0]
        document = json.load(archive.extractfile(manifest["Config"]))
        for name in manifest["Layers"]:
            with tarfile.open(fileobj=archive.extractfile(name)) as layer:
                empty.append(stack(tree, layer))
    return (document["rootfs"]["diff_ids"], root_lines(tree), config_lines(document),
            list(history_words(document, empty)))


def show(image, base=None):
    """The lines of an image: what read() returned, less what it did for its base."""
    layers, root, config, history = image
    old_layers, old_root, old_config, old_history = base or ([], {}, {}, [])
    if layers[:len(old_layers)] != old_layers: # it stands on something else
        old_root, old_config, old_history = {}, {}, []
    yield from (line for name, line in sorted(root.items()) if old_root.get(name) != line)
    yield from (f"gone /{quote(name)}" for name in sorted(old_root) if name not in root)
    yield from (line for key, line in config.items() if old_config.get(key) != line)
    yield from (f"{key}: gone" for key in sorted(old_config) if key not in config)
    if history[len(old_history):]:
        yield "history: " + " ".join(history[len(old_history):])


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    for each in show(*(read(path) for path in sys.argv[1:3])):
        print(each)
