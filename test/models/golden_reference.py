"""A float64 forward of both families, written from the formulas: the oracle for the f32 error of a golden.

transformers cast to float64 is no such oracle, because its norms, rope and softmax pass through float32. Rope tables
are model data in every precision: they are taken in float32, as computed by transformers, and widened.
"""

import math

import torch

ACTIVATIONS = {
    "silu": lambda x: x * torch.sigmoid(x),
    "gelu": lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2.0))),
    "gelu_new": lambda x: 0.5 * x * (1 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))),
    "relu": lambda x: x.clamp(min=0),
}


def attend(q, k, v, scale, window=None, causal=True, bias=None):
    """Attention: q (heads, n, d); k, v (kvHeads, m, d); bias (heads, n, m) or none; head h reads kv head
    h // (heads / kvHeads). A causal query sees the last `window` positions, its own included."""
    groups = q.shape[0] // k.shape[0]
    hidden = torch.ones(q.shape[1], k.shape[1], dtype=torch.bool).triu(1) & causal
    if window is not None:
        hidden |= torch.ones_like(hidden).tril(-window)
    out = []
    for h in range(q.shape[0]):
        scores = q[h] @ k[h // groups].T * scale + (0 if bias is None else bias[h])
        scores = scores.masked_fill(hidden, -math.inf)
        out.append(torch.softmax(scores, dim=-1) @ v[h // groups])
    return torch.cat(out, dim=-1)  # (n, heads * d)


def llama_logits(model, ids):
    """Logits (tokens, vocab) in float64 of a LlamaForCausalLM or MistralForCausalLM for one sequence of ids."""
    c, w = model.config, {k: v.double() for k, v in model.state_dict().items()}
    cos, sin = model.model.rotary_emb(torch.zeros(1), torch.arange(len(ids))[None])
    cos, sin = cos[0].double(), sin[0].double()  # (n, headDim)
    half = c.head_dim // 2

    def norm(x, name):
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + c.rms_norm_eps) * w[name]

    def linear(x, name):
        return x @ w[name + ".weight"].T + w.get(name + ".bias", 0.0)

    def heads(x):
        return x.view(len(ids), -1, c.head_dim).transpose(0, 1)

    def rotate(x):
        return x * cos + torch.cat((-x[..., half:], x[..., :half]), dim=-1) * sin

    x = w["model.embed_tokens.weight"][ids]
    for i in range(c.num_hidden_layers):
        p = f"model.layers.{i}."
        a = norm(x, p + "input_layernorm.weight")
        q, k, v = (heads(linear(a, f"{p}self_attn.{n}_proj")) for n in "qkv")
        attended = attend(rotate(q), rotate(k), v, c.head_dim**-0.5, getattr(c, "sliding_window", None))
        x = x + linear(attended, p + "self_attn.o_proj")
        m = norm(x, p + "post_attention_layernorm.weight")
        gate = ACTIVATIONS[c.hidden_act](linear(m, p + "mlp.gate_proj"))
        x = x + linear(gate * linear(m, p + "mlp.up_proj"), p + "mlp.down_proj")
    return norm(x, "model.norm.weight") @ w["lm_head.weight"].T


def gpt2_logits(model, ids):
    """Logits (tokens, vocab) in float64 of a GPT2LMHeadModel for one sequence of ids."""
    c = model.config
    w = {k.removeprefix("transformer."): v.double() for k, v in model.state_dict().items()}

    def norm(x, name):
        x = x - x.mean(-1, keepdim=True)
        x = x * torch.rsqrt((x * x).mean(-1, keepdim=True) + c.layer_norm_epsilon)
        return x * w[name + ".weight"] + w[name + ".bias"]

    def conv(x, name):
        return x @ w[name + ".weight"] + w[name + ".bias"]

    x = w["wte.weight"][ids] + w["wpe.weight"][: len(ids)]
    size = c.n_embd // c.n_head
    for i in range(c.n_layer):
        p = f"h.{i}."
        q, k, v = (t.view(len(ids), c.n_head, size).transpose(0, 1)
                   for t in conv(norm(x, p + "ln_1"), p + "attn.c_attn").split(c.n_embd, dim=-1))
        scale = size**-0.5 if c.scale_attn_weights else 1.0
        if c.scale_attn_by_inverse_layer_idx:
            scale /= i + 1
        x = x + conv(attend(q, k, v, scale), p + "attn.c_proj")
        inner = ACTIVATIONS[c.activation_function](conv(norm(x, p + "ln_2"), p + "mlp.c_fc"))
        x = x + conv(inner, p + "mlp.c_proj")
    return norm(x, "ln_f") @ w["lm_head.weight"].T


def t5_logits(model, source, prefix):
    """Logits (prefix, vocab) in float64 of a T5ForConditionalGeneration for one source and what the decoder starts with.

    Buckets are model data: they are those of transformers.
    """
    c, w = model.config, {k: v.double() for k, v in model.state_dict().items()}
    attention = model.encoder.block[0].layer[0].SelfAttention

    def norm(x, name):
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + c.layer_norm_epsilon) * w[name + ".weight"]

    def heads(x, name):
        return (x @ w[name + ".weight"].T).view(len(x), c.num_heads, c.d_kv).transpose(0, 1)

    def attended(p, x, other, **more):
        out = attend(heads(x, p + ".q"), heads(other, p + ".k"), heads(other, p + ".v"), 1.0, **more)
        return out @ w[p + ".o.weight"].T

    def stack(side, count, ids, states=None):
        decodes = states is not None
        places = torch.arange(len(ids))
        buckets = attention._relative_position_bucket(
            places[None] - places[:, None], bidirectional=not decodes,
            num_buckets=c.relative_attention_num_buckets, max_distance=c.relative_attention_max_distance)
        bias = w[f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"][buckets].permute(2, 0, 1)
        x = w["shared.weight"][ids]
        for i in range(count):
            p = f"{side}.block.{i}.layer."
            n = norm(x, p + "0.layer_norm")
            x = x + attended(p + "0.SelfAttention", n, n, causal=decodes, bias=bias)
            if decodes:
                x = x + attended(p + "1.EncDecAttention", norm(x, p + "1.layer_norm"), states, causal=False)
            p += "2" if decodes else "1"
            n = norm(x, p + ".layer_norm")
            dense = p + ".DenseReluDense."
            if c.is_gated_act:
                inner = ACTIVATIONS[c.dense_act_fn](n @ w[dense + "wi_0.weight"].T) * (n @ w[dense + "wi_1.weight"].T)
            else:
                inner = ACTIVATIONS[c.dense_act_fn](n @ w[dense + "wi.weight"].T)
            x = x + inner @ w[dense + "wo.weight"].T
        return norm(x, side + ".final_layer_norm")

    x = stack("decoder", c.num_decoder_layers, prefix, stack("encoder", c.num_layers, source))
    return (x * c.d_model**-0.5 if c.scale_decoder_outputs else x) @ w["lm_head.weight"].T


def bart_logits(model, source, prefix):
    """Logits (prefix, vocab) in float64 of a BartForConditionalGeneration, as above."""
    c = model.config
    w = {k.removeprefix("model."): v.double() for k, v in model.state_dict().items()}

    def norm(x, name):
        x = x - x.mean(-1, keepdim=True)
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-5) * w[name + ".weight"] + w[name + ".bias"]

    def linear(x, name):
        return x @ w[name + ".weight"].T + w[name + ".bias"]

    def attended(p, count, x, other, causal):
        size = c.d_model // count
        q, k, v = (linear(t, f"{p}.{n}_proj").view(len(t), count, size).transpose(0, 1)
                   for t, n in ((x, "q"), (other, "k"), (other, "v")))
        return norm(x + linear(attend(q, k, v, size**-0.5, causal), p + ".out_proj"), p + "_layer_norm")

    def stack(side, layers, count, ids, states=None):
        scale = c.d_model**0.5 if c.scale_embedding else 1.0
        x = w["shared.weight"][ids] * scale + w[side + ".embed_positions.weight"][2: 2 + len(ids)]
        x = norm(x, side + ".layernorm_embedding")
        for i in range(layers):
            p = f"{side}.layers.{i}."
            x = attended(p + "self_attn", count, x, x, causal=states is not None)
            if states is not None:
                x = attended(p + "encoder_attn", count, x, states, causal=False)
            inner = ACTIVATIONS[c.activation_function](linear(x, p + "fc1"))
            x = norm(x + linear(inner, p + "fc2"), p + "final_layer_norm")
        return x

    states = stack("encoder", c.encoder_layers, c.encoder_attention_heads, source)
    x = stack("decoder", c.decoder_layers, c.decoder_attention_heads, prefix, states)
    return x @ w["lm_head.weight"].T + w["final_logits_bias"]


ORACLES = {"llama": llama_logits, "mistral": llama_logits, "gpt2": gpt2_logits, "t5": t5_logits, "bart": bart_logits}
