"""Rounds of measurements: graphc bench, a peer, graphc bench, the next peer and so on.

Each step is a process of its own with a time limit, so that a peer that crashes or hangs costs itself only.
The bench before and the bench after a peer say what the machine's limits were meanwhile.
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import peers
from peers.environments import COMMON, COMMON_PACKAGES, Environment, Failure, last_error
from peers.worker import WARM_UP

WRONG = 0.1  # relative L2 distance of logits above which a peer computes another model; bf16 rounding makes 0.02


def say(text):
    print(f"compare: {text}", file=sys.stderr, flush=True)


def run_limited(command, seconds, variables):
    """Runs `command` in a process group of its own, or raises Failure with a short reason."""
    process = subprocess.Popen(command, env=variables, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True, errors="replace")
    try:
        output, _ = process.communicate(timeout=seconds)
    except BaseException as error:  # whoever interrupts a run ends its processes too
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise Failure(f"no answer within {seconds} s") from None
        raise
    if process.returncode < 0:
        raise Failure(f"killed by {signal.Signals(-process.returncode).name}")
    if process.returncode:
        raise Failure(last_error(output))
    return output


class Peer:
    """A peer's module, its environment, and what was measured of it."""

    def __init__(self, name, venv):
        self.name = name
        self.module = peers.load(name)
        self.environment = Environment(venv, self.module.ENVIRONMENT)
        self.failure = None
        self.versions, self.runs, self.artefact, self.distance = {}, [], None, None

    def record(self):
        return {"name": self.name, "title": self.module.TITLE, "settings": self.module.SETTINGS, "versions": self.versions,
                "failure": self.failure, "distance": self.distance, "runs": self.runs}


class Series:
    """All measurements of one model in one dtype."""

    def __init__(self, options, config, folder):
        self.options, self.config, self.folder = options, config, folder
        self.checkpoint = folder / "checkpoint"
        self.generated = options.generate
        self.capacity = -(-(max(options.prompt, *options.context) + self.generated + WARM_UP) // 64) * 64
        if self.capacity > config["max_position_embeddings"]:
            raise Failure(f"sequences of {self.capacity} tokens are longer than key 'max_position_embeddings' of the model allows, "
                          f"{config['max_position_embeddings']}: choose smaller --prompt and --context")
        self.variables = os.environ | {
            "PYTHONPATH": str(pathlib.Path(__file__).parent.parent), "PYTHONDONTWRITEBYTECODE": "1",
            "GRAPHC_BUILD": str(options.build), "OMP_NUM_THREADS": str(options.threads), "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false"}

    def work(self, peer, action, **more):
        """One process of a peer; the worker's answer."""
        folder = self.folder / peer.name
        folder.mkdir(exist_ok=True)
        spec, result = folder / "spec.json", folder / "result.json"
        result.unlink(missing_ok=True)
        spec.write_text(json.dumps({
            "peer": peer.name, "action": action, "checkpoint": str(self.checkpoint), "folder": str(folder),
            "dtype": self.options.dtype, "threads": self.options.threads, "capacity": self.capacity,
            "vocab": self.config["vocab_size"], "prompt": self.options.prompt, "contexts": self.options.context,
            "generated": self.generated, "started": time.monotonic()} | more))
        run_limited([peer.environment.python, "-m", "peers.worker", spec, result], self.options.time_limit, self.variables)
        return json.loads(result.read_text())

    def make_checkpoint(self, venv):
        """The random weights, by the common environment."""
        common = Environment(venv, COMMON)
        common.install("chart", COMMON_PACKAGES)
        marker = self.folder / "made.json"
        if marker.exists() and json.loads(marker.read_text()) == self.identity():
            return
        self.checkpoint.mkdir(exist_ok=True)
        config = self.folder / "config.json"
        config.write_text(json.dumps(self.config))
        script = ("import json, pathlib, sys\nfrom peers import checkpoint\n"
                  "checkpoint.write(json.load(open(sys.argv[1])), pathlib.Path(sys.argv[2]), sys.argv[3])")
        run_limited([common.python, "-c", script, config, self.checkpoint, self.options.dtype], self.options.time_limit, self.variables)
        marker.write_text(json.dumps(self.identity()))

    def identity(self, **more):
        """What files that a run leaves for the next are made from."""
        return {"config": self.config, "dtype": self.options.dtype} | more

    def prepare(self, peer):
        module = peer.module
        try:
            peer.environment.install(peer.name, module.PACKAGES, getattr(module, "PIP_OPTIONS", ()),
                                     getattr(module, "PIP_ENVIRONMENT", None))
            peer.versions = peer.environment.versions(module.PACKAGES)
            marker, identity = self.folder / f"made-{peer.name}.json", self.identity(versions=peer.versions)
            made = json.loads(marker.read_text()) if marker.exists() else {}
            if made.get("identity") != identity or peer.name == "graphc":  # which may have been built anew
                say(f"preparing {module.TITLE}")
                made = self.work(peer, "prepare") | {"identity": identity}
                marker.write_text(json.dumps(made))
            peer.artefact = made["artefact"]
        except Failure as failure:
            self.fail(peer, failure)

    def fail(self, peer, failure):
        peer.failure = str(failure).replace(str(self.folder), "FOLDER").replace(str(self.options.venv), "VENV")
        say(f"{peer.module.TITLE}: {peer.failure}")

    def bench(self):
        """Runs of graphc bench, by what they measure: rate, ratio, seconds a token at the limit."""
        peer = peers.load("graphc")
        report = self.folder / "bench.json"
        run_limited([self.options.build / "bin/graphc", "bench", self.checkpoint, *peer.FLAGS[self.options.dtype],
                     "--prompt", str(self.options.prompt), "--context", ",".join(map(str, self.options.context)),
                     "--gen", str(self.generated), "--threads", str(self.options.threads), "--repeat", "1", "--json", report],
                    self.options.time_limit, self.variables)
        report = json.loads(report.read_text())
        self.machine, self.model, self.version = report["machine"], report["model"], report["graphc"]
        result = {}
        for run in report["runs"]:
            key = "prefill" if run["phase"] == "prefill" else f"decode {run['context']}"
            result[key] = {"rate": run["tokens_per_second"], "ratio": run["ratio"], "limits": run["limits"],
                           "limit": sum(sample["limit_seconds"] for sample in run["samples"]) / (run["tokens"] * len(run["samples"]))}
        return result

    def measure(self, peer):
        """One process of a peer: seconds a token of each sample, by what is measured."""
        answer = self.work(peer, "measure", artefact=peer.artefact)
        samples = {"prefill": [seconds / self.options.prompt for seconds in answer["prefill"]]}
        for context, times in answer["decode"].items():
            samples[f"decode {context}"] = [seconds / self.generated for seconds in times]
        return answer["logits"], {key: answer[key] for key in ("load", "first_token", "peak_bytes")} | {"samples": samples}

    def check(self, peer, logits, reference):
        """Whether a peer computed the same model as graphc."""
        distance = (sum((a - b) ** 2 for a, b in zip(logits, reference)) / sum(b * b for b in reference)) ** 0.5
        peer.distance = distance
        if len(logits) != len(reference) or not distance < WRONG:
            raise Failure(f"computes something else: its logits are {distance:.2g} of theirs away from graphc's")

    def run(self, names):
        """Prepares all and measures in rounds; yields all that is measured after each. graphc comes first, since
        others are held against it."""
        everybody = [Peer(name, self.options.venv) for name in names]
        self.make_checkpoint(self.options.venv)
        for peer in everybody:
            self.prepare(peer)
        if everybody[0].failure:
            raise Failure(f"graphc: {everybody[0].failure}")
        reference, benches = None, [self.bench()]
        for index in range(self.options.rounds):
            for peer in everybody:
                if peer.failure:
                    continue
                say(f"round {index + 1} of {self.options.rounds}: {peer.module.TITLE}")
                try:
                    logits, run = self.measure(peer)
                    reference = reference or logits
                    self.check(peer, logits, reference)
                except Failure as failure:
                    if peer is everybody[0]:
                        raise Failure(f"graphc: {failure}")
                    self.fail(peer, failure)
                    continue
                benches.append(self.bench())
                run["limits"] = {key: (before["limit"] + benches[-1][key]["limit"]) / 2 for key, before in benches[-2].items()}
                peer.runs.append(run)
            everybody[0].versions = {"graphc": self.version}
            yield {"machine": self.machine, "parameters": self.model["parameters"], "rounds": index + 1, "benches": benches,
                   "peers": [peer.record() for peer in everybody]}
