"""Writes rope_golden.json: frequencies and tables as Hugging Face transformers computes them, for every rope type.

    env/bin/python test/models/rope/make_rope_golden.py

Each case is a spec in graphc's text form (Support/Rope.h), the session length, the inverse frequencies (dim / 2), the
attention factor, and cos and sin (positions, dim / 2) at a few positions. Floats are f32 values in shortest form.
"""

import json
import pathlib

import numpy as np
import torch
import transformers
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

POSITIONS = [1, 100, 4095]

LLAMA3 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192)
LONG = dict(
    short_factor=[1.0 + 0.05 * i for i in range(10)],
    long_factor=[1.0 + 0.9 * i for i in range(10)],
    original_max_position_embeddings=4096,
    factor=32.0,
)
# name, dim, base, type, keys, session length
CASES = [
    ("default", 64, 10000.0, "default", {}, 1),
    ("default head 20", 20, 500.0, "default", {}, 1),
    ("default llama 3", 128, 500000.0, "default", {}, 1),
    ("linear", 20, 10000.0, "linear", dict(factor=4.0), 1),
    ("linear third", 64, 1e6, "linear", dict(factor=3.0), 1),
    ("dynamic short", 20, 10000.0, "dynamic", dict(factor=2.0, original_max_position_embeddings=2048), 100),
    ("dynamic long", 20, 10000.0, "dynamic", dict(factor=2.0, original_max_position_embeddings=2048), 5000),
    ("dynamic thirds", 128, 1000.0, "dynamic", dict(factor=3.7, original_max_position_embeddings=16), 49),
    ("yarn", 64, 10000.0, "yarn", dict(factor=4.0, original_max_position_embeddings=4096), 1),
    ("yarn betas", 20, 50.0, "yarn", dict(factor=3.0, original_max_position_embeddings=16, beta_fast=1.5, beta_slow=0.25, truncate=False), 1),
    ("yarn mscale", 128, 150000.0, "yarn", dict(factor=32.0, original_max_position_embeddings=4096, mscale=2.0, mscale_all_dim=0.5), 1),
    ("yarn attention factor", 64, 1e6, "yarn", dict(factor=4.0, original_max_position_embeddings=32768, attention_factor=0.9), 1),
    ("longrope short", 20, 10000.0, "longrope", LONG, 4096),
    ("longrope long", 20, 10000.0, "longrope", LONG, 4097),
    ("longrope attention factor", 20, 10000.0, "longrope", LONG | dict(attention_factor=1.25), 4097),
    ("llama 3.1", 128, 500000.0, "llama3", LLAMA3, 1),
    ("llama 3.2", 64, 500000.0, "llama3", LLAMA3 | dict(factor=32.0), 1),
    ("llama3 odd", 20, 500.0, "llama3", dict(factor=7.0, low_freq_factor=1.5, high_freq_factor=3.7, original_max_position_embeddings=32), 1),
]


def floats(values):
    """f32 values in the shortest decimal form that reads back the same."""
    return [float(str(v)) for v in np.asarray(values, dtype=np.float32).reshape(-1)]


def make(name, dim, base, rope_type, keys, length):
    trained = keys.get("original_max_position_embeddings", 4096)
    given = {k: v for k, v in keys.items() if rope_type != "dynamic" or k != "original_max_position_embeddings"}
    config = LlamaConfig(
        hidden_size=dim, num_attention_heads=1, head_dim=dim, max_position_embeddings=trained,
        rope_parameters={"rope_type": rope_type, "rope_theta": base, **given},
    )
    if rope_type == "default":
        inv, factor = LlamaRotaryEmbedding.compute_default_rope_parameters(config)
    else:
        inv, factor = ROPE_INIT_FUNCTIONS[rope_type](config, seq_len=length)
    angles = torch.tensor(POSITIONS, dtype=torch.float32)[:, None] * inv[None, :]
    spec = {"base": base, "dim": dim}
    if rope_type != "default":
        spec["scaling"] = {"rope_type": rope_type, **keys}
    return {
        "name": name, "spec": spec, "session_length": length, "inv": floats(inv),
        "attention_factor": float(np.float32(factor)),
        "cos": floats(angles.cos() * factor), "sin": floats(angles.sin() * factor),
    }


def main():
    torch.set_num_threads(1)
    cases = [make(*case) for case in CASES]
    head = {"transformers": transformers.__version__, "torch": torch.__version__, "positions": POSITIONS}
    lines = ",\n".join("    " + json.dumps(c) for c in cases)
    path = pathlib.Path(__file__).with_name("rope_golden.json")
    path.write_text(json.dumps(head)[:-1] + ', "cases": [\n' + lines + "\n]}\n")


if __name__ == "__main__":
    main()
