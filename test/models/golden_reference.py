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


def attend(q, k, v, scale, window=None):
    """Causal attention: q (heads, n, d); k, v (kvHeads, n, d); head h reads kv head h // (heads / kvHeads). A query
    sees the last `window` positions, its own included."""
    groups = q.shape[0] // k.shape[0]
    n = q.shape[1]
    hidden = torch.ones(n, n, dtype=torch.bool).triu(1)
    if window is not None:
        hidden |= torch.ones(n, n, dtype=torch.bool).tril(-window)
    out = []
    for h in range(q.shape[0]):
        scores = (q[h] @ k[h // groups].T * scale).masked_fill(hidden, -math.inf)
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
