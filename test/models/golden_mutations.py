"""The mistakes a fixture must be able to show: each one is made on a copy of the model and the logits are compared.

A mutation is (name, change, causal): `change` edits the copied model in place; `causal` False lets every query see one
future key, and "encoder" lets an encoder see no future key. Where a wrong convention equals a permutation of weights (rope pairing, order of the kv groups), the
weights are permuted, so that no code of transformers is patched.
"""

import copy

import torch
from torch import nn
from transformers.activations import ACT2FN
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding


def session_rope(config, length):
    """(inverse frequencies (headDim / 2), factor of cos and sin) of a session of `length` tokens.

    `length` is a Python integer, so the base of `dynamic` is computed in double precision and then used in float32.
    """
    kind = config.rope_parameters["rope_type"]
    if kind == "default":
        return LlamaRotaryEmbedding.compute_default_rope_parameters(config)
    return ROPE_INIT_FUNCTIONS[kind](config, torch.device("cpu"), seq_len=length)


def fix_rope(model, length, config=None):
    """Gives a Llama the rope of a session of `length` tokens for good: no recomputation as the sequence grows."""
    rope = model.model.rotary_emb
    rope.inv_freq, rope.attention_scaling = session_rope(config or model.config, length)
    rope.rope_type = "default"


def changed_rope(config, **parameters):
    config = copy.deepcopy(config)
    config.rope_parameters.update(parameters)
    return config


def fill(parameter, value):
    def change(model):
        model.get_parameter(parameter).data.fill_(value)
    return change


def set_all(kind, **attributes):
    """Sets attributes on every module of the class; a callable value is applied to the old one."""
    def change(model):
        for module in model.modules():
            if isinstance(module, kind):
                for name, value in attributes.items():
                    old = getattr(module, name)
                    setattr(module, name, value(old) if not isinstance(value, nn.Module) else value)
    return change


def parameters_dropped(model):
    """Every bias set to 0 and every norm weight set to 1, one at a time."""
    for name, _ in model.named_parameters():
        if name.endswith(".bias"):
            yield f"{name} dropped", fill(name, 0.0), True
        elif "norm" in name or "ln_" in name:
            yield f"{name} dropped", fill(name, 1.0), True


def head_mutation(model):
    """The head independent of the embeddings if it is tied, else tied."""
    tied = model.config.tie_word_embeddings

    def change(model):
        embedding = model.get_input_embeddings().weight.data
        model.lm_head.weight = nn.Parameter(embedding.flip(0).clone() if tied else embedding.clone())
    return "head not tied" if tied else "head tied", change, True


def permute_rows(module, order):
    module.weight.data = module.weight.data[order]
    if module.bias is not None:
        module.bias.data = module.bias.data[order]


def llama_mutations(model, length):
    config = model.config
    head = config.head_dim
    kind = type(model.model.layers[0].self_attn)
    norm, mlp = type(model.model.norm), type(model.model.layers[0].mlp)
    kv = config.num_key_value_heads
    groups = config.num_attention_heads // kv

    def interleaved(model):
        pairs = torch.cat((torch.arange(0, head, 2), torch.arange(1, head, 2)))
        for layer in model.model.layers:
            for module in (layer.self_attn.q_proj, layer.self_attn.k_proj):
                starts = torch.arange(0, module.weight.shape[0], head)
                permute_rows(module, (starts[:, None] + pairs).flatten())

    def grouped_by_remainder(model):
        # Slot s reads kv head s // groups; it receives the head h with h % kv == s // groups.
        order = torch.tensor([g * kv + k for k in range(kv) for g in range(groups)])
        rows = (order[:, None] * head + torch.arange(head)).flatten()
        for layer in model.model.layers:
            permute_rows(layer.self_attn.q_proj, rows)
            layer.self_attn.o_proj.weight.data = layer.self_attn.o_proj.weight.data[:, rows]

    def gate_and_up_swapped(model):
        for layer in model.model.layers:
            layer.mlp.gate_proj, layer.mlp.up_proj = layer.mlp.up_proj, layer.mlp.gate_proj

    def rope(change_config=None, change_length=None):
        def change(model):
            fix_rope(model, change_length or length, change_config or config)
        return change

    def window_of(size):
        def change(model):
            model.config.sliding_window = size
        return change

    yield from parameters_dropped(model)
    yield head_mutation(model)
    parameters = config.rope_parameters
    yield "rope base doubled", rope(changed_rope(config, rope_theta=2 * parameters["rope_theta"])), True
    yield "rope pairs interleaved", interleaved, True
    if parameters["rope_type"] != "default":
        yield "rope scaling ignored", rope(changed_rope(config, rope_type="default")), True
    if parameters["rope_type"] == "dynamic":
        yield "rope length one token more", rope(change_length=length + 1), True
        yield "rope length is max_position_embeddings", rope(change_length=config.max_position_embeddings), True
    if parameters["rope_type"] == "longrope":
        original = parameters["original_max_position_embeddings"]
        other = original if length > original else original + 1
        yield "rope factors of the other list", rope(change_length=other), True
    if model.model.rotary_emb.attention_scaling != 1.0:
        def unscaled(model):
            model.model.rotary_emb.attention_scaling = 1.0
        yield "rope attention factor ignored", unscaled, True
    yield "attention scale 10% larger", set_all(kind, scaling=lambda s: 1.1 * s), True
    if head * config.num_attention_heads != config.hidden_size:
        derived = (config.hidden_size // config.num_attention_heads) ** -0.5
        yield "attention scale from hidden / heads", set_all(kind, scaling=lambda s: derived), True
    if 1 < kv < config.num_attention_heads:
        yield "kv groups by remainder", grouped_by_remainder, True
    yield "norm eps times 100", set_all(norm, variance_epsilon=lambda e: 100 * e), True
    yield "activation gelu", set_all(mlp, act_fn=ACT2FN["gelu"]), True
    yield "gate and up swapped", gate_and_up_swapped, True
    window = getattr(config, "sliding_window", None)
    for other in [] if window is None else [window - 1, window + 1, None]:
        yield f"window {other}", window_of(other), True
    yield "one future key visible", lambda model: None, False


def gpt2_mutations(model, length):
    config = model.config
    kind, mlp = type(model.transformer.h[0].attn), type(model.transformer.h[0].mlp)
    width = config.n_embd

    def part_of_bias(layer, part):
        def change(model):
            model.transformer.h[layer].attn.c_attn.bias.data[part * width:(part + 1) * width] = 0
        return change

    def query_and_key_swapped(model):
        order = torch.cat((torch.arange(width, 2 * width), torch.arange(width), torch.arange(2 * width, 3 * width)))
        for block in model.transformer.h:
            block.attn.c_attn.weight.data = block.attn.c_attn.weight.data[:, order]
            block.attn.c_attn.bias.data = block.attn.c_attn.bias.data[order]

    def transposed(model):
        for block in model.transformer.h:
            block.attn.c_proj.weight.data = block.attn.c_proj.weight.data.T.contiguous()

    def positions_shifted(model):
        model.transformer.wpe.weight.data = model.transformer.wpe.weight.data.roll(-1, 0)

    def inverse_layer(model):
        for i, block in enumerate(model.transformer.h):
            block.attn.scaling *= (i + 1) if config.scale_attn_by_inverse_layer_idx else 1 / (i + 1)

    yield from parameters_dropped(model)
    yield head_mutation(model)
    for i in range(config.n_layer):
        # The key's bias adds the same to every score of a query, so softmax removes it: it cannot show in any model.
        yield f"transformer.h.{i}.attn.c_attn.bias query part dropped", part_of_bias(i, 0), True
        yield f"transformer.h.{i}.attn.c_attn.bias value part dropped", part_of_bias(i, 2), True
    yield "positions dropped", fill("transformer.wpe.weight", 0.0), True
    yield "positions shifted by one", positions_shifted, True
    yield "query and key swapped", query_and_key_swapped, True
    yield "attn.c_proj transposed", transposed, True
    yield "attention scale 10% larger", set_all(kind, scaling=lambda s: 1.1 * s), True
    root = (width // config.n_head) ** 0.5
    yield "scale_attn_weights negated", set_all(
        kind, scaling=(lambda s: s * root) if config.scale_attn_weights else (lambda s: s / root)), True
    if config.n_layer > 1:
        yield "scale_attn_by_inverse_layer_idx negated", inverse_layer, True
    yield "norm eps times 100", set_all(nn.LayerNorm, eps=lambda e: 100 * e), True
    for other in ("gelu", "gelu_new", "relu", "silu"):
        if other != config.activation_function:
            yield f"activation {other}", set_all(mlp, act=ACT2FN[other]), True
    yield "one future key visible", lambda model: None, False


def encoder_decoder_mutations():
    yield "one future key visible", lambda model: None, False
    yield "encoder causal", lambda model: None, "encoder"


def t5_mutations(model, length):
    config = model.config
    attentions = [module for module in model.modules() if hasattr(module, "has_relative_attention_bias")]
    kind, norm = type(attentions[0]), type(model.encoder.final_layer_norm)
    dense = type(model.encoder.block[0].layer[1].DenseReluDense)
    tables = [n for n, _ in model.named_parameters() if "relative_attention_bias" in n]

    def rolled(name):
        def change(model):
            table = model.get_parameter(name)
            table.data = table.data.roll(1, 0)
        return change

    def turned(side):
        def change(model):
            attention = getattr(model, side).block[0].layer[0].SelfAttention
            attention.is_decoder = not attention.is_decoder
        return change

    def logits_scale(model):
        model.config.scale_decoder_outputs = not model.config.scale_decoder_outputs

    def other_head(model):
        shared = model.shared.weight.data
        tied = torch.equal(model.lm_head.weight, model.shared.weight)
        model.lm_head.weight = nn.Parameter(shared.flip(0).clone() if tied else shared.clone())

    def gate_and_up_swapped(model):
        for module in model.modules():
            if hasattr(module, "wi_0"):
                module.wi_0, module.wi_1 = module.wi_1, module.wi_0

    yield from parameters_dropped(model)
    for name in tables:
        yield f"{name} dropped", fill(name, 0.0), True
        yield f"{name} one bucket off", rolled(name), True
    yield "encoder buckets in one direction", turned("encoder"), True
    yield "decoder buckets in both directions", turned("decoder"), True
    # Fewer buckets than the table has stay within it.
    buckets = config.relative_attention_num_buckets
    yield "half the buckets", set_all(kind, relative_attention_num_buckets=lambda n: buckets // 2), True
    yield "max_distance doubled", set_all(kind, relative_attention_max_distance=lambda n: 2 * n), True
    yield "attention scaled", set_all(kind, scaling=lambda s: config.d_kv**-0.5), True
    yield "logits scale negated", logits_scale, True
    yield "head tied or not", other_head, True
    yield "norm eps times 100", set_all(norm, variance_epsilon=lambda e: 100 * e), True
    for other in ("gelu", "gelu_new", "relu", "silu"):
        if other != config.dense_act_fn:
            yield f"activation {other}", set_all(dense, act=ACT2FN[other]), True
    if config.is_gated_act:
        yield "gate and up swapped", gate_and_up_swapped, True
    yield from encoder_decoder_mutations()


def bart_mutations(model, length):
    config = model.config
    kind = type(model.model.encoder.layers[0].self_attn)
    layers = type(model.model.encoder.layers[0]), type(model.model.decoder.layers[0])

    def positions_rolled(side, rows):
        def change(model):
            table = getattr(model.model, side).embed_positions.weight
            table.data = table.data.roll(rows, 0)
        return change

    def embedding_scale(model):
        root = config.d_model**0.5
        for side in (model.model.encoder, model.model.decoder):
            side.embed_tokens.embed_scale = 1.0 if config.scale_embedding else root

    def no_logits_bias(model):
        model.final_logits_bias.fill_(0)

    for name, change, causal in parameters_dropped(model):
        if ".k_proj." not in name:  # it adds the same to every score of a query, which softmax removes
            yield name, change, causal
    yield "final_logits_bias dropped", no_logits_bias, True
    yield head_mutation(model)
    for side in ("encoder", "decoder"):
        yield f"{side} positions shifted by one", positions_rolled(side, -1), True
        yield f"{side} positions without their offset", positions_rolled(side, 2), True
    yield "scale_embedding negated", embedding_scale, True
    yield "attention scale 10% larger", set_all(kind, scaling=lambda s: 1.1 * s), True
    yield "norm eps times 1000", set_all(nn.LayerNorm, eps=lambda e: 1000 * e), True
    for other in ("gelu", "gelu_new", "relu", "silu"):
        if other != config.activation_function:
            yield f"activation {other}", set_all(layers, activation_fn=ACT2FN[other]), True
    yield from encoder_decoder_mutations()


MUTATIONS = {"llama": llama_mutations, "mistral": llama_mutations, "gpt2": gpt2_mutations, "t5": t5_mutations, "bart": bart_mutations}


def mutations(model, length):
    return MUTATIONS[model.config.model_type](model, length)


def is_near_identical(name, config):
    """The two forms of gelu differ by at most 5e-4: this swap is asked to exceed the tolerance, not a hundred of it."""
    pair = {"activation gelu": "gelu_new", "activation gelu_new": "gelu"}
    used = getattr(config, "activation_function", getattr(config, "dense_act_fn", ""))
    return name in pair and used == pair[name]
