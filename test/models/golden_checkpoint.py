"""Draws the random weights of a fixture and writes them as a Hugging Face checkpoint folder.

Weights are scaled so that every error shows in the logits: linear layers have deviation 1/sqrt(fan_in), queries and
keys 1.5 times that (scores then have deviation 1 to 3), norm weights are 1 + 0.2n, biases 0.2n. The usual
initialisation (0.02, norms 1, biases 0) would hide a missing bias or norm weight entirely.
"""

import json
import math
import os

import numpy as np
import torch
import transformers
from safetensors.torch import save_file


class Draw:
    """Named tensors drawn in order from one seeded stream."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.tensors = {}

    def normal(self, name, shape, std, mean=0.0):
        values = self.rng.standard_normal(shape, dtype=np.float32)
        self.tensors[name] = mean + np.float32(std) * values

    def linear(self, name, out, fan_in, bias, gain=1.0):
        """weight (out, fan_in), bias (out)."""
        self.normal(name + ".weight", (out, fan_in), gain / math.sqrt(fan_in))
        if bias:
            self.normal(name + ".bias", (out,), 0.2)


def llama_tensors(fixture, seed):
    c, d = fixture.config, Draw(seed)
    hidden, ffn = c["hidden_size"], c["intermediate_size"]
    head = c.get("head_dim") or hidden // c["num_attention_heads"]
    q, kv = c["num_attention_heads"] * head, c["num_key_value_heads"] * head
    bias, mlp_bias = c.get("attention_bias", False), c.get("mlp_bias", False)
    d.normal("model.embed_tokens.weight", (c["vocab_size"], hidden), fixture.embedding_std)
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        d.normal(p + "input_layernorm.weight", (hidden,), 0.2, mean=1.0)
        d.linear(p + "self_attn.q_proj", q, hidden, bias, gain=1.5)
        d.linear(p + "self_attn.k_proj", kv, hidden, bias, gain=1.5)
        d.linear(p + "self_attn.v_proj", kv, hidden, bias)
        d.linear(p + "self_attn.o_proj", hidden, q, bias)
        d.normal(p + "post_attention_layernorm.weight", (hidden,), 0.2, mean=1.0)
        d.linear(p + "mlp.gate_proj", ffn, hidden, mlp_bias)
        d.linear(p + "mlp.up_proj", ffn, hidden, mlp_bias)
        d.linear(p + "mlp.down_proj", hidden, ffn, mlp_bias)
        if fixture.buffers:
            steps = np.arange(0, head, 2, dtype=np.float32) / np.float32(head)
            d.tensors[p + "self_attn.rotary_emb.inv_freq"] = 1 / np.float32(10000.0) ** steps
    d.normal("model.norm.weight", (hidden,), 0.2, mean=1.0)
    if not c["tie_word_embeddings"]:
        d.linear("lm_head", c["vocab_size"], hidden, False)
    elif fixture.store_head:
        d.tensors["lm_head.weight"] = d.tensors["model.embed_tokens.weight"]
    return d.tensors


def gpt2_tensors(fixture, seed):
    """GPT-2 stores its linear layers as Conv1D: weight (fan_in, out)."""
    c, d = fixture.config, Draw(seed)
    hidden, inner = c["n_embd"], c["n_inner"] or 4 * c["n_embd"]
    # Without the 1/sqrt(head size) factor the same deviation of the scores needs smaller queries and keys.
    gain = 1.5 if c.get("scale_attn_weights", True) else 1.5 / (hidden // c["n_head"]) ** 0.25

    def conv(name, fan_in, gains):
        out = sum(n for n, _ in gains)
        d.normal(name + ".weight", (fan_in, out), 1.0)
        d.tensors[name + ".weight"] *= np.concatenate([np.full(n, g / math.sqrt(fan_in), np.float32) for n, g in gains])
        d.normal(name + ".bias", (out,), 0.2)

    def norm(name):
        d.normal(name + ".weight", (hidden,), 0.2, mean=1.0)
        d.normal(name + ".bias", (hidden,), 0.2)

    p = fixture.prefix
    d.normal(p + "wte.weight", (c["vocab_size"], hidden), fixture.embedding_std)
    d.normal(p + "wpe.weight", (c["n_positions"], hidden), fixture.embedding_std)
    for i in range(c["n_layer"]):
        h = f"{p}h.{i}."
        norm(h + "ln_1")
        conv(h + "attn.c_attn", hidden, [(hidden, gain), (hidden, gain), (hidden, 1.0)])
        conv(h + "attn.c_proj", hidden, [(hidden, 1.0)])
        norm(h + "ln_2")
        conv(h + "mlp.c_fc", hidden, [(inner, 1.0)])
        conv(h + "mlp.c_proj", inner, [(hidden, 1.0)])
        if fixture.buffers:
            n = c["n_positions"]
            d.tensors[h + "attn.bias"] = np.tril(np.ones((1, 1, n, n), np.float32))
    norm(p + "ln_f")
    if not c.get("tie_word_embeddings", True):
        d.linear("lm_head", c["vocab_size"], hidden, False)
    return d.tensors


def t5_tensors(fixture, seed):
    c, d = fixture.config, Draw(seed)
    hidden, ffn, inner = c["d_model"], c["d_ff"], c["num_heads"] * c["d_kv"]
    gated = c["feed_forward_proj"].startswith("gated-")
    # Scores are not scaled: queries and keys are smaller by the square root of the usual factor each.
    gain = 1.5 / c["d_kv"] ** 0.25

    def norm(name):
        d.normal(name + ".weight", (hidden,), 0.2, mean=1.0)

    def attention(name, gain):
        d.linear(name + ".q", inner, hidden, False, gain=gain)
        d.linear(name + ".k", inner, hidden, False, gain=gain)
        d.linear(name + ".v", inner, hidden, False)
        d.linear(name + ".o", hidden, inner, False)

    d.normal("shared.weight", (c["vocab_size"], hidden), fixture.embedding_std)
    layers = {"encoder": c["num_layers"], "decoder": c.get("num_decoder_layers", c["num_layers"])}
    for side, count in layers.items():
        for i in range(count):
            p = f"{side}.block.{i}.layer."
            attention(p + "0.SelfAttention", gain)
            if i == 0:
                d.normal(p + "0.SelfAttention.relative_attention_bias.weight",
                         (c.get("relative_attention_num_buckets", 32), c["num_heads"]), 1.0)
            norm(p + "0.layer_norm")
            if side == "decoder":
                attention(p + "1.EncDecAttention", gain)
                norm(p + "1.layer_norm")
            dense = p + ("2" if side == "decoder" else "1")
            for name in ("wi_0", "wi_1") if gated else ("wi",):
                d.linear(f"{dense}.DenseReluDense.{name}", ffn, hidden, False)
            d.linear(dense + ".DenseReluDense.wo", hidden, ffn, False)
            norm(dense + ".layer_norm")
        norm(f"{side}.final_layer_norm")
    if not c.get("tie_word_embeddings", True):
        d.linear("lm_head", c["vocab_size"], hidden, False)
    return d.tensors


def bart_tensors(fixture, seed):
    c, d = fixture.config, Draw(seed)
    hidden = c["d_model"]

    def norm(name):
        d.normal(name + ".weight", (hidden,), 0.2, mean=1.0)
        d.normal(name + ".bias", (hidden,), 0.2)

    def attention(name):
        d.linear(name + ".q_proj", hidden, hidden, True, gain=1.5)
        d.linear(name + ".k_proj", hidden, hidden, True, gain=1.5)
        d.linear(name + ".v_proj", hidden, hidden, True)
        d.linear(name + ".out_proj", hidden, hidden, True)
        norm(name + "_layer_norm")

    d.normal("final_logits_bias", (1, c["vocab_size"]), 0.2)
    # A scaled embedding is drawn smaller, so that the positions beside it keep their weight.
    std = fixture.embedding_std / (hidden**0.5 if c["scale_embedding"] else 1.0)
    d.normal("model.shared.weight", (c["vocab_size"], hidden), std)
    for side in ("encoder", "decoder"):
        ffn = c[side + "_ffn_dim"]
        d.normal(f"model.{side}.embed_positions.weight", (c["max_position_embeddings"] + 2, hidden), 1.0)
        norm(f"model.{side}.layernorm_embedding")
        for i in range(c[side + "_layers"]):
            p = f"model.{side}.layers.{i}."
            attention(p + "self_attn")
            if side == "decoder":
                attention(p + "encoder_attn")
            d.linear(p + "fc1", ffn, hidden, True)
            d.linear(p + "fc2", hidden, ffn, True)
            norm(p + "final_layer_norm")
    if fixture.store_head:
        d.tensors["lm_head.weight"] = d.tensors["model.shared.weight"]
    return d.tensors


# Of each family: what draws its tensors, transformers' names, and what an old config.json has beside the geometry.
FAMILIES = {
    "llama": (llama_tensors, "LlamaForCausalLM", transformers.LlamaConfig,
              dict(hidden_act="silu", initializer_range=0.02, use_cache=True, pretraining_tp=1, attention_bias=False)),
    "mistral": (llama_tensors, "MistralForCausalLM", transformers.MistralConfig,
                dict(hidden_act="silu", initializer_range=0.02, use_cache=True)),
    "gpt2": (gpt2_tensors, "GPT2LMHeadModel", transformers.GPT2Config,
             dict(attn_pdrop=0.1, embd_pdrop=0.1, resid_pdrop=0.1)),
    "t5": (t5_tensors, "T5ForConditionalGeneration", transformers.T5Config,
           dict(is_encoder_decoder=True, dropout_rate=0.1, initializer_factor=1.0, n_positions=512, pad_token_id=0,
                use_cache=True, output_past=True, decoder_start_token_id=0)),
    "bart": (bart_tensors, "BartForConditionalGeneration", transformers.BartConfig,
             dict(is_encoder_decoder=True, dropout=0.1, attention_dropout=0.1, activation_dropout=0.1, init_std=0.02,
                  classif_dropout=0.0, classifier_dropout=0.0, normalize_before=False, normalize_embedding=True,
                  add_final_layer_norm=False, pad_token_id=1, decoder_start_token_id=2, use_cache=True)),
}


def config_json(fixture):
    """Contents of config.json in the fixture's spelling, without any end token unless the fixture asks for one."""
    ends = dict(bos_token_id=None, eos_token_id=None)
    llama = fixture.is_llama_like
    _, architecture, make, old = FAMILIES[fixture.family]
    if fixture.style == "new":
        rope = dict(rope_parameters=dict(fixture.rope)) if llama else {}
        config = make(architectures=[architecture], dtype=fixture.dtype, **{**ends, **fixture.extra_config},
                      **fixture.config, **rope)
        written = json.loads(config.to_json_string())
        # The difference form leaves out what equals the class's default; "no token" is not the default.
        return {**{k: None for k in ends if k not in fixture.extra_config}, **written, **fixture.extra_config}
    written = dict(architectures=[architecture], model_type=fixture.family, **ends)
    written.update(old)
    if fixture.family == "gpt2":
        written.update(n_ctx=fixture.config["n_positions"])
    geometry = {k: v for k, v in fixture.config.items() if v is not None}
    return dict(sorted({**written, **geometry, **fixture.old_rope, "torch_dtype": fixture.dtype,
                        "transformers_version": "4.44.0", **fixture.extra_config}.items()))


def write_checkpoint(fixture, seed, folder):
    """Writes config.json and the tensors, in one file or in shards with an index; returns the stored tensors."""
    make = FAMILIES[fixture.family][0]
    dtype = getattr(torch, fixture.dtype)
    tensors = {name: torch.from_numpy(np.ascontiguousarray(t)).to(dtype).clone()
               for name, t in make(fixture, seed).items()}
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "config.json"), "w") as f:
        f.write(json.dumps(config_json(fixture), indent=2) + "\n")
    if fixture.shards == 1:
        save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
        return tensors
    # Consecutive tensors of about equal bytes a shard, so one layer is split between two files.
    total = sum(t.nbytes for t in tensors.values())
    shards, weight_map, done = [{} for _ in range(fixture.shards)], {}, 0
    for name, tensor in tensors.items():
        index = min(done * fixture.shards // total, fixture.shards - 1)
        shards[index][name] = tensor
        weight_map[name] = f"model-{index + 1:05d}-of-{fixture.shards:05d}.safetensors"
        done += tensor.nbytes
    for index, shard in enumerate(shards):
        name = f"model-{index + 1:05d}-of-{fixture.shards:05d}.safetensors"
        save_file(shard, os.path.join(folder, name), metadata={"format": "pt"})
    with open(os.path.join(folder, "model.safetensors.index.json"), "w") as f:
        index = dict(metadata=dict(total_size=total), weight_map=dict(sorted(weight_map.items())))
        f.write(json.dumps(index, indent=2) + "\n")
    return tensors
