"""The parts of tools/bench/compare that need no package: failures of peers, rounds, and the page.

usage: check_peers.py ROOT; also `canned` for the test of the chart: check_peers.py ROOT --canned OUT.json
"""
import json
import pathlib
import sys
import tempfile
import time
import types
import unittest
import unittest.mock

ROOT = pathlib.Path(sys.argv.pop(1))
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tools/bench"))
import peers
from peers import checkpoint, environments, measured, page, rounds, worker
from peers.environments import Failure, last_error
from peers.rounds import Series, run_limited

LIMITS = {"read_bytes_per_second": 20e9, "dot_operations_per_second": 400e9, "f32_operations_per_second": 200e9}
BENCH = {key: {"rate": 1000.0, "ratio": 0.5, "limits": LIMITS, "limit": 0.0005} for key in ("prefill", "decode 8", "decode 16")}


def canned():
    """A section with a peer at twice graphc's time, and one that failed."""
    def run(seconds):
        return {"load": 0.5, "first_token": 1.5, "peak_bytes": 3 * 2**20, "limits": {key: 0.0005 for key in BENCH},
                "samples": {key: [seconds / 4, seconds, 100.0] for key in BENCH}}

    def peer(name, failure, runs):
        return {"name": name, "title": peers.load(name).TITLE, "settings": "as | it comes", "versions": {"package": "1.2"},
                "failure": failure, "distance": 0.01, "runs": runs}
    return {"model": "Toy", "dtype": "bf16", "layers": 2, "hidden": 64, "parameters": 1000000, "date": "2026-01-31",
            "command": "tools/bench/compare --rounds 1", "threads": 2, "rounds": 1, "prompt": 4, "contexts": [8, 16],
            "generated": 8, "machine": {"processor": "Some <Processor>", "cores": 2, "kernel": "6.1"}, "benches": [BENCH, BENCH],
            "peers": [peer("graphc", None, [run(0.001)]), peer("llama_cpp", None, [run(0.002)]),
                      peer("pytorch", "no answer within 3 s", [])]}


class Failures(unittest.TestCase):
    def reason(self, code, seconds=20):
        with self.assertRaises(Failure) as raised:
            run_limited([sys.executable, "-c", code], seconds, None)
        return str(raised.exception)

    def test_crashes_hangs_and_errors_have_reasons(self):
        self.assertEqual(self.reason("import os; os.kill(os.getpid(), 11)"), "killed by SIGSEGV")
        self.assertEqual(self.reason("import time; time.sleep(60)", 1), "no answer within 1 s")
        self.assertEqual(self.reason("raise KeyError('no such op')"), "KeyError: 'no such op'")

    def test_processes_of_a_peer_end_with_it(self):
        child = "import subprocess, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
        begin = time.monotonic()
        self.assertEqual(self.reason(child, 1), "no answer within 1 s")
        self.assertLess(time.monotonic() - begin, 50)  # it waits for the child too, which is gone

    def test_a_missing_module_of_virtual_environments_names_its_package(self):
        with unittest.mock.patch("importlib.util.find_spec", lambda module: None if module == "ensurepip" else True):
            with self.assertRaisesRegex(Failure, "need Python's module 'ensurepip': apt-get install python3-venv"):
                environments.require_venv()

    def test_the_line_that_says_what_went_wrong_is_found(self):
        self.assertEqual(last_error("ERROR: No matching distribution found for x\n\n[notice] get a new pip\n"),
                         "ERROR: No matching distribution found for x")
        self.assertEqual(last_error(""), "no message")
        self.assertEqual(len(last_error("ERROR: " + 1000 * "x")), 300)


class Checkpoint(unittest.TestCase):
    CONFIG = {"hidden_size": 8, "intermediate_size": 12, "vocab_size": 20, "num_attention_heads": 2, "num_key_value_heads": 1,
              "num_hidden_layers": 2, "tie_word_embeddings": True, "rope_theta": 10000.0}

    def test_kernels_have_the_shapes_of_the_configuration(self):
        shapes = checkpoint.shapes(self.CONFIG)
        self.assertEqual(len(shapes), 2 + 2 * 9)
        self.assertEqual(shapes["model.layers.1.self_attn.k_proj.weight"], (4, 8))
        self.assertEqual(shapes["model.layers.1.mlp.down_proj.weight"], (8, 12))
        self.assertNotIn("lm_head.weight", shapes)
        self.assertEqual(checkpoint.shapes(self.CONFIG | {"tie_word_embeddings": False, "head_dim": 16})["lm_head.weight"], (20, 8))

    def test_rope_factors_leave_high_frequencies_and_divide_low_ones(self):
        scaling = {"rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0, "factor": 32.0,
                   "original_max_position_embeddings": 8192}
        factors = checkpoint.rope_factors(self.CONFIG | {"rope_scaling": scaling, "rope_theta": 500000.0}, 64)
        self.assertEqual((len(factors), factors[0], factors[-1]), (32, 1.0, 32.0))
        self.assertTrue(all(a <= b for a, b in zip(factors, factors[1:])) and 1 < factors[16] < 32, factors)
        with self.assertRaisesRegex(RuntimeError, "must be of type llama3 for this conversion, got yarn"):
            checkpoint.rope_factors({"rope_scaling": {"type": "yarn"}}, 64)


class Worker(unittest.TestCase):
    SPEC = {"artefact": "model", "dtype": "f32", "threads": 1, "capacity": 64, "vocab": 50, "prompt": 24, "contexts": [8, 12],
            "generated": 6, "started": 0.0}

    def measured(self):
        """What one process measures of a peer, and the calls that it makes."""
        calls = []

        class Model:
            def __init__(self, *arguments):
                calls.append(arguments)

            def prefill(self, ids):
                calls.append(("prefill", len(ids)))
                return [1, 2]

            def decode(self, ids):
                calls.append(("decode", len(ids)))
        return worker.measure(types.SimpleNamespace(Model=Model), self.SPEC), calls

    def test_the_first_prefill_and_steps_that_may_compile_are_not_timed(self):
        result, calls = self.measured()
        self.assertEqual(calls, [("model", "f32", 1, 64), ("prefill", 16)] + 4 * [("prefill", 24)] +
                         [("prefill", 8), ("decode", 4), ("decode", 6), ("prefill", 12), ("decode", 4), ("decode", 6)])
        self.assertEqual((len(result["prefill"]), {key: len(value) for key, value in result["decode"].items()}), (3, {"8": 1, "12": 1}))
        self.assertTrue(0 < result["load"] < result["first_token"] and result["peak_bytes"] > 2**20)
        self.assertEqual(result["logits"], [1.0, 2.0])

    def test_a_slow_prefill_has_fewer_samples(self):
        with unittest.mock.patch.object(worker, "ENOUGH", 1e-12):
            self.assertEqual(len(self.measured()[0]["prefill"]), 1)

    def test_everybody_gets_the_same_ids(self):
        self.assertEqual(worker.token_ids(50, 8), worker.token_ids(50, 9)[:8])
        self.assertTrue(all(0 <= index < 50 for index in worker.token_ids(50, 999)))


class CannedSeries(Series):
    """Processes that do what their peer's name says in this table."""
    DOES = {"openvino": Failure("killed by SIGSEGV"), "pytorch": "of another model"}

    def make_checkpoint(self, venv):
        self.steps = []

    def bench(self):
        self.steps.append("bench")
        self.machine, self.model, self.version = canned()["machine"], {"parameters": 5}, "1.0"
        return {key: value | {"limit": 0.001 * len(self.steps)} for key, value in BENCH.items()}

    def prepare(self, peer):
        peer.artefact = "model"
        if peer.name == "ctranslate2":
            self.fail(peer, Failure(f"no bf16 in {self.folder}/model"))

    def work(self, peer, action, **more):
        self.steps.append(peer.name)
        does = self.DOES.get(peer.name)
        if isinstance(does, Failure):
            raise does
        return {"logits": [1.0, -2.0] if does else [1.0, 2.0], "load": 1, "first_token": 2, "peak_bytes": 3,
                "prefill": [4.0, 8.0], "decode": {"8": [16.0], "16": [32.0]}}


class Rounds(unittest.TestCase):
    def setUp(self):
        options = self.options = types.SimpleNamespace(prompt=4, context=[8, 16], generate=8, threads=1, rounds=2, dtype="bf16",
                                        build=pathlib.Path("build"), venv=pathlib.Path("venv"))
        self.series = CannedSeries(options, {"max_position_embeddings": 64}, pathlib.Path("/somewhere"))
        *self.earlier, self.result = self.series.run(["graphc", "llama_cpp", "openvino", "pytorch", "ctranslate2"])
        self.peers = {peer["name"]: peer for peer in self.result["peers"]}

    def test_a_bench_lies_before_and_after_each_and_failures_end_only_themselves(self):
        self.assertEqual(self.series.steps, ["bench", "graphc", "bench", "llama_cpp", "bench", "openvino", "pytorch",
                                             "graphc", "bench", "llama_cpp", "bench"])
        self.assertEqual(self.peers["openvino"]["failure"], "killed by SIGSEGV")
        self.assertEqual(self.peers["graphc"]["versions"], {"graphc": "1.0"})
        self.assertEqual(self.peers["ctranslate2"]["failure"], "no bf16 in FOLDER/model")

    def test_a_peer_that_computes_another_model_is_refused(self):
        self.assertRegex(self.peers["pytorch"]["failure"], "computes something else: its logits are 1.8 of theirs away")
        self.assertEqual(self.peers["pytorch"]["runs"], [])
        self.assertEqual(self.peers["llama_cpp"]["distance"], 0)

    def test_samples_are_seconds_a_token_and_limits_those_around(self):
        run = self.peers["llama_cpp"]["runs"][0]
        self.assertEqual(run["samples"], {"prefill": [1, 2], "decode 8": [2], "decode 16": [4]})
        self.assertAlmostEqual(run["limits"]["prefill"], (0.003 + 0.005) / 2)

    def test_sequences_longer_than_the_model_allows_are_refused(self):
        with self.assertRaisesRegex(Failure, "sequences of 128 tokens are longer than .* allows, 64"):
            self.options.context = [8, 60]
            CannedSeries(self.options, {"max_position_embeddings": 64}, pathlib.Path("/somewhere"))

    def test_graphc_failing_ends_the_run(self):
        self.series.DOES = {"graphc": Failure("killed by SIGILL")}
        with self.assertRaisesRegex(Failure, "graphc: killed by SIGILL"):
            list(self.series.run(["graphc", "llama_cpp"]))

    def test_each_round_gives_what_is_measured_so_far(self):
        self.assertEqual([len(self.earlier), self.result["rounds"]], [1, 2])
        self.series.DOES = {}
        counts = [[len(peer["runs"]) for peer in result["peers"]] for result in self.series.run(["graphc", "llama_cpp"])]
        self.assertEqual(counts, [[1, 1], [2, 2]])


class Kept(unittest.TestCase):
    """Files that a run leaves in --keep for the next."""

    def prepared(self, folder, dtype="f32", name="pytorch"):
        """Whether a peer was prepared in `folder` again."""
        options = types.SimpleNamespace(prompt=4, context=[8], generate=8, threads=1, dtype=dtype, build=pathlib.Path("build"),
                                        venv=pathlib.Path("venv"), time_limit=60)
        series = Series(options, {"max_position_embeddings": 64, "vocab_size": 9}, folder)
        peer = rounds.Peer(name, options.venv)
        peer.environment = types.SimpleNamespace(install=lambda *_: None, versions=lambda _: {"torch": "1"}, python=sys.executable)
        with unittest.mock.patch.object(series, "work", return_value={"artefact": dtype}) as work:
            series.prepare(peer)
        self.assertEqual((peer.artefact, peer.failure), (dtype, None))
        return work.called

    def test_conversions_are_used_again_for_the_same_model_only(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            self.assertTrue(self.prepared(folder))
            self.assertFalse(self.prepared(folder))
            self.assertTrue(self.prepared(folder, "bf16"))
            self.assertTrue(self.prepared(folder))

    def test_graphc_is_compiled_each_time(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertTrue(self.prepared(pathlib.Path(folder), name="graphc"))
            self.assertTrue(self.prepared(pathlib.Path(folder), name="graphc"))


class Page(unittest.TestCase):
    def test_rates_and_ratios_are_medians(self):
        peer = canned()["peers"][1]
        self.assertEqual(measured.rate(peer, "prefill"), 500)
        self.assertEqual(measured.ratio(peer, "decode 8"), 0.25)

    def test_every_peer_has_its_row_and_failures_their_reason(self):
        text = page.markdown([canned()])
        self.assertIn("## Toy, bf16\n\n    tools/bench/compare --rounds 1\n\n2026-01-31, Some <Processor>, 2 cores", text)
        self.assertIn("| prefill 4, tok/s | of limit | decode at 8, tok/s | of limit | decode at 16, tok/s |", text)
        self.assertIn("| graphc | 1,000 | 0.50 | 1,000 | 0.50 | 1,000 | 0.50 | 500 ms | 1.5 s | 3 MiB | 0.01 |", text)
        self.assertIn("| llama.cpp | 500 | 0.25 |", text)
        self.assertIn("| PyTorch, eager | - | - |", text)
        self.assertIn("- PyTorch, eager: `no answer within 3 s`\n", text)
        self.assertIn("as \\| it comes | package 1.2 |", text)
        self.assertIn("20.0 GB/s read, 400 GFLOP/s bf16 dot products, 200 GFLOP/s f32", text)

    def test_every_peer_has_the_interface_without_its_packages(self):
        for name in peers.NAMES:
            peer = peers.load(name)
            self.assertEqual(peer.NAME, name)
            for attribute in ("TITLE", "ENVIRONMENT", "PACKAGES", "SETTINGS", "prepare"):
                self.assertTrue(getattr(peer, attribute), (name, attribute))
            self.assertTrue(callable(peer.Model.prefill) and callable(peer.Model.decode), name)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--canned"]:
        pathlib.Path(sys.argv[2]).write_text(json.dumps({"format": 1, "sections": [canned()]}))
    else:
        unittest.main()
