#!/usr/bin/env python3
"""What pinning the cache saves: one model with a pinned cache and in seed mode.

Compiles the model both ways, fills both caches to the same length and then
decodes a token of each in turn, so that whatever else the machine does meets
both. Bytes and casts are counted by the compiler from the kernels of a step;
times are medians over steps. Prints a Markdown table.

usage: cache_modes.py CHECKPOINT [--context N] [--steps N] [--policy P] [--pin C] [--threads N]
       cache_modes.py --config config.json ..   makes a Llama checkpoint of that shape, in the folder
                                                for temporary files, with arbitrary weights
"""
import argparse
import ctypes
import json
import pathlib
import random
import re
import statistics
import struct
import subprocess
import tempfile
import time

BUILD = pathlib.Path(__file__).resolve().parents[2] / "build"


def llama_tensors(config):
    """Names and shapes of a Llama checkpoint's tensors."""
    hidden, ffn, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    heads = config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads", heads)
    head_dim = config.get("head_dim") or hidden // heads
    yield "model.embed_tokens.weight", (vocab, hidden)
    for i in range(config["num_hidden_layers"]):
        block = f"model.layers.{i}."
        yield block + "input_layernorm.weight", (hidden,)
        yield block + "post_attention_layernorm.weight", (hidden,)
        yield block + "self_attn.q_proj.weight", (heads * head_dim, hidden)
        yield block + "self_attn.k_proj.weight", (kv_heads * head_dim, hidden)
        yield block + "self_attn.v_proj.weight", (kv_heads * head_dim, hidden)
        yield block + "self_attn.o_proj.weight", (hidden, heads * head_dim)
        yield block + "mlp.gate_proj.weight", (ffn, hidden)
        yield block + "mlp.up_proj.weight", (ffn, hidden)
        yield block + "mlp.down_proj.weight", (hidden, ffn)
    yield "model.norm.weight", (hidden,)
    if not config.get("tie_word_embeddings", False):
        yield "lm_head.weight", (vocab, hidden)


def write_checkpoint(config_path, folder):
    """A bf16 checkpoint: normal values of deviation 0.02 from one table, repeated."""
    config = json.loads(pathlib.Path(config_path).read_text())
    (folder / "config.json").write_text(json.dumps(config))
    header, end = {}, 0
    for name, shape in llama_tensors(config):
        size = 2
        for dim in shape:
            size *= dim
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 8) % 64)
    rng = random.Random(0)
    values = [rng.gauss(0, 0.02) for _ in range(65521)]  # a prime: rows differ
    table = b"".join(struct.pack("<f", value)[2:] for value in values) * 16
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for at in range(0, end, len(table)):
            file.write(table[: end - at])


class SessionOptions(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("batch", "capacity", "chunk", "threads")]


class Decoder:
    """A session of a compiled model."""

    def __init__(self, library, artefact, weights, capacity, threads):
        self.library = library
        error = ctypes.c_char_p()
        self.model = library.graphc_open(str(artefact).encode(), str(weights).encode(), ctypes.byref(error))
        if not self.model:
            raise SystemExit(error.value.decode())
        options = SessionOptions(1, capacity, 0, threads)
        self.plan = json.loads(ctypes.string_at(library.graphc_plan(self.model, ctypes.byref(options), None)))
        self.session = library.graphc_session_open(self.model, ctypes.byref(options), ctypes.byref(error))
        if not self.session:
            raise SystemExit(error.value.decode())
        self.dtype = library.graphc_session_cache_dtype(self.session).decode()

    def forward(self, ids):
        """Seconds that appending `ids` takes."""
        array, error = (ctypes.c_int32 * len(ids))(*ids), ctypes.c_char_p()
        logits = ctypes.POINTER(ctypes.c_float)()
        start = time.perf_counter()
        if self.library.graphc_forward(self.session, 0, array, len(ids), ctypes.byref(logits), ctypes.byref(error)):
            raise SystemExit(error.value.decode())
        return time.perf_counter() - start


def load_library():
    library = ctypes.CDLL(str(BUILD / "lib" / "libgraphc_runtime.so"))
    for name in ("graphc_open", "graphc_session_open", "graphc_plan"):
        getattr(library, name).restype = ctypes.c_void_p
    library.graphc_session_cache_dtype.restype = ctypes.c_char_p
    pointer = ctypes.c_void_p
    library.graphc_plan.argtypes = [pointer, pointer, pointer]
    library.graphc_session_open.argtypes = [pointer, pointer, pointer]
    library.graphc_session_cache_dtype.argtypes = [pointer]
    library.graphc_forward.argtypes = [pointer, ctypes.c_int64, pointer, ctypes.c_size_t, pointer, pointer]
    return library


def compile_model(model, output, options):
    """Compiles `model` to `output`; returns what a step does to the cache, by the compiler's count."""
    graphc = str(BUILD / "bin" / "graphc")
    subprocess.run([graphc, str(model), "-o", str(output), *options], check=True)
    summary = subprocess.run([graphc, str(model), *options], check=True, text=True, stdout=subprocess.PIPE).stdout
    line = re.search(r"^traffic .*$", summary, re.M).group()

    def number(pattern):
        found = re.search(pattern, line)
        return int(found.group(1)) if found else 0

    return {"casts": number(r"tensors: (\d+)"), "per_row": number(r"reads (\d+) B") + number(r"and writes (\d+) B of cache"),
            "per_token": number(r"writes (\d+) B for a token")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?")
    parser.add_argument("--config")
    parser.add_argument("--context", type=int, default=2048, help="rows of the cache, all but the decoded ones filled")
    parser.add_argument("--steps", type=int, default=9)
    parser.add_argument("--policy", default="compute=bf16,output=f32")
    parser.add_argument("--pin", default="bf16")
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    if bool(arguments.checkpoint) == bool(arguments.config):
        parser.error("expected either CHECKPOINT or --config")
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        checkpoint = pathlib.Path(arguments.checkpoint) if arguments.checkpoint else folder
        if arguments.config:
            write_checkpoint(arguments.config, folder)
        library, decoders, counts = load_library(), {}, {}
        modes = {"seed": ["--cache-mode=seed"], "pinned": ["--pin-cache=" + arguments.pin]}
        prompt = [i % 97 + 1 for i in range(arguments.context - arguments.steps)]
        for mode, options in modes.items():
            artefact = folder / (mode + ".so")
            counts[mode] = compile_model(checkpoint, artefact, ["--policy", arguments.policy, *options])
            decoders[mode] = Decoder(library, artefact, checkpoint, arguments.context, arguments.threads)
            decoders[mode].forward(prompt)
        times = {mode: [] for mode in modes}
        for step in range(arguments.steps):
            for mode, decoder in decoders.items():
                times[mode].append(decoder.forward([step + 1]))
        print(f"| decode at {arguments.context} tokens, {arguments.policy} | seed mode | pinned {arguments.pin} | ratio |")
        print("|---|---|---|---|")

        def row(name, seed, pinned, text):
            ratio = f"{seed / pinned:.1f}" if pinned else ""
            print(f"| {name} | {text(seed)} | {text(pinned)} | {ratio} |")

        def mib(value):
            return f"{value / 2**20:,.1f} MiB"

        def moved(mode):
            return counts[mode]["per_row"] * arguments.context + counts[mode]["per_token"]

        plans = {mode: decoder.plan for mode, decoder in decoders.items()}
        row("cache", *(plans[mode]["cache"] for mode in modes), mib)
        row("scratch", *(plans[mode]["workspace"] + plans[mode]["stack"] for mode in modes), mib)
        row("casts of whole cache tensors a step", *(counts[mode]["casts"] for mode in modes), str)
        row("cache bytes moved a step", *(moved(mode) for mode in modes), mib)
        row("weights read a step, at most", *(plans[mode]["weights_in_place"] + plans[mode]["weights_converted"] for mode in modes), mib)
        row("median time of a step", *(statistics.median(times[mode]) for mode in modes), lambda s: f"{1000 * s:.1f} ms")


if __name__ == "__main__":
    main()
