"""Virtual environments of the peers, from the Python package index.

Peers that go together share one; installing what is there already does nothing.
"""
import importlib.util
import json
import os
import re
import subprocess
import sys

COMMON = "common"  # makes the checkpoint, runs graphc, draws the chart
COMMON_PACKAGES = ["numpy", "matplotlib"]
NICENESS = 10      # of installations, which may build


class Failure(Exception):
    """What a peer, or the run, cannot go on after; its text is the reason."""


def require_venv():
    """pip comes with ensurepip, which Debian keeps in a package of its own."""
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            raise Failure(f"virtual environments need Python's module '{module}': apt-get install python3-venv")


def last_error(text):
    """The line of pip's or Python's output that says what went wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    wanted = [line for line in lines if re.match(r"(\w+\.)*\w*(Error|Exception)\b|ERROR: |error: ", line)]
    line = (wanted or lines or ["no message"])[-1]
    return line if len(line) <= 300 else line[:297] + "..."


class Environment:
    """One virtual environment in `root`; made when something is installed."""

    def __init__(self, root, name):
        self.folder = root / name
        self.python = self.folder / "bin/python"

    def install(self, peer, packages, options=(), variables=None):
        """Installs `packages`, once for each `peer`."""
        require_venv()
        marker = self.folder / f"installed-{peer}"
        wanted = " ".join([*options, *packages])
        if marker.exists() and marker.read_text() == wanted:
            return
        print(f"compare: installing {' '.join(packages)} into {self.folder}", file=sys.stderr)
        if not self.python.exists():
            self.run([sys.executable, "-m", "venv", str(self.folder)])
        self.run([str(self.python), "-m", "pip", "install", *options, *packages], variables)
        marker.write_text(wanted)

    def run(self, command, variables=None):
        done = subprocess.run(command, env=os.environ | (variables or {}), text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, preexec_fn=lambda: os.nice(NICENESS))
        if done.returncode:
            raise Failure(f"cannot be installed: {last_error(done.stdout)}")

    def versions(self, packages):
        """{package: version} of those that are installed."""
        names = [re.match(r"[\w.-]+", package)[0] for package in packages]
        script = ("import json, sys\nfrom importlib.metadata import version\n"
                  "print(json.dumps({name: version(name) for name in sys.argv[1:]}))")
        done = subprocess.run([self.python, "-c", script, *names], text=True, capture_output=True, check=True)
        return json.loads(done.stdout)
