#!/usr/bin/env python3
"""Runs the commands of a document and compares what they print.

In each ```console block a line `$ COMMAND` is run by bash in the repository's
root; the lines up to the next command are what it must print (standard output
and error together).
usage: check_console.py ROOT DOCUMENT
"""
import difflib
import pathlib
import re
import subprocess
import sys


def steps(text):
    """Yields (command, expected output) of all console blocks."""
    for block in re.findall(r"^```console\n(.*?)^```", text, re.M | re.S):
        for step in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, expected = step.partition("\n")
            yield command, expected


def main(root, document):
    failures = count = 0
    for command, expected in steps(pathlib.Path(document).read_text()):
        count += 1
        # A pipeline's status is its last command's; output is what is compared.
        run = subprocess.run(["bash", "-c", command], cwd=root, text=True, timeout=300,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if run.stdout != expected:
            failures += 1
            print(f"$ {command}")
            sys.stdout.writelines(difflib.unified_diff(expected.splitlines(True), run.stdout.splitlines(True),
                                                       "document", "printed"))
    print(f"{count} commands, {failures} print something else")
    return failures != 0 or count == 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
