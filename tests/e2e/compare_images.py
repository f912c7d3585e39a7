#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""compare_images.py ONE.tar TWO.tar: do two `docker save` archives hold the same image?

Compares the root file systems, layers stacked (path, type, mode, owner, size, content, link target
and which names share an inode, extended attributes; never times), and the configs. Prints the
differences, a line each, and exits with 1 when there are some.
"""
import hashlib
import json
import sys
import tarfile

# What a config says of the build and not of the image, or what is spelled twice.
CONFIG_SKIPPED = {"Image", "Hostname", "Domainname", "AttachStdin", "AttachStdout", "AttachStderr",
                  "Tty", "OpenStdin", "StdinOnce", "ArgsEscaped"}
KINDS = {tarfile.REGTYPE: "file", tarfile.AREGTYPE: "file", tarfile.DIRTYPE: "directory",
         tarfile.SYMTYPE: "symlink", tarfile.CHRTYPE: "char", tarfile.BLKTYPE: "block",
         tarfile.FIFOTYPE: "fifo"}


def remove_below(tree, name):
    for path in [path for path in tree if path.startswith(name + "/")]:
        del tree[path]


def entry_of(layer, member):
    entry = {"type": KINDS[member.type], "mode": oct(member.mode & 0o7777),
             "owner": f"{member.uid}:{member.gid}"}
    if member.isreg():
        data = layer.extractfile(member).read()
        entry.update(size=member.size, sha256=hashlib.sha256(data).hexdigest())
    if member.issym():
        entry["target"] = member.linkname
    if member.ischr() or member.isblk():
        entry["device"] = f"{member.devmajor}:{member.devminor}"
    for key, value in member.pax_headers.items():
        if key.startswith("SCHILY.xattr."):
            entry[key[13:]] = value
    return entry


def stack(tree, layer):
    """Lay one layer over tree: {path: entry}."""
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
        entry = entry_of(layer, member)
        if entry["type"] != "directory":
            remove_below(tree, name)
        tree[name] = entry


def root_of(archive, layers):
    tree = {}
    for name in layers:
        with tarfile.open(fileobj=archive.extractfile(name)) as layer:
            stack(tree, layer)
    names = {}
    for path, entry in sorted(tree.items()):
        names.setdefault(id(entry), []).append(path)
    return {path: {**entry, "names": names[id(entry)]} for path, entry in tree.items()}


def read(path):
    with tarfile.open(path) as archive:
        manifest = json.load(archive.extractfile("manifest.json"))[0]
        document = json.load(archive.extractfile(manifest["Config"]))
        config = {key: value for key, value in document["config"].items()
                  if value and key not in CONFIG_SKIPPED}
        config.update({key: document.get(key) for key in ("architecture", "os")})
        return root_of(archive, manifest["Layers"]), config


def differences(one, two, what):
    for key in sorted(one.keys() | two.keys()):
        if one.get(key) != two.get(key):
            yield f"{what} {key}:\n  one: {one.get(key)}\n  two: {two.get(key)}"


one_root, one_config = read(sys.argv[1])
two_root, two_config = read(sys.argv[2])
found = [*differences(one_root, two_root, "file"), *differences(one_config, two_config, "config")]
print("\n".join(found))
sys.exit(1 if found else 0)
