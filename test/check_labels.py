#!/usr/bin/env python3
"""Checks that every constraint label of the layer dialect (such as dense_c1)
that an op's description gives is checked by a verifier and violated by a
negative test, and that no verifier has a label without a description.
usage: check_labels.py ROOT
"""
import pathlib
import re
import sys

LABEL = re.compile(r"\b[a-z_]+_c[0-9]+\b")


def labels(paths):
    return {label for path in paths for label in LABEL.findall(path.read_text())}


def main(root):
    described = labels(root.glob("include/graphc/IR/Layer*.td"))
    verified = labels(root.glob("lib/IR/Layer*.cpp"))
    violated = labels(root.glob("test/IR/*-invalid.mlir"))
    errors = [f"{label} is described but no verifier gives it" for label in described - verified]
    errors += [f"{label} is verified but no description explains it" for label in verified - described]
    errors += [f"{label} has no negative test in test/IR/*-invalid.mlir" for label in described - violated]
    for error in sorted(errors):
        print(error, file=sys.stderr)
    print(f"{len(described)} labels, {len(errors)} errors")
    return bool(errors)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
