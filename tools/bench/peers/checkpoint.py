"""The model that everybody gets: a Llama checkpoint of random weights in safetensors.

Kernels are normal with the deviation that Llama is initialised with, scales are 1. The tokenizer has
one word for each id, since several importers refuse a folder without one.
"""
import json
import math
import mmap
import pathlib
import struct

DEVIATION = 0.02
STORED = {"bf16": ("BF16", 2), "f32": ("F32", 4)}


def shapes(config):
    """Tensor names and shapes, as stored: (out, in) for kernels, (hidden) for scales."""
    hidden, ffn, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or hidden // heads
    kv = config.get("num_key_value_heads", heads) * head_dim
    result = {"model.embed_tokens.weight": (vocab, hidden), "model.norm.weight": (hidden,)}
    for layer in range(config["num_hidden_layers"]):
        for name, shape in {
                "self_attn.q_proj": (heads * head_dim, hidden), "self_attn.k_proj": (kv, hidden),
                "self_attn.v_proj": (kv, hidden), "self_attn.o_proj": (hidden, heads * head_dim),
                "mlp.gate_proj": (ffn, hidden), "mlp.up_proj": (ffn, hidden), "mlp.down_proj": (hidden, ffn),
                "input_layernorm": (hidden,), "post_attention_layernorm": (hidden,)}.items():
            result[f"model.layers.{layer}.{name}.weight"] = shape
    if not config.get("tie_word_embeddings"):
        result["lm_head.weight"] = (vocab, hidden)
    return result


def rounded(values, dtype):
    """f32 `values` as stored: bf16 as uint16, rounded to nearest even."""
    import numpy
    if dtype == "f32":
        return values
    bits = values.view(numpy.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(numpy.uint16)


def write(config, folder, dtype):
    """Writes config.json, model.safetensors and a tokenizer into `folder`."""
    import numpy
    stored, size = STORED[dtype]
    header, end = {}, 0
    for name, shape in shapes(config).items():
        begin, end = end, end + size * int(numpy.prod(shape))
        header[name] = {"dtype": stored, "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 8) % 64)
    generator = numpy.random.default_rng(1)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for shape in shapes(config).values():
            values = (generator.standard_normal(shape, numpy.float32) * numpy.float32(DEVIATION) if len(shape) == 2
                      else numpy.ones(shape, numpy.float32))
            file.write(rounded(values, dtype).tobytes())
    named = {"bf16": "bfloat16", "f32": "float32"}[dtype]
    (folder / "config.json").write_text(json.dumps(config | {"torch_dtype": named, "dtype": named}, indent=1))
    words = {f"<{index}>": index for index in range(config["vocab_size"])}
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "vocab": words, "unk_token": "<0>"}}))
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<0>", "bos_token": "<0>", "eos_token": "<0>"}))


def rope_factors(config, head_dim):
    """What rope_scaling divides each of the headDim / 2 frequencies by: 1 without it, else Llama 3.1's formula."""
    scaling = config.get("rope_scaling")
    if not scaling:
        return [1.0] * (head_dim // 2)
    kind = scaling.get("rope_type", scaling.get("type"))
    if kind != "llama3":
        raise RuntimeError(f"rope_scaling must be of type llama3 for this conversion, got {kind}")
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    length, factor = scaling["original_max_position_embeddings"], scaling["factor"]
    factors = []
    for index in range(0, head_dim, 2):
        turns = length / (2 * math.pi * config["rope_theta"] ** (index / head_dim))
        share = min(max((turns - low) / (high - low), 0), 1)
        factors.append(1 / ((1 - share) / factor + share))
    return factors


def tensors(folder):
    """Yields (name, array) of what `write` wrote; bf16 as uint16, in the mapped file."""
    import numpy
    with open(pathlib.Path(folder) / "model.safetensors", "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    length = struct.unpack("<Q", data[:8])[0]
    for name, tensor in json.loads(data[8:8 + length]).items():
        dtype = numpy.uint16 if tensor["dtype"] == "BF16" else numpy.float32
        begin, end = tensor["data_offsets"]
        array = numpy.frombuffer(data, dtype, (end - begin) // dtype().itemsize, 8 + length + begin)
        yield name, array.reshape(tensor["shape"])
