#!/usr/bin/env python3
"""Checks that dependencies run one way, that no source is too long, and that
each one is compiled.

tools -> Compiler -> {Import, passes, Codegen} -> IR -> Support;
Reference -> IR; Runtime -> Support only; pass folders include no one another.
usage: check_structure.py ROOT COMPILE_COMMANDS
"""
import json
import pathlib
import re
import sys

# Folder -> folders whose headers it may include, besides its own.
ALLOWED = {
    "lib/Support": set(),
    "lib/IR": {"lib/Support", "include/graphc/IR"},
    "include/graphc/IR": {"lib/Support"},
    "lib/Reference": {"lib/Support", "lib/IR", "include/graphc/IR"},
    "lib/Import": {"lib/Support", "lib/IR", "include/graphc/IR"},
    "lib/Codegen": {"lib/Support", "lib/IR", "include/graphc/IR"},
    "lib/Runtime": {"lib/Support", "include/graphc", "include/graphc/c"},
    "passes/layer": {"lib/Support", "lib/IR", "include/graphc/IR"},
    "passes/kernel": {"lib/Support", "lib/IR", "include/graphc/IR"},
    "passes/cpu": {"lib/Support", "lib/IR", "include/graphc/IR"},
}
# Runtime and Support must be usable without MLIR and LLVM.
PLAIN = {"lib/Support", "lib/Runtime", "include/graphc", "include/graphc/c"}
LONGEST = 800


def folder_of(include, root):
    """The folder of the project that `#include "include"` reaches, or None."""
    for base in ("lib/", "include/", ""):
        path = base + include
        folder = path.rsplit("/", 1)[0]
        if (root / folder).is_dir() and (folder in ALLOWED or folder.startswith(("lib/", "passes/", "include/", "tools/"))):
            return folder
    return None


def main(root, commands):
    errors = []
    compiled = {pathlib.Path(entry["directory"], entry["file"]).resolve() for entry in json.loads(commands.read_text())}
    sources = [p for top in ("lib", "include", "passes", "tools", "test")
               for p in (root / top).rglob("*") if p.suffix in (".cpp", ".h", ".td", ".c", ".py")]
    for path in sources:
        name = path.relative_to(root).as_posix()
        folder = name.rsplit("/", 1)[0]
        text = path.read_text()
        if text.count("\n") > LONGEST:
            errors.append(f"{name}: {text.count(chr(10))} lines, expected at most {LONGEST}")
        for line, include in re.findall(r'^(#include|include) "([^"]+)"', text, re.M):
            target = folder_of(include, root)
            allowed = ALLOWED.get(folder)
            if allowed is not None and target and target != folder and target not in allowed:
                errors.append(f"{name}: may not include {include} ({folder} may use {sorted(allowed)})")
        if folder in PLAIN and re.search(r'#include ["<](mlir|llvm)/', text):
            errors.append(f"{name}: must not include MLIR or LLVM")
        if path.suffix == ".cpp" and name.startswith(("lib/", "passes/", "tools/")) and path.resolve() not in compiled:
            errors.append(f"{name}: is compiled by no target")
    for error in errors:
        print(error, file=sys.stderr)
    print(f"{len(sources)} sources, {len(errors)} violations")
    return bool(errors)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
