"""One peer's process: converts the checkpoint for it, or loads and times it.

usage: python -m peers.worker SPEC.json RESULT.json
A specification is made by rounds.py; results go to a file, since peers print what they like.
"""
import json
import pathlib
import random
import re
import sys
import time

import peers

FIRST_PROMPT = 16  # tokens, of the time to the first token
WARM_UP = 4        # decoded tokens before those that are timed
PREFILLS = 3       # timed ones a process, or fewer once they took
ENOUGH = 10        # seconds


def token_ids(vocab, count):
    """`count` ids, the same for everybody."""
    generator = random.Random(1)
    return [generator.randrange(vocab) for _ in range(count)]


def peak_bytes():
    """The most memory that this process has had resident, mapped files included."""
    return 1024 * int(re.search(r"^VmHWM:\s*(\d+) kB", pathlib.Path("/proc/self/status").read_text(), re.M)[1])


def timed(work, *arguments):
    begin = time.monotonic()
    work(*arguments)
    return time.monotonic() - begin


def prepare(peer, spec):
    return {"artefact": str(peer.prepare(pathlib.Path(spec["checkpoint"]), pathlib.Path(spec["folder"]), spec["dtype"]))}


def measure(peer, spec):
    """Seconds of everything: a sample of prefill is of `prompt` tokens, one of decode of `generated`."""
    ids = token_ids(spec["vocab"], max([FIRST_PROMPT, spec["prompt"], spec["generated"], *spec["contexts"]]))
    begin = time.monotonic()
    model = peer.Model(spec["artefact"], spec["dtype"], spec["threads"], spec["capacity"])
    loaded = time.monotonic()
    logits = model.prefill(ids[:FIRST_PROMPT])
    first = time.monotonic()  # CLOCK_MONOTONIC is one clock for all processes
    result = {"load": loaded - begin, "first_token": first - spec["started"], "logits": [float(x) for x in logits]}
    model.prefill(ids[:spec["prompt"]])
    result["prefill"], result["decode"] = [], {}
    while len(result["prefill"]) < PREFILLS and sum(result["prefill"]) < ENOUGH:
        result["prefill"].append(timed(model.prefill, ids[:spec["prompt"]]))
    for context in spec["contexts"]:
        model.prefill(ids[:context])
        model.decode(ids[:WARM_UP])
        result["decode"][str(context)] = [timed(model.decode, ids[:spec["generated"]])]
    return result | {"peak_bytes": peak_bytes()}


def main(spec, result):
    spec = json.loads(pathlib.Path(spec).read_text())
    action = {"prepare": prepare, "measure": measure}[spec["action"]]
    pathlib.Path(result).write_text(json.dumps(action(peers.load(spec["peer"]), spec)))


if __name__ == "__main__":
    main(*sys.argv[1:])
